"""Records of objects as stored in `meta`: pure codecs. The formats are docs/formats/object-records.md.

The first 16 bytes of a version's row are its stamp (written by the engine at commit); `Record.body` is what follows.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from functools import lru_cache, wraps
from typing import ParamSpec, TypeVar

import msgspec

from isotherm.errors import Corrupt, Unsupported
from isotherm.objects.layout import version_id
from isotherm.objects.model import Algorithm, Attributes, Bucket, Checksum, Entry, Part, Upload, Version, Versioning
from isotherm.segments.port import EXTENT_PACKED_BYTES, Extent, unpack_extents

P = ParamSpec("P")
R = TypeVar("R")

VERSION = 1

MARKER = 1
NULL = 2
SHARED = 4
MANIFEST = 8
TAG_SET = 16

NO_REFERENCE = bytes(8)
NO_ID = b""

# format version, flags, size, modified_ms, etag, parts in etag, parts, reference, tag count, checksum kind, extents
_FIXED = struct.Struct(">BBQQ16sHH8sIBB")
_STAMPED = struct.Struct(">16sBBQQ16sHH8sIBB")
_AT_FLAGS = 17

_ALGORITHMS = (None, Algorithm.CRC32, Algorithm.CRC32C, Algorithm.CRC64NVME, Algorithm.SHA1, Algorithm.SHA256)
_ALGORITHM_NUMBERS = {algorithm: number for number, algorithm in enumerate(_ALGORITHMS)}
_COMPOSITE = 0x80


class _Rest(msgspec.Struct, array_like=True, frozen=True):
    headers: dict[str, str] = {}
    metadata: dict[str, str] = {}
    tags: dict[str, str] = {}
    checksum: bytes = b""
    checksum_parts: int = 0


class Record(msgspec.Struct, frozen=True):
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


def etag_text(etag: bytes, etag_parts: int) -> str:
    return f"{etag.hex()}-{etag_parts}" if etag_parts else etag.hex()


def encode_record(record: Record) -> bytes:
    """The row after its stamp."""
    checksum = record.checksum
    kind = _ALGORITHM_NUMBERS[checksum.algorithm] | (_COMPOSITE if checksum.parts else 0) if checksum else 0
    flags = record.flags & (MARKER | NULL | SHARED)
    flags |= (MANIFEST if record.manifest else 0) | (TAG_SET if record.tag_set else 0)
    rest = _Rest(
        dict(record.attributes.headers),
        dict(record.attributes.metadata),
        dict(record.tags),
        checksum.value if checksum else b"",
        checksum.parts if checksum else 0,
    )
    fixed = _FIXED.pack(
        VERSION,
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
    return fixed + packed + record.manifest + record.tag_set + msgspec.msgpack.encode(rest)


_decode_rest = msgspec.msgpack.Decoder(_Rest).decode


def decode_record(row: bytes) -> Record:
    """A version's row, stamp first.

    Raises:
        Corrupt: it is not one. Unsupported: of a later format version.
    """
    try:
        stamp, version, flags, size, modified, etag, etag_parts, parts, reference, tag_count, kind, count = (
            _STAMPED.unpack_from(row)
        )
        if version != VERSION:
            raise Unsupported(f"object record of format {version}; this program reads {VERSION}")
        at = _STAMPED.size
        end = at + count * EXTENT_PACKED_BYTES
        extents = tuple(unpack_extents(row[at:end]))
        manifest = tag_set = b""
        if flags & MANIFEST:
            manifest, end = row[end : end + 16], end + 16
        if flags & TAG_SET:
            tag_set, end = row[end : end + 16], end + 16
        rest = _decode_rest(row[end:])
        checksum = None
        if kind:
            algorithm = _ALGORITHMS[kind & ~_COMPOSITE]
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


def is_marker(row: bytes) -> bool:
    return bool(_flags(row) & MARKER)


def is_null(row: bytes) -> bool:
    return bool(_flags(row) & NULL)


def _flags(row: bytes) -> int:
    if len(row) < _STAMPED.size:
        raise Corrupt("an object record is cut short")
    return row[_AT_FLAGS]


def as_version(record: Record, key: str, *, latest: bool) -> Version:
    return Version(
        key,
        record.stamp,
        version_id(record.stamp, record.null),
        latest,
        record.marker,
        record.size,
        record.modified_ms,
        etag_text(record.etag, record.etag_parts),
        record.attributes,
        record.checksum,
        record.parts,
        record.tag_count,
        record.extents,
        record.manifest,
        None if record.tag_set else record.tags,
        bool(record.flags & SHARED),
    )


def as_entry(row: bytes, key: bytes, latest: bool) -> Entry:
    """What a listing shows of a version. Raises as `decode_record`, but looks only at what it shows."""
    try:
        stamp, version, flags, size, modified, etag, etag_parts, _, _, _, kind, _ = _STAMPED.unpack_from(row)
        if version != VERSION:
            raise Unsupported(f"object record of format {version}; this program reads {VERSION}")
        return Entry(
            key.decode(),
            size,
            modified,
            f"{etag.hex()}-{etag_parts}" if etag_parts else etag.hex(),
            "null" if flags & NULL else stamp.hex(),
            latest,
            bool(flags & MARKER),
            _ALGORITHMS[kind & ~_COMPOSITE],
            kind >= _COMPOSITE,
        )
    except (struct.error, LookupError, UnicodeDecodeError) as error:
        raise Corrupt(f"the record of {key!r} cannot be read: {error}") from error


class _Versioned(msgspec.Struct, array_like=True, frozen=True):
    version: int


T = TypeVar("T", bound=_Versioned)


def _row(row: bytes, kind: type[T]) -> T:
    """A row whose first field is the version of its format."""
    stored = msgspec.msgpack.decode(row, type=kind)
    if stored.version != VERSION:
        raise Unsupported(f"a record of format {stored.version}; this program reads {VERSION}")
    return stored


def _refusing(decode: Callable[P, R]) -> Callable[P, R]:
    """`decode`, raising Corrupt for bytes that are no such record, and Unsupported for a later version of one."""

    @wraps(decode)
    def decoded(*args: P.args, **named: P.kwargs) -> R:
        try:
            return decode(*args, **named)
        except (msgspec.DecodeError, struct.error, LookupError, ValueError) as error:
            raise Corrupt(f"a record cannot be read: {error}") from error

    return decoded


class _BucketRow(_Versioned, array_like=True, frozen=True):
    id: int
    created_ms: int
    versioning: int
    tags: dict[str, str] = {}


def encode_bucket(bucket: Bucket) -> bytes:
    row = _BucketRow(VERSION, bucket.id, bucket.created_ms, bucket.versioning.value, dict(bucket.tags))
    return msgspec.msgpack.encode(row)


@lru_cache(1024)
@_refusing
def decode_bucket(row: bytes, name: str) -> Bucket:
    stored = _row(row, _BucketRow)
    return Bucket(stored.id, name, stored.created_ms, Versioning(stored.versioning), stored.tags)


class _UploadRow(_Versioned, array_like=True, frozen=True):
    started_ms: int
    headers: dict[str, str]
    metadata: dict[str, str]
    tags: dict[str, str]
    algorithm: int
    full_object: bool


def encode_upload(upload: Upload) -> bytes:
    attributes = upload.attributes
    return msgspec.msgpack.encode(
        _UploadRow(
            VERSION,
            upload.started_ms,
            dict(attributes.headers),
            dict(attributes.metadata),
            dict(upload.tags),
            _ALGORITHM_NUMBERS[upload.algorithm],
            upload.full_object,
        )
    )


@_refusing
def decode_upload(row: bytes, upload_id: str, key: str) -> Upload:
    stored = _row(row, _UploadRow)
    return Upload(
        upload_id,
        key,
        stored.started_ms,
        Attributes(stored.headers, stored.metadata),
        stored.tags,
        _ALGORITHMS[stored.algorithm],
        stored.full_object,
    )


class _PartRow(_Versioned, array_like=True, frozen=True):
    size: int
    modified_ms: int
    etag: bytes
    etag_parts: int
    algorithm: int
    checksum: bytes
    extents: bytes


def encode_part(part: Part, etag: bytes, etag_parts: int) -> bytes:
    checksum = part.checksum
    return msgspec.msgpack.encode(
        _PartRow(
            VERSION,
            part.size,
            part.modified_ms,
            etag,
            etag_parts,
            _ALGORITHM_NUMBERS[checksum.algorithm if checksum else None],
            checksum.value if checksum else b"",
            b"".join([extent.pack() for extent in part.extents]),
        )
    )


@_refusing
def decode_part(row: bytes, number: int) -> Part:
    stored = _row(row, _PartRow)
    algorithm = _ALGORITHMS[stored.algorithm]
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
    return bytes((VERSION,)) + b"".join([_INDEX.pack(number << 48 | size) for number, size in parts])


@_refusing
def decode_index(row: bytes) -> list[tuple[int, int]]:
    if row[0] != VERSION:
        raise Unsupported(f"manifest of format {row[0]}; this program reads {VERSION}")
    return [(packed >> 48, packed & ((1 << 48) - 1)) for (packed,) in _INDEX.iter_unpack(row[1:])]


def encode_tag(name: str, value: str) -> bytes:
    """A tag of a tag set."""
    return msgspec.msgpack.encode((name, value))


_decode_tag = msgspec.msgpack.Decoder(tuple[str, str]).decode


@_refusing
def decode_tag(row: bytes) -> tuple[str, str]:
    return _decode_tag(row)
