"""aws-chunked: a body in chunks that may each be signed, with trailers that may be.

Five variants, told by x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER, and STREAMING-AWS4-HMAC-SHA256-PAYLOAD or
STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, each also with -TRAILER. Every chunk's signature covers the one before it, from the
request's own on, so that none can be left out, repeated or moved. Source: "Signature Calculations for the Authorization
Header: Transferring Payload in Multiple Chunks", and "… Including Trailing Headers", Amazon S3 API Reference.

Pure, without I/O; an object serves one body.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from hashlib import sha256
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec

from isotherm.errors import IsothermError
from isotherm.protocols.s3 import refusals, sigv4, sigv4a
from isotherm.protocols.s3.framing import ChunkFraming
from isotherm.protocols.s3.sigv4 import EMPTY_SHA256
from isotherm.segments.port import Buffer

CHUNK_BYTES_LEAST = 8_192
TRAILER_SIGNATURE = "x-amz-trailer-signature"

_SIGNATURE = re.compile(rb";chunk-signature=([0-9a-f]{64})").fullmatch
_SIGNATURE_V4A = re.compile(rb";chunk-signature=([0-9a-fA-F]{2,144}\**)").fullmatch


class Chain(Protocol):
    """The chain of signatures of one body."""

    def chunk(self, payload_hash: str, extension: bytes) -> None:
        """Raises Denied unless the chunk is signed as the next one."""
        ...

    def trailer(self, trailer_hash: str, signature: str) -> None: ...


class HmacChain:
    __slots__ = ("_last", "_moment", "_scope", "_signer")

    def __init__(self, signer: sigv4.Signer, moment: str, scope: str, seed: str) -> None:
        self._signer = signer
        self._moment = moment
        self._scope = scope
        self._last = seed

    def chunk(self, payload_hash: str, extension: bytes) -> None:
        found = _SIGNATURE(extension)
        if found is None:
            raise refusals.wrong_chunk_signature()
        self._next(f"{sigv4.ALGORITHM}-PAYLOAD", f"{EMPTY_SHA256}\n{payload_hash}", found[1].decode())

    def trailer(self, trailer_hash: str, signature: str) -> None:
        self._next(f"{sigv4.ALGORITHM}-TRAILER", trailer_hash, signature)

    def _next(self, what: str, hashes: str, signature: str) -> None:
        expected = self._signer.sign(f"{what}\n{self._moment}\n{self._scope}\n{self._last}\n{hashes}")
        if not sigv4.same(expected, signature):
            raise refusals.wrong_chunk_signature()
        self._last = expected


class EcdsaChain:
    """Signatures of chunks are filled up with "*"; what the next one covers is without them."""

    __slots__ = ("_key", "_last", "_moment", "_scope")

    def __init__(self, key: ec.EllipticCurvePublicKey, moment: str, scope: str, seed: str) -> None:
        self._key = key
        self._moment = moment
        self._scope = scope
        self._last = seed

    def chunk(self, payload_hash: str, extension: bytes) -> None:
        found = _SIGNATURE_V4A(extension)
        if found is None:
            raise refusals.wrong_chunk_signature()
        self._next(f"{sigv4a.ALGORITHM}-PAYLOAD", f"{EMPTY_SHA256}\n{payload_hash}", found[1].decode())

    def trailer(self, trailer_hash: str, signature: str) -> None:
        self._next(f"{sigv4a.ALGORITHM}-TRAILER", trailer_hash, signature)

    def _next(self, what: str, hashes: str, signature: str) -> None:
        plain = signature.rstrip("*")
        text = f"{what}\n{self._moment}\n{self._scope}\n{self._last}\n{hashes}"
        if not sigv4a.verifies(self._key, text, plain):
            raise refusals.wrong_chunk_signature()
        self._last = plain


class AwsChunks(ChunkFraming):
    """The framing, with what each chunk and the trailers must hold.

    Args:
        declared: x-amz-decoded-content-length, where it was sent.
        chain: of signatures; None for the unsigned variant.
        announced: lower-case names of x-amz-trailer; no other trailer is accepted, and each must come.
        trailing: whether the variant has trailers at all.
    """

    __slots__ = ("_announced", "_chain", "_declared", "_extension", "_hash", "_small", "_total", "_trailing")

    def __init__(
        self, declared: int | None, chain: Chain | None, announced: Collection[str] = (), *, trailing: bool
    ) -> None:
        super().__init__()
        self._declared = declared
        self._chain = chain
        self._announced = announced
        self._trailing = trailing
        self._small = False
        self._total = 0
        self._extension = b""
        self._hash = sha256()

    def refusal(self, why: str) -> IsothermError:
        return refusals.incomplete_body(f"The aws-chunked body is malformed: {why}.")

    def begin(self, size: int, extension: bytes) -> None:
        if size and self._small:
            raise refusals.chunk_too_small()
        self._small = size < CHUNK_BYTES_LEAST
        self._total += size
        if self._declared is not None and self._total > self._declared:
            raise refusals.incomplete_body("The body is longer than x-amz-decoded-content-length says.")
        if self._chain is None:
            if extension:
                raise self.refusal("chunks of an unsigned body have no extensions")
        elif size:
            self._extension = extension
            self._hash = sha256()
        else:
            self._chain.chunk(EMPTY_SHA256, extension)

    def passed(self, data: memoryview) -> None:
        if self._chain is not None:
            self._hash.update(data)

    def ended(self) -> None:
        if self._chain is not None:
            self._chain.chunk(self._hash.hexdigest(), self._extension)

    def finished(self) -> None:
        if self._declared is not None and self._total != self._declared:
            raise refusals.incomplete_body("The body is shorter than x-amz-decoded-content-length says.")
        given = dict(self.trailers)
        if len(given) != len(self.trailers):
            raise refusals.malformed_trailer("a trailer was given twice")
        if self._trailing and self._chain is not None:
            signature = given.pop(TRAILER_SIGNATURE, "")
            lines = "".join([f"{name}:{value}\n" for name, value in sorted(given.items())])
            self._chain.trailer(sha256(lines.encode("latin-1")).hexdigest(), signature)
        if given.keys() != set(self._announced):
            raise refusals.malformed_trailer("the trailers are not those of x-amz-trailer")


class ChunkedCheck:
    """A check (payload.py) that frees a body of its aws-chunked framing. Fills `trailers` when the body has ended."""

    __slots__ = ("_chunks", "_trailers")

    def __init__(self, chunks: AwsChunks, trailers: dict[str, str]) -> None:
        self._chunks = chunks
        self._trailers = trailers

    def feed(self, data: Buffer) -> Sequence[Buffer]:
        pieces, rest = self._chunks.feed(data)
        if rest:
            raise refusals.incomplete_body("The aws-chunked body goes on behind its end.")
        return pieces

    def finish(self) -> None:
        if not self._chunks.done:
            raise refusals.incomplete_body("The aws-chunked body ended before its last chunk.")
        self._trailers.update((name, value) for name, value in self._chunks.trailers if name != TRAILER_SIGNATURE)
