"""Records of objects as stored in `meta`: pure codecs. The formats are docs/formats/object-records.md.

Every record is sealed: a byte of its format's version and a crc32c before what it holds, for the metadata's engine may have no
checksums of its own. In a version's row the stamp (16 bytes, written by the engine at commit) comes before the seal.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache, wraps
from types import MappingProxyType
from typing import ParamSpec, TypeVar

import msgspec
from awscrt.checksums import crc32c

from isotherm.errors import Corrupt, Unsupported
from isotherm.objects.model import (
    NULL_VERSION,
    Algorithm,
    Attributes,
    Bucket,
    Checksum,
    Part,
    Upload,
    Version,
    Versioning,
)
from isotherm.segments.port import EXTENT_PACKED_BYTES, Extent, marked_extent, unpack_extents

P = ParamSpec("P")
R = TypeVar("R")

VERSION = 1
SEALED_VERSION = 2
"""Of a record that refers to sealed extents, so that a program which knows none refuses it. Nothing else differs."""
VERSIONS = frozenset((VERSION, SEALED_VERSION))
BUCKET_VERSION = 2
"""Version 1 did not tell how far a bucket is counted: not at all, when a program that counts first sees it."""

MARKER = 1
NULL = 2
SHARED = 4
MANIFEST = 8
TAG_SET = 16

NO_REFERENCE = bytes(8)
NO_ID = b""

_STAMP_BYTES = 16
_SEAL = struct.Struct(">BI")  # format version, crc32c of what follows
# flags, size, modified_ms, etag, parts in etag, parts, reference, tag count, checksum kind, extents
_FIXED = struct.Struct(">BQQ16sHH8sIBB")
STAMPED = struct.Struct(">16sBIBQQ16sHH8sIBB")  # stamp, seal and fixed fields of a version's row
_SOLE = struct.Struct(">16xBIBQ8x16x2x2x8x4xxBQQQI")  # of the same: seal, flags, size, extents; and the first extent
_AT_FLAGS = _STAMP_BYTES + _SEAL.size
STAMPED_BYTES = STAMPED.size

ALGORITHMS = (None, Algorithm.CRC32, Algorithm.CRC32C, Algorithm.CRC64NVME, Algorithm.SHA1, Algorithm.SHA256)
_ALGORITHM_NUMBERS = {algorithm: number for number, algorithm in enumerate(ALGORITHMS)}
COMPOSITE = 0x80


class _Rest(msgspec.Struct, array_like=True, frozen=True):
    headers: dict[str, str] = {}
    metadata: dict[str, str] = {}
    tags: dict[str, str] = {}
    checksum: bytes = b""
    checksum_parts: int = 0


_encode = msgspec.msgpack.Encoder().encode
_NO_REST = _encode(_Rest())


class Record(msgspec.Struct, frozen=True, gc=False):
    """A version's row, decoded. `etag_parts` is 0 where the etag is an MD5; `tag_set` names tags kept in rows of their own."""

    flags: int
    size: int
    modified_ms: int
    etag: bytes
    etag_parts: int
    parts: int
    reference: bytes
    tag_count: int
    extents: tuple[Extent, ...]
    manifest: bytes
    tag_set: bytes
    attributes: Attributes
    tags: Mapping[str, str]
    checksum: Checksum | None
    stamp: bytes = b""

    @property
    def marker(self) -> bool:
        return bool(self.flags & MARKER)

    @property
    def null(self) -> bool:
        return bool(self.flags & NULL)


def _seal(content: bytes, version: int = VERSION) -> bytes:
    return _SEAL.pack(version, crc32c(content)) + content


def _version_with(extents: Sequence[Extent]) -> int:
    for extent in extents:
        if extent.sealed:
            return SEALED_VERSION
    return VERSION


def _unseal(row: bytes, newest: int = VERSION) -> bytes:
    """What the seal that begins `row` holds. Raises struct.error, Corrupt, Unsupported."""
    version, check = _SEAL.unpack_from(row)
    content = row[_SEAL.size :]
    _check_seal(version, check, content, newest)
    return content


def _check_seal(version: int, check: int, content: bytes, newest: int) -> None:
    if not VERSION <= version <= newest:
        raise Unsupported(f"a record of format {version}; this program reads {newest}")
    if crc32c(content) != check:
        raise Corrupt("a record does not match its checksum")


def etag_text(etag: bytes, etag_parts: int) -> str:
    return f"{etag.hex()}-{etag_parts}" if etag_parts else etag.hex()


def encode_record(record: Record) -> bytes:
    """The row after its stamp."""
    checksum = record.checksum
    kind = _ALGORITHM_NUMBERS[checksum.algorithm] | (COMPOSITE if checksum.parts else 0) if checksum else 0
    flags = record.flags & (MARKER | NULL | SHARED)
    flags |= (MANIFEST if record.manifest else 0) | (TAG_SET if record.tag_set else 0)
    attributes = record.attributes
    if checksum or attributes.headers or attributes.metadata or record.tags:
        rest = _encode(
            _Rest(
                dict(attributes.headers),
                dict(attributes.metadata),
                dict(record.tags),
                checksum.value if checksum else b"",
                checksum.parts if checksum else 0,
            )
        )
    else:
        rest = _NO_REST
    fixed = _FIXED.pack(
        flags,
        record.size,
        record.modified_ms,
        record.etag,
        record.etag_parts,
        record.parts,
        record.reference,
        record.tag_count,
        kind,
        len(record.extents),
    )
    packed = b"".join([extent.pack() for extent in record.extents])
    return _seal(fixed + packed + record.manifest + record.tag_set + rest, _version_with(record.extents))


_decode_rest = msgspec.msgpack.Decoder(_Rest).decode


def decode_record(row: bytes) -> Record:
    """A version's row, stamp first.

    Raises:
        Corrupt: it is not one. Unsupported: of a later format version.
    """
    try:
        (stamp, version, check, flags, size, modified, etag, etag_parts, parts, reference, tag_count, kind, count) = (
            STAMPED.unpack_from(row)
        )
        _check_seal(version, check, row[_AT_FLAGS:], SEALED_VERSION)
        end = STAMPED_BYTES + count * EXTENT_PACKED_BYTES
        extents = tuple(unpack_extents(row[STAMPED_BYTES:end]))
        manifest = tag_set = b""
        if flags & MANIFEST:
            manifest, end = row[end : end + 16], end + 16
        if flags & TAG_SET:
            tag_set, end = row[end : end + 16], end + 16
        rest = _decode_rest(row[end:])
        checksum = None
        if kind:
            algorithm = ALGORITHMS[kind & ~COMPOSITE]
            assert algorithm is not None
            checksum = Checksum(algorithm, rest.checksum, rest.checksum_parts)
    except (struct.error, ValueError, IndexError, AssertionError) as error:
        raise Corrupt(f"an object record cannot be read: {error}") from error
    return Record(
        flags,
        size,
        modified,
        etag,
        etag_parts,
        parts,
        reference,
        tag_count,
        extents,
        manifest,
        tag_set,
        Attributes(rest.headers, rest.metadata),
        rest.tags,
        checksum,
        stamp,
    )


def sole_extent(row: bytes) -> Extent | None:
    """The extent that holds the whole of a version, where one does, without decoding the rest of its row.

    None also for what is no sound row: `decode_record` tells what is wrong with it.
    """
    if len(row) < _SOLE.size:
        return None
    version, check, flags, size, count, segment, offset, marked_length, payload_check = _SOLE.unpack_from(row)
    extent = marked_extent(segment, offset, marked_length, payload_check)
    if count != 1 or extent.length != size or flags & (MARKER | MANIFEST) or version not in VERSIONS:
        return None
    return extent if crc32c(row[_AT_FLAGS:]) == check else None


def is_marker(row: bytes) -> bool:
    return bool(_flags(row) & MARKER)


def is_null(row: bytes) -> bool:
    return bool(_flags(row) & NULL)


def _flags(row: bytes) -> int:
    if len(row) < STAMPED.size:
        raise Corrupt("an object record is cut short")
    return row[_AT_FLAGS]


def as_version(record: Record, key: str, *, latest: bool) -> Version:
    flags, stamp, etag, parts = record.flags, record.stamp, record.etag, record.etag_parts
    return Version(
        key,
        stamp,
        NULL_VERSION if flags & NULL else stamp.hex(),
        latest,
        flags & MARKER != 0,
        record.size,
        record.modified_ms,
        f"{etag.hex()}-{parts}" if parts else etag.hex(),
        record.attributes,
        record.checksum,
        record.parts,
        record.tag_count,
        record.extents,
        record.manifest,
        None if record.tag_set else record.tags,
        flags & SHARED != 0,
    )


def _refusing(decode: Callable[P, R]) -> Callable[P, R]:
    """`decode`, raising Corrupt for bytes that are no such record, and Unsupported for a later version of one."""

    @wraps(decode)
    def decoded(*args: P.args, **named: P.kwargs) -> R:
        try:
            return decode(*args, **named)
        except (msgspec.DecodeError, struct.error, LookupError, ValueError) as error:
            raise Corrupt(f"a record cannot be read: {error}") from error

    return decoded


class _BucketRow(msgspec.Struct, array_like=True, frozen=True):
    id: int
    created_ms: int
    versioning: int
    tags: dict[str, str] = {}
    counted: bytes | None = b""


def encode_bucket(bucket: Bucket) -> bytes:
    row = _BucketRow(bucket.id, bucket.created_ms, bucket.versioning.value, dict(bucket.tags), bucket.counted)
    return _seal(msgspec.msgpack.encode(row), BUCKET_VERSION)


@lru_cache(1_024)  # of a bucket in use every request reads the same row again
@_refusing
def decode_bucket(row: bytes, name: str) -> Bucket:
    stored = msgspec.msgpack.decode(_unseal(row, BUCKET_VERSION), type=_BucketRow)
    tags = MappingProxyType(stored.tags)  # it is shared: nobody's change may reach others, or the store
    return Bucket(stored.id, name, stored.created_ms, Versioning(stored.versioning), tags, row, stored.counted)


class _UploadRow(msgspec.Struct, array_like=True, frozen=True):
    started_ms: int
    headers: dict[str, str]
    metadata: dict[str, str]
    tags: dict[str, str]
    algorithm: int
    full_object: bool


def encode_upload(upload: Upload) -> bytes:
    attributes = upload.attributes
    row = _UploadRow(
        upload.started_ms,
        dict(attributes.headers),
        dict(attributes.metadata),
        dict(upload.tags),
        _ALGORITHM_NUMBERS[upload.algorithm],
        upload.full_object,
    )
    return _seal(msgspec.msgpack.encode(row))


@_refusing
def decode_upload(row: bytes, upload_id: str, key: str) -> Upload:
    stored = msgspec.msgpack.decode(_unseal(row), type=_UploadRow)
    return Upload(
        upload_id,
        key,
        stored.started_ms,
        Attributes(stored.headers, stored.metadata),
        stored.tags,
        ALGORITHMS[stored.algorithm],
        stored.full_object,
    )


class _PartRow(msgspec.Struct, array_like=True, frozen=True):
    size: int
    modified_ms: int
    etag: bytes
    etag_parts: int
    algorithm: int
    checksum: bytes
    extents: bytes


def encode_part(part: Part, etag: bytes, etag_parts: int) -> bytes:
    checksum = part.checksum
    row = _PartRow(
        part.size,
        part.modified_ms,
        etag,
        etag_parts,
        _ALGORITHM_NUMBERS[checksum.algorithm if checksum else None],
        checksum.value if checksum else b"",
        b"".join([extent.pack() for extent in part.extents]),
    )
    return _seal(msgspec.msgpack.encode(row), _version_with(part.extents))


@_refusing
def decode_part(row: bytes, number: int) -> Part:
    stored = msgspec.msgpack.decode(_unseal(row, SEALED_VERSION), type=_PartRow)
    algorithm = ALGORITHMS[stored.algorithm]
    return Part(
        number,
        stored.size,
        stored.modified_ms,
        etag_text(stored.etag, stored.etag_parts),
        Checksum(algorithm, stored.checksum) if algorithm else None,
        unpack_extents(stored.extents),
    )


_INDEX = struct.Struct(">Q")


def encode_index(parts: list[tuple[int, int]]) -> bytes:
    """The index of a manifest: (part number, size) in order, 8 bytes each: u16 ‖ u48."""
    return _seal(b"".join([_INDEX.pack(number << 48 | size) for number, size in parts]))


@_refusing
def decode_index(row: bytes) -> list[tuple[int, int]]:
    return [(packed >> 48, packed & ((1 << 48) - 1)) for (packed,) in _INDEX.iter_unpack(_unseal(row))]


def encode_tag(name: str, value: str) -> bytes:
    """A tag of a tag set."""
    return _seal(msgspec.msgpack.encode((name, value)))


_decode_tag = msgspec.msgpack.Decoder(tuple[str, str]).decode


@_refusing
def decode_tag(row: bytes) -> tuple[str, str]:
    return _decode_tag(_unseal(row))
