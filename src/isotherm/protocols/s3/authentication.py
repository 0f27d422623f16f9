"""Who sent a request: Signature Version 4 and 4A, in the Authorization header or in a presigned query; 2 in a query alone.

One `Authenticator` a process asks `Credentials.find` at every request and keeps nothing longer than it: keys that are
cached are used only with the pair they were derived from. Any region is accepted; the service must be s3. Used on one
loop's thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from isotherm.protocols.s3 import presigned, refusals, sigv2, sigv4, sigv4a
from isotherm.protocols.s3.parsing import Head, Section, bucket_of_host
from isotherm.protocols.s3.sigv4 import UNSIGNED_PAYLOAD, Claim
from isotherm.protocols.s3.timestamps import parse_any, render_basic, render_extended
from isotherm.tenancy.identity import Credential

_PRESIGNED_MARKS = ("X-Amz-Algorithm", "X-Amz-Signature", "X-Amz-Credential")
_CLAIMS_MOST = 16_384
_UNSUPPORTED = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."


class Credentials(Protocol):
    """`tenancy.identity.Credentials`, as far as this protocol needs it. `find` is cheap, and may raise `NotAtHand`."""

    def find(self, access_key: str) -> Credential | None: ...

    async def look_up(self, access_key: str) -> Credential | None: ...


Find = Callable[[str], Credential | None]


class Signed:
    """What a request says of its signature but for the signature itself: a section of headers says it once for many requests.

    `payload` and `region` are those of a `Proof`. `lead` and `tail` belong to what is signed: the string to sign begins with one,
    the canonical request ends with the other.
    """

    __slots__ = ("claim", "lead", "moment", "moment_ms", "payload", "region", "tail")

    def __init__(self, claim: Claim, moment: str, moment_ms: int) -> None:
        self.claim = claim
        self.moment = moment
        self.moment_ms = moment_ms
        self.region = claim.region
        self.lead = f"{claim.algorithm}\n{moment}\n{claim.scope}\n"
        self.payload = self.tail = ""

    def complete(self, headers: Mapping[str, str], payload: str) -> None:
        """Raises Denied for x-amz-* headers that are not signed."""
        sigv4.demand_signed(headers, self.claim)
        self.payload = payload
        self.tail = f"{sigv4.canonical_headers(headers, self.claim.names)}\n\n{self.claim.signed}\n{payload}"


class Proof(msgspec.Struct):
    """An authenticated request. `payload` is what was signed for the body: a hash, or one of S3's words.

    `moment`, the claim's scope and `signature` seed the chain of chunk signatures. `region` is a set of them under SigV4A.
    Version 2 makes no claim, and has no chain and no region.
    """

    credential: Credential
    claim: Claim | None
    region: str
    payload: str
    moment: str
    signature: str


class Authenticator:
    def __init__(self, credentials: Credentials, skew_s: int, domains: tuple[str, ...]) -> None:
        self.signing_keys = sigv4.SigningKeys()
        self.verifying_keys = sigv4a.VerifyingKeys()
        self.credentials = credentials
        self._skew_s = skew_s
        self._domains = domains
        self._claims: dict[str, Claim] = {}
        self._moment: tuple[str, int] | None = None

    def authenticate(self, head: Head, query: list[tuple[str, str]], now_ms: int, find: Find | None = None) -> Proof:
        """Prove who signed `head`. For a presigned one, signed x-amz-* parameters of the query become headers.

        Args:
            find: where to find the credential, instead of `Credentials.find`.

        Raises:
            Denied, Invalid: with S3's code for what is wrong.
            NotAtHand: look the credential up and call again, with the query as it was.
        """
        find = find or self.credentials.find
        authorized = head.section.authorization or head.signature
        if query:
            names = {name for name, _ in query}
            of_query = None
            if not names.isdisjoint(_PRESIGNED_MARKS):
                of_query = self._of_query
            elif "Signature" in names and "AWSAccessKeyId" in names:
                of_query = self._of_version_2
            if of_query is not None:
                if authorized:
                    raise refusals.invalid_argument(
                        "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string "
                        "parameter or the Authorization header should be specified",
                        ArgumentName="Authorization",
                    )
                return of_query(head, query, now_ms, find)
        if not authorized:
            if refusals.is_form(head.method, head.headers):  # which bears its signature in its body
                raise refusals.form()
            raise refusals.anonymous()
        return self._of_header(head, query, now_ms, find)

    def _of_header(self, head: Head, query: list[tuple[str, str]], now_ms: int, find: Find) -> Proof:
        section, signature = head.section, head.signature
        signed = section.signed
        new = signed is None
        if signed is None:
            signed, signature = self._read(section, signature)
        credential = _found(find, signed.claim.access_key)
        if abs(now_ms - signed.moment_ms) > self._skew_s * 1000:
            raise refusals.skewed(signed.moment, render_extended(now_ms), self._skew_s)
        if new:
            payload = section.headers.get("x-amz-content-sha256")
            if payload is None:
                raise refusals.invalid_request("Missing required header for this request: x-amz-content-sha256")
            signed.complete(section.headers, payload)
        self._verify(head, query, credential, signed, signature)
        if new:
            self._demand_region(section, signed)
            if signature == head.signature:  # nothing follows it
                self._keep(section, signed)
        return Proof(credential, signed.claim, signed.region, signed.payload, signed.moment, signature)

    def _read(self, section: Section, signature: str) -> tuple[Signed, str]:
        """What a section that has not been seen before says, and its signature."""
        claim = self._claims.get(section.authorization)
        if claim is None:
            claim, signature = _parse(section.authorization + signature)
        if "x-amz-security-token" in section.headers:
            raise refusals.invalid_token()
        moment, moment_ms = self._moment_of(section.headers)
        if moment[:8] != claim.date:
            raise refusals.malformed_authorization(
                f'Invalid credential date "{claim.date}". This date is not the same as X-Amz-Date: "{moment[:8]}"'
            )
        return Signed(claim, moment, moment_ms), signature

    def _demand_region(self, section: Section, signed: Signed) -> None:
        if signed.claim.algorithm == sigv4a.ALGORITHM:
            signed.region = section.headers.get("x-amz-region-set", "")
            if not signed.region:
                raise refusals.malformed_authorization("the X-Amz-Region-Set header is missing")

    def _keep(self, section: Section, signed: Signed) -> None:
        section.signed = signed
        if section.authorization not in self._claims:
            if len(self._claims) >= _CLAIMS_MOST:
                self._claims.clear()
            self._claims[section.authorization] = signed.claim

    def _of_query(self, head: Head, query: list[tuple[str, str]], now_ms: int, find: Find) -> Proof:
        asked = presigned.parse(query)
        if asked.token or "x-amz-security-token" in head.headers:
            raise refusals.invalid_token()
        credential = _found(find, asked.claim.access_key)
        presigned.demand_valid(asked, now_ms, self._skew_s)
        signed = Signed(asked.claim, asked.moment, asked.moment_ms)
        payload = head.headers.get("x-amz-content-sha256") or asked.payload or UNSIGNED_PAYLOAD
        signed.complete(head.headers, payload)
        pairs = [pair for pair in query if pair[0] != "X-Amz-Signature"]
        self._verify(head, pairs, credential, signed, asked.signature)
        head.headers = presigned.promote(query, head.headers)
        return Proof(credential, asked.claim, asked.region, payload, asked.moment, asked.signature)

    def _of_version_2(self, head: Head, query: list[tuple[str, str]], now_ms: int, find: Find) -> Proof:
        head.headers = head.headers.copy()
        access_key, expires, signature = sigv2.carry(query, head.headers)
        if "x-amz-security-token" in head.headers:
            raise refusals.invalid_token()
        credential = _found(find, access_key)
        sigv2.demand_valid(expires, now_ms)
        text = sigv2.string_to_sign(head, bucket_of_host(head.headers["host"], self._domains), expires)
        if not sigv2.fits(credential.secret, text, signature):
            raise refusals.wrong_signature(access_key, signature, text.decode("utf-8", "replace"), "")
        payload = head.headers.get("x-amz-content-sha256", UNSIGNED_PAYLOAD)
        return Proof(credential, None, "", payload, "", signature)

    def _moment_of(self, headers: dict[str, str]) -> tuple[str, int]:
        text = headers.get("x-amz-date") or headers.get("date", "")
        last = self._moment
        if last is not None and text == last[0]:
            return last
        moment_ms = parse_any(text)
        if moment_ms is None:
            raise refusals.denied("AWS authentication requires a valid Date or x-amz-date header")
        self._moment = found = (render_basic(moment_ms), moment_ms)
        return found

    def _verify(
        self, head: Head, query: list[tuple[str, str]], credential: Credential, signed: Signed, signature: str
    ) -> None:
        """Raises Denied (SignatureDoesNotMatch) unless `signature` is of this request.

        The path is tried in its canonical form first, then as it was sent: clients that encode more than they need to
        (%2F, %7E) sign what they send.
        """
        asked = sigv4.canonical_query(query) if query else ""
        path = sigv4.canonical_path(head.path)
        canonical = f"{head.method}\n{path}\n{asked}\n{signed.tail}"
        text = sigv4.string_to_sign(signed.lead, canonical)
        if self._fits(signed.claim, credential, text, signature):
            return
        if path != head.path:
            sent = f"{head.method}\n{head.path}\n{asked}\n{signed.tail}"
            if self._fits(signed.claim, credential, sigv4.string_to_sign(signed.lead, sent), signature):
                return
        raise refusals.wrong_signature(credential.access_key, signature, text, canonical)

    def _fits(self, claim: Claim, credential: Credential, text: str, signature: str) -> bool:
        if claim.algorithm == sigv4.ALGORITHM:
            return sigv4.same(self.signing_keys.signer(credential, claim.scope).sign(text), signature)
        return sigv4a.verifies(self.verifying_keys.key(credential), text, signature)


def _found(find: Find, access_key: str) -> Credential:
    credential = find(access_key)
    if credential is None:
        raise refusals.unknown_access_key(access_key)
    return credential


def _parse(authorization: str) -> tuple[Claim, str]:
    """The claim and signature of an Authorization header that has not been seen before."""
    algorithm, _, rest = authorization.partition(" ")
    if algorithm not in (sigv4.ALGORITHM, sigv4a.ALGORITHM):
        if algorithm == "AWS" and ":" in rest:
            raise refusals.invalid_request(_UNSUPPORTED)
        raise refusals.invalid_argument(
            "Unsupported Authorization Type", ArgumentName="Authorization", ArgumentValue=authorization
        )
    fields: dict[str, str] = {}
    for item in rest.split(","):
        name, equals, value = item.strip(" \t").partition("=")
        if not equals or name in fields:
            raise refusals.malformed_authorization(f'"{name}" is given twice or has no value')
        fields[name] = value
    for name in ("Credential", "SignedHeaders", "Signature"):
        if not fields.get(name):
            raise refusals.malformed_authorization(f"it lacks {name}=")
    try:
        return presigned.claim_of(algorithm, fields["Credential"], fields["SignedHeaders"]), fields["Signature"]
    except ValueError as error:
        raise refusals.malformed_authorization(str(error)) from None
