"""AWS Signature Version 4: what is signed, and with which key.

Canonical requests are built from what was sent, not from what was understood: the path percent-decoded and encoded again
(once, S3's way; no normalisation of dots or slashes), the query sorted by encoded name, the headers that the client says it
signed. Source: "Authenticating Requests (AWS Signature Version 4)", Amazon S3 API Reference.

Pure, but for `SigningKeys`, a bounded cache used on one loop's thread.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from hmac import compare_digest, digest
from urllib.parse import quote, unquote_to_bytes

from isotherm.protocols.s3 import refusals
from isotherm.tenancy.identity import Credential

ALGORITHM = "AWS4-HMAC-SHA256"
TERMINATOR = "aws4_request"
SERVICE = "s3"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = sha256(b"").hexdigest()

_PLAIN_PATH = re.compile(r"[A-Za-z0-9\-._~/]*").fullmatch
_PLAIN_NAME = re.compile(r"[A-Za-z0-9\-._~]*").fullmatch
_SPACES = re.compile(r"[ \t]+")
_SCOPE_DATE = re.compile(r"[0-9]{8}").fullmatch
_KEYS_MOST = 16_384
_BLOCK_BYTES = 64


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says of its signature. `scope` is date/region/s3/aws4_request (SigV4A: without the region)."""

    algorithm: str
    access_key: str
    date: str
    region: str
    scope: str
    names: tuple[str, ...]
    signed: str
    amz: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "amz", frozenset(name for name in self.names if name[:6] == "x-amz-"))
        if "host" not in self.names:
            raise refusals.denied(
                "There were headers present in the request which were not signed", HeadersNotSigned="host"
            )


def parse_credential(text: str, *, regional: bool) -> tuple[str, str, str, str]:
    """(access key, date, region, scope) of a Credential value.

    Raises:
        ValueError: with the reason, for the caller to word.
    """
    parts = text.split("/")
    width = 5 if regional else 4
    if len(parts) < width:
        raise ValueError(f'the Credential is mal-formed; expecting "<YOUR-AKID>/{_shape(regional)}"')
    access_key = "/".join(parts[: 1 - width])
    date, service, terminator = parts[1 - width], parts[-2], parts[-1]
    if terminator != TERMINATOR:
        raise ValueError(f'incorrect terminal "{terminator}". This endpoint uses "{TERMINATOR}"')
    if service != SERVICE:
        raise ValueError(f'incorrect service "{service}". This endpoint belongs to "{SERVICE}"')
    if _SCOPE_DATE(date) is None:
        raise ValueError(
            f'incorrect date format "{date}". This date in the credential must be in the format "yyyyMMdd"'
        )
    region = parts[-3] if regional else ""
    if regional and not region:
        raise ValueError("the region is missing")
    if not access_key or not text.isascii():
        raise ValueError("the access key is missing or not of ASCII")
    return access_key, date, region, "/".join(parts[1 - width :])


def _shape(regional: bool) -> str:
    return f"YYYYMMDD/{'REGION/' if regional else ''}SERVICE/{TERMINATOR}"


def parse_signed_headers(text: str) -> tuple[str, ...]:
    """The names of SignedHeaders. Raises ValueError for an empty list, a name in capitals, or one given twice."""
    names = tuple(text.split(";"))
    if not all(names) or not text.isascii() or text != text.lower() or len(set(names)) != len(names):
        raise ValueError("SignedHeaders is mal-formed")
    return names


def canonical_path(raw: str) -> str:
    if _PLAIN_PATH(raw) is not None:
        return raw
    return quote(unquote_to_bytes(raw), safe="/-._~")


def canonical_query(pairs: list[tuple[str, str]]) -> str:
    """Of decoded pairs, X-Amz-Signature left out by the caller."""
    encoded = [(_encoded(name), _encoded(value)) for name, value in pairs]
    encoded.sort()
    return "&".join([f"{name}={value}" for name, value in encoded])


def _encoded(text: str) -> str:
    return text if _PLAIN_NAME(text) is not None else quote(text, safe="-._~")


def canonical_headers(headers: Mapping[str, str], names: tuple[str, ...]) -> str:
    """`name:value` lines; a header that is signed but absent counts as empty. Runs of blanks count as one."""
    lines = "\n".join([f"{name}:{headers.get(name, '')}" for name in names])
    if "  " in lines or "\t" in lines:
        return _SPACES.sub(" ", lines)
    return lines


def demand_signed(headers: Mapping[str, str], claim: Claim) -> None:
    """Refuse x-amz-* headers that are not signed: somebody on the way may have added them."""
    signed = claim.amz
    if "\n".join(headers).count("x-amz-") == len(signed) and headers.keys() >= signed:
        return
    stray = [name for name in headers if name[:6] == "x-amz-" and name not in signed]
    if stray:
        raise refusals.denied(
            "There were headers present in the request which were not signed", HeadersNotSigned=", ".join(stray)
        )


def string_to_sign(lead: str, canonical: str) -> str:
    """`lead`: the lines of algorithm, moment and scope."""
    return lead + sha256(canonical.encode("latin-1")).hexdigest()


def signing_key(secret: str, scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = digest(key, part.encode(), "sha256")
    return key


class Signer:
    """HMAC-SHA256 under one key. Both of its hashes have taken in the key already: half the cost of `hmac.digest`."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes) -> None:
        block = key.ljust(_BLOCK_BYTES, b"\0")
        self._inner = sha256(bytes(byte ^ 0x36 for byte in block))
        self._outer = sha256(bytes(byte ^ 0x5C for byte in block))

    def sign(self, text: str) -> str:
        inner, outer = self._inner.copy(), self._outer.copy()
        inner.update(text.encode("latin-1"))
        outer.update(inner.digest())
        return outer.hexdigest()


def same(expected: str, given: str) -> bool:
    """Compared in a time that tells nothing of where they differ."""
    return compare_digest(expected.encode(), given.encode("utf-8", "replace"))


class SigningKeys:
    """Keys derived lately. A key is used only with the very pair it was derived from, as `find` tells it at each request."""

    __slots__ = ("_keys", "_last")

    def __init__(self) -> None:
        self._keys: dict[tuple[str, str], tuple[Credential, Signer]] = {}
        self._last: tuple[Credential, str, Signer] | None = None

    def signer(self, credential: Credential, scope: str) -> Signer:
        last = self._last
        if last is not None and last[0] is credential and last[1] is scope:
            return last[2]
        signer = self._signer(credential, scope)
        self._last = (credential, scope, signer)
        return signer

    def _signer(self, credential: Credential, scope: str) -> Signer:
        known = self._keys.get((credential.access_key, scope))
        if known is not None and (known[0] is credential or known[0] == credential):
            return known[1]
        if len(self._keys) >= _KEYS_MOST:
            self._keys.clear()
        signer = Signer(signing_key(credential.secret, scope))
        self._keys[credential.access_key, scope] = (credential, signer)
        return signer
