"""Presigned URLs: Signature Version 4 (and 4A) in the query.

A URL is good from X-Amz-Date for X-Amz-Expires seconds, a week at most. x-amz-* parameters beside those of the signature
stand for headers of the same name ("hoisted" by client libraries): they are signed with the query. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass

from isotherm.protocols.s3 import refusals, sigv4, sigv4a
from isotherm.protocols.s3.sigv4 import Claim
from isotherm.protocols.s3.timestamps import parse_basic, render_extended

EXPIRES_S_MOST = 604_800

_REQUIRED = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Signature",
    "X-Amz-Date",
    "X-Amz-SignedHeaders",
    "X-Amz-Expires",
)
_OWN = frozenset(_REQUIRED) | {"X-Amz-Security-Token", "X-Amz-Content-Sha256", "X-Amz-Region-Set"}


@dataclass(frozen=True, slots=True)
class Presigned:
    """What the query says. Times in milliseconds since 1970."""

    claim: Claim
    signature: str
    moment: str
    moment_ms: int
    expires_s: int
    region: str
    payload: str
    token: str


def claim_of(algorithm: str, credential: str, signed: str) -> Claim:
    """Raises ValueError with the reason."""
    regional = algorithm == sigv4.ALGORITHM
    access_key, date, region, scope = sigv4.parse_credential(credential, regional=regional)
    return Claim(algorithm, access_key, date, region, scope, sigv4.parse_signed_headers(signed), signed)


def parse(query: list[tuple[str, str]]) -> Presigned:
    """Raises Invalid(AuthorizationQueryParametersError)."""
    fields: dict[str, str] = {}
    for name, value in query:
        if name in _OWN:
            if name in fields:
                raise refusals.malformed_query(f"{name} was given twice")
            fields[name] = value
    if any(not fields.get(name) for name in _REQUIRED):
        raise refusals.malformed_query(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "
            "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."
        )
    algorithm = fields["X-Amz-Algorithm"]
    if algorithm not in (sigv4.ALGORITHM, sigv4a.ALGORITHM):
        raise refusals.malformed_query(f'X-Amz-Algorithm only supports "{sigv4.ALGORITHM}" and "{sigv4a.ALGORITHM}"')
    moment_ms = parse_basic(fields["X-Amz-Date"])
    if moment_ms is None:
        raise refusals.malformed_query("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    try:
        claim = claim_of(algorithm, fields["X-Amz-Credential"], fields["X-Amz-SignedHeaders"])
    except ValueError as error:
        raise refusals.malformed_query(f"Error parsing the X-Amz-Credential parameter; {error}.") from None
    if not claim.region and not fields.get("X-Amz-Region-Set"):
        raise refusals.malformed_query("X-Amz-Region-Set is required")
    if claim.date != fields["X-Amz-Date"][:8]:
        raise refusals.malformed_query(
            f'Invalid credential date "{claim.date}". This date is not the same as X-Amz-Date: "{fields["X-Amz-Date"][:8]}".'
        )
    return Presigned(
        claim,
        fields["X-Amz-Signature"],
        fields["X-Amz-Date"],
        moment_ms,
        _expires_s(fields["X-Amz-Expires"]),
        claim.region or fields.get("X-Amz-Region-Set", ""),
        fields.get("X-Amz-Content-Sha256", ""),
        fields.get("X-Amz-Security-Token", ""),
    )


def _expires_s(text: str) -> int:
    digits = text.removeprefix("-")
    if not digits.isascii() or not digits.isdigit() or len(digits) > 18:
        raise refusals.malformed_query("X-Amz-Expires should be a number")
    expires_s = max(int(text), -1)  # a negative one was over before it began, and is refused as that
    if expires_s > EXPIRES_S_MOST:
        raise refusals.malformed_query(
            f"X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than {EXPIRES_S_MOST} seconds"
        )
    return expires_s


def demand_valid(asked: Presigned, now_ms: int, skew_s: int) -> None:
    """Raises Denied for a URL whose time has not come or is over."""
    if asked.moment_ms > now_ms + skew_s * 1000:
        raise refusals.denied("Request is not valid yet", ServerTime=render_extended(now_ms))
    ends_ms = asked.moment_ms + asked.expires_s * 1000
    if now_ms >= ends_ms:
        raise refusals.denied(
            "Request has expired",
            **{"X-Amz-Expires": asked.expires_s},
            Expires=render_extended(ends_ms),
            ServerTime=render_extended(now_ms),
        )


def promote(query: list[tuple[str, str]], headers: dict[str, str]) -> dict[str, str]:
    """Take the signature out of `query`, which it changes; `headers` with its other x-amz-* parameters.

    Raises:
        Invalid: a header says something else than the parameter of its name.
    """
    rest = []
    headers = headers.copy()
    for name, value in query:
        lower = name.lower()
        if name in _OWN:
            continue
        if not lower.startswith("x-amz-"):
            rest.append((name, value))
        elif headers.setdefault(lower, value) != value:
            raise refusals.invalid_request(f"The header {lower} and the query parameter {name} contradict each other.")
    query[:] = rest
    return headers
