"""Content checksums and etags: computing, comparing, composing. Pure.

Sources: S3 "Checking object integrity" (algorithms, full-object and composite checksums); CRCs are computed and combined by
awscrt. A composite checksum is the digest of the parts' raw digests; a full-object checksum of parts is combined from
their CRCs and exists for CRC algorithms only.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from hmac import compare_digest
from typing import Any

from awscrt import checksums as crt

from isotherm.errors import Invalid
from isotherm.objects.model import Algorithm, Checksum, Digests, Part
from isotherm.segments.port import Buffer

_CRC: dict[Algorithm, tuple[Callable[[Any, int], int], Callable[[int, int, int], int], int]] = {
    Algorithm.CRC32: (crt.crc32, crt.combine_crc32, 4),
    Algorithm.CRC32C: (crt.crc32c, crt.combine_crc32c, 4),
    Algorithm.CRC64NVME: (crt.crc64nvme, crt.combine_crc64nvme, 8),
}
_HASH: dict[Algorithm, Callable[[], Any]] = {Algorithm.SHA1: hashlib.sha1, Algorithm.SHA256: hashlib.sha256}

DIGEST_BYTES = {algorithm: size for algorithm, (_, _, size) in _CRC.items()} | {
    Algorithm.SHA1: 20,
    Algorithm.SHA256: 32,
}

MD5_OF_NOTHING = hashlib.md5(b"", usedforsecurity=False).digest()


def supports_full_object(algorithm: Algorithm) -> bool:
    """Whether the checksum of a whole object follows from those of its parts."""
    return algorithm in _CRC


class Digester:
    """Digests of one body as it passes: MD5 if `md5`, and `algorithm` if any. `update` in order, from any one thread.

    Args:
        md5_most: no MD5 is computed of a body that outgrows so many bytes.
    """

    __slots__ = ("_algorithm", "_crc", "_hash", "_md5", "_md5_most", "size")

    def __init__(self, algorithm: Algorithm | None, *, md5: bool, md5_most: int = sys.maxsize) -> None:
        self._md5_most = md5_most
        self._algorithm = algorithm
        self._md5 = hashlib.md5(usedforsecurity=False) if md5 else None
        self._hash = _HASH[algorithm]() if algorithm in _HASH else None
        self._crc = 0
        self.size = 0

    def update(self, data: Buffer) -> None:
        self.size += len(data)
        if self._md5 is not None:
            if self.size > self._md5_most:
                self._md5 = None
            else:
                self._md5.update(data)
        if self._algorithm is not None:
            if self._hash is not None:
                self._hash.update(data)
            else:
                self._crc = _CRC[self._algorithm][0](data, self._crc)

    @property
    def md5(self) -> bytes | None:
        return self._md5.digest() if self._md5 is not None else None

    @property
    def checksum(self) -> Checksum | None:
        if self._algorithm is None:
            return None
        if self._hash is not None:
            return Checksum(self._algorithm, self._hash.digest())
        return Checksum(self._algorithm, self._crc.to_bytes(_CRC[self._algorithm][2], "big"))


def verify(digester: Digester, digests: Digests) -> None:
    """Compare what arrived with what the writer expects.

    Raises:
        Invalid: BadDigest; or InvalidRequest for an expected value of a wrong length.
    """
    if digests.md5 is not None and not compare_digest(digester.md5 or b"", digests.md5):
        raise Invalid("The Content-MD5 you specified did not match what we received.", code="BadDigest")
    expected = digests.value
    if expected is None and digests.trailer is not None:
        expected = digests.trailer()
    if expected is None:
        return
    checksum = digester.checksum
    if checksum is None:
        return
    name = checksum.algorithm.value
    if len(expected) != DIGEST_BYTES[checksum.algorithm]:
        raise Invalid(f"Value for x-amz-checksum-{name.lower()} header is invalid.", code="InvalidRequest")
    if not compare_digest(checksum.value, expected):
        raise Invalid(f"The {name} you specified did not match the calculated checksum.", code="BadDigest")


def compose_etag(parts: Sequence[Part]) -> bytes:
    """The digest part of a completed upload's etag: the MD5 of its parts' etag digests."""
    joined = b"".join([bytes.fromhex(part.etag[:32]) for part in parts])
    return hashlib.md5(joined, usedforsecurity=False).digest()


def compose_checksum(algorithm: Algorithm, parts: Sequence[Part], *, full_object: bool) -> Checksum:
    """The checksum of a completed upload from those of its parts, all of which must have one of `algorithm`."""
    values = []
    for part in parts:
        if part.checksum is None or part.checksum.algorithm is not algorithm:
            raise Invalid(f"Part {part.number} has no {algorithm.value} checksum.", code="InvalidPart")
        values.append(part.checksum.value)
    if full_object:
        _, combine, size = _CRC[algorithm]
        total = int.from_bytes(values[0], "big")
        for value, part in zip(values[1:], parts[1:], strict=True):
            total = combine(total, int.from_bytes(value, "big"), part.size)
        return Checksum(algorithm, total.to_bytes(size, "big"))
    digester = Digester(algorithm, md5=False)
    digester.update(b"".join(values))
    composed = digester.checksum
    assert composed is not None
    return Checksum(algorithm, composed.value, len(parts))
