"""What must hold of a body's bytes: its signed hash, or its aws-chunked framing with a chain of signatures.

`check_for` decides from what was signed; a check is fed the payload as it arrives, gives back the bytes that are the
object's, and `finish` raises if they are not what was signed. Pure, without I/O; a check serves one body.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Protocol

from isotherm.protocols.s3 import refusals, sigv4, sigv4a
from isotherm.protocols.s3.authentication import Authenticator, Proof
from isotherm.protocols.s3.chunked import AwsChunks, Chain, ChunkedCheck, EcdsaChain, HmacChain
from isotherm.protocols.s3.parsing import Head
from isotherm.protocols.s3.sigv4 import EMPTY_SHA256, UNSIGNED_PAYLOAD
from isotherm.segments.port import Buffer

_VARIANTS = {
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER": ("", True),
    f"STREAMING-{sigv4.ALGORITHM}-PAYLOAD": (sigv4.ALGORITHM, False),
    f"STREAMING-{sigv4.ALGORITHM}-PAYLOAD-TRAILER": (sigv4.ALGORITHM, True),
    f"STREAMING-{sigv4a.ALGORITHM}-PAYLOAD": (sigv4a.ALGORITHM, False),
    f"STREAMING-{sigv4a.ALGORITHM}-PAYLOAD-TRAILER": (sigv4a.ALGORITHM, True),
}
_LENGTH_DIGITS_MOST = 18
_HASH = re.compile(r"[0-9a-f]{64}").fullmatch


class Check(Protocol):
    def feed(self, data: Buffer) -> Sequence[Buffer]: ...

    def finish(self) -> None: ...


class HashCheck:
    """The SHA-256 that was signed is that of the body.

    Also a `Witness` (segments/port.py), so that a large body is hashed on the thread that writes it. What is not stored is
    hashed on the event loop: a piece is what one read from a socket gave, at most 256 KiB, which takes 0.15 ms; handing it to a
    thread only for that would cost more than twice the processor time.
    """

    __slots__ = ("_expected", "_hash")

    def __init__(self, expected: str) -> None:
        self._expected = expected
        self._hash = hashlib.sha256()

    def update(self, data: Buffer) -> None:
        self._hash.update(data)

    def feed(self, data: Buffer) -> Sequence[Buffer]:
        self._hash.update(data)
        return (data,)

    def finish(self) -> None:
        computed = self._hash.hexdigest()
        if computed != self._expected:
            raise refusals.wrong_payload_hash(self._expected, computed)


def check_for(
    proof: Proof, head: Head, authenticator: Authenticator, trailers: dict[str, str]
) -> tuple[Check | None, int | None]:
    """The check of this request's body (None: nothing was signed) and the size of what it gives, where that was declared.

    Raises:
        Invalid: a payload word this server does not know, or a hash that cannot be that of no body; headers that lack.
    """
    payload = proof.payload
    if payload == UNSIGNED_PAYLOAD or (payload == EMPTY_SHA256 and not head.length and not head.chunked):
        return None, head.length
    if _HASH(payload) is not None:
        if head.chunked or head.length:
            return HashCheck(payload), head.length
        raise refusals.wrong_payload_hash(payload, EMPTY_SHA256)
    variant = _VARIANTS.get(payload)
    if variant is None:
        raise refusals.invalid_argument(
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, one of S3's STREAMING- values, or a valid sha256 value.",
            ArgumentName="x-amz-content-sha256",
            ArgumentValue=payload,
        )
    if not head.chunked and not head.length:
        raise refusals.length_required()
    algorithm, trailing = variant
    used = proof.claim.algorithm if proof.claim else "Signature Version 2"
    if algorithm and algorithm != used:
        raise refusals.invalid_request(f"x-amz-content-sha256 {payload} does not go with {used}.")
    declared = _declared(head)
    announced = _announced(head.headers) if trailing else ()
    chunks = AwsChunks(declared, _chain(algorithm, proof, authenticator), announced, trailing=trailing)
    return ChunkedCheck(chunks, trailers), declared


def _chain(algorithm: str, proof: Proof, authenticator: Authenticator) -> Chain | None:
    claim = proof.claim
    if claim is None or not algorithm:
        return None
    if algorithm == sigv4.ALGORITHM:
        signer = authenticator.signing_keys.signer(proof.credential, claim.scope)
        return HmacChain(signer, proof.moment, claim.scope, proof.signature)
    public = authenticator.verifying_keys.key(proof.credential)
    return EcdsaChain(public, proof.moment, claim.scope, proof.signature)


def _declared(head: Head) -> int | None:
    """x-amz-decoded-content-length; it may be missing only where HTTP's own chunks leave the length open too."""
    text = head.headers.get("x-amz-decoded-content-length")
    if text is None:
        if head.chunked:
            return None
        raise refusals.length_required()
    if not text.isascii() or not text.isdigit() or len(text) > _LENGTH_DIGITS_MOST:
        raise refusals.invalid_argument("x-amz-decoded-content-length is not a number of bytes.")
    return int(text)


def _announced(headers: dict[str, str]) -> set[str]:
    names = {name.strip().lower() for name in headers.get("x-amz-trailer", "").split(",")}
    return names - {""}


def without_aws_chunked(encoding: str) -> str:
    """A Content-Encoding freed of the framing that only the connection sees."""
    return ",".join([part for item in encoding.split(",") if (part := item.strip()).lower() != "aws-chunked" and part])
