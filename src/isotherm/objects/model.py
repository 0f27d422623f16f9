"""The values objects are made of, as callers see them. Pure; no I/O.

Object keys, tag keys and tag values are `str`; on disk they are UTF-8. A version id is "null" or the 32 hexadecimal digits
of the stamp of the commit that made the version: the position of that commit in the change feed.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

import msgspec

from isotherm.segments.port import Buffer, Extent, Witness

NULL_VERSION = "null"

BUCKET_NAME_MOST = 63
KEY_BYTES_MOST = 1_024
METADATA_BYTES_MOST = 2_048  # S3: names and values of user metadata together; checked at the S3 edge
TAGS_BYTES_MOST = 4_000_000  # of keys and values in one call
PARTS_MOST = 10_000
PART_BYTES_MOST = 5 << 30
PART_BYTES_LEAST = 5 << 20  # all but the last part
OBJECT_BYTES_MOST = 5 << 40
MD5_BYTES_MOST = 8 << 20  # a longer body has no MD5 computed unless Content-MD5 is sent: docs/adr/0003


class Versioning(Enum):
    UNVERSIONED = 0
    ENABLED = 1
    SUSPENDED = 2


class Algorithm(Enum):
    """Content checksums, by S3's names."""

    CRC32 = "CRC32"
    CRC32C = "CRC32C"
    CRC64NVME = "CRC64NVME"
    SHA1 = "SHA1"
    SHA256 = "SHA256"


class Checksum(msgspec.Struct, frozen=True, gc=False):
    """`value` is the raw digest. `parts` is 0 for a checksum of the whole object, else the number of parts it is composed of."""

    algorithm: Algorithm
    value: bytes
    parts: int = 0


@dataclass(frozen=True, slots=True)
class Bucket:
    """`counted`: the last key up to which usage is counted in a bucket of an earlier version; None: all of it."""

    id: int
    name: str
    created_ms: int
    versioning: Versioning
    tags: Mapping[str, str] = field(default_factory=dict)
    row: bytes | None = field(default=None, repr=False, compare=False)  # what it was read from
    counted: bytes | None = None


class Attributes(msgspec.Struct, frozen=True, gc=False):
    """What a writer says of an object beside its bytes.

    `headers`: the system headers that are stored and given back, by lower-case name (content-type, cache-control,
    content-disposition, content-encoding, content-language, expires, x-amz-website-redirect-location,
    x-amz-storage-class). `metadata`: user metadata by lower-case name without the x-amz-meta- prefix.
    """

    headers: Mapping[str, str] = {}
    metadata: Mapping[str, str] = {}


class Version(msgspec.Struct, frozen=True, gc=False):
    """One version of an object, or a delete marker.

    `etag` is without quotes. `parts` is the number of parts of a completed multipart upload, else 0.
    `extents` holds the bytes of small and medium objects; larger ones name a `manifest` instead (see records.py).
    `tag_count` counts the version's tags. `shared`: some extents may be referred to by copies.
    """

    key: str
    stamp: bytes
    version_id: str
    is_latest: bool
    is_marker: bool
    size: int
    modified_ms: int
    etag: str
    attributes: Attributes
    checksum: Checksum | None
    parts: int
    tag_count: int
    extents: Sequence[Extent]
    manifest: bytes
    inline_tags: Mapping[str, str] | None
    shared: bool


class Entry(msgspec.Struct, frozen=True, gc=False):
    """A row of a listing: cheaper than a `Version`. `version_id` and the flags matter in listings of versions only."""

    key: str
    size: int
    modified_ms: int
    etag: str
    version_id: str
    is_latest: bool
    is_marker: bool
    checksum_algorithm: Algorithm | None
    checksum_composite: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """One page. `prefixes` are the common prefixes; `entries` and `prefixes` together hold at most the page's limit.

    `next_key` is the last key or common prefix of this page when more follow, else None: give it back as `after`.
    `next_version` goes with it in listings of versions: give it back as `after_version`; it need not be a version id.
    """

    entries: Sequence[Entry]
    prefixes: Sequence[str]
    next_key: str | None
    next_version: str | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """Conditions of a write on the current version: an etag without quotes, or "*"."""

    if_match: str | None = None
    if_none_match: str | None = None


@dataclass(frozen=True, slots=True)
class ReadCondition:
    """Conditions of a read, as RFC 9110 §13 orders them. Etags without quotes; several are alternatives."""

    if_match: Sequence[str] = ()
    if_none_match: Sequence[str] = ()
    if_modified_since_ms: int | None = None
    if_unmodified_since_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Digests:
    """What a writer expects of the body.

    `md5`: its MD5, if sent. `algorithm`: the checksum to compute and store, if any; `value`: its expected raw value, if
    known beforehand; `trailer`: asked for it once the body has ended.
    """

    md5: bytes | None = None
    algorithm: Algorithm | None = None
    value: bytes | None = None
    trailer: Callable[[], bytes | None] | None = None


class Body(msgspec.Struct, frozen=True, eq=False):
    """A body that arrives in pieces. `size` is its length in bytes where the sender has declared it.

    The iterator raises what is wrong with the body (length, signature) before it ends; then nothing is stored.

    `hand_over` may be called once, before the first piece: what it returns must then see every piece and be finished by
    whoever takes them, in the iterator's stead, so that hashing happens where it holds up nobody.
    """

    pieces: AsyncIterator[Buffer]
    size: int | None = None
    hand_over: Callable[[], Witness | None] = lambda: None


@dataclass(frozen=True, slots=True)
class Deleted:
    """What a delete did: `marker` tells whether a delete marker was made or removed; `version_id` names it or what was removed."""

    key: str
    version_id: str | None
    marker: bool


@dataclass(frozen=True, slots=True)
class Upload:
    id: str
    key: str
    started_ms: int
    attributes: Attributes
    tags: Mapping[str, str]
    algorithm: Algorithm | None
    full_object: bool


@dataclass(frozen=True, slots=True)
class Part:
    number: int
    size: int
    modified_ms: int
    etag: str
    checksum: Checksum | None
    extents: Sequence[Extent]


@dataclass(frozen=True, slots=True)
class UploadListing:
    uploads: Sequence[Upload]
    prefixes: Sequence[str]
    next_key: str | None
    next_upload: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """An object found by its tags."""

    bucket: str
    key: str
    version_id: str


@dataclass(frozen=True, slots=True)
class Change:
    """A record of the change feed. `kind` is put, delete, marker, tags, bucket-created, bucket-deleted or versioning."""

    cursor: str
    kind: str
    bucket: str
    key: str
    version_id: str
    size: int
    etag: str
