"""What a check of a store may find, and the report it makes of it. Pure but for the counting.

A finding has a *kind*; kinds have a *level*, which says what it means for the data:

    error   something stored cannot be read, found or trusted, or is about to be lost
    waste   space or rows to which nothing refers and which no background work will ever give back
    note    worth knowing; nothing is lost and nothing leaks

Counts are exact whatever their number; of each kind only the first few findings are kept whole. Repairs are not kept here
but handed on as they are found (repairs.py). Used by the thread that runs the check.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import msgspec

KEPT_OF_A_KIND = 100
FORMAT = 1


class Level(StrEnum):
    ERROR = "error"
    WASTE = "waste"
    NOTE = "note"


class Kind(StrEnum):
    """Every finding there is; the comment says what it means."""

    # metadata
    ROW_DAMAGED = "row-damaged"  # a row cannot be read as what its table holds
    ROW_UNKNOWN = "row-unknown"  # a table this program does not know
    BUCKET_MISSING = "bucket-missing"  # rows of a bucket that is not there
    BUCKET_NAME_MISSING = "bucket-name-missing"  # a bucket without the row that leads from its id to its name
    BUCKET_NAME_STALE = "bucket-name-stale"  # such a row without a bucket
    HISTORY_BROKEN = "history-broken"  # live and older versions of a key contradict each other
    NULL_MISSING = "null-missing"  # a null version outside `live` to which no null row points
    NULL_STALE = "null-stale"  # a null row that points to no null version
    STAMP_AHEAD = "stamp-ahead"  # a stamp later than the newest commit
    OBJECT_DAMAGED = "object-damaged"  # a version that cannot be read whole; others say why
    UPLOAD_DAMAGED = "upload-damaged"  # the same of an upload that is under way
    SIZE_DIFFERS = "size-differs"  # a version's size is not the sum of its extents or parts
    # manifests
    MANIFEST_MISSING = "manifest-missing"  # a version names a manifest that is not there
    PART_MISSING = "part-missing"  # a manifest names a part that is not there
    MANIFEST_DIFFERS = "manifest-differs"  # a manifest's index is not its parts
    MANIFEST_CONDEMNED = "manifest-condemned"  # in use, and marked to be dismantled
    MANIFEST_UNPROTECTED = "manifest-unprotected"  # several versions share it, and one has no reference row
    MANIFEST_ORPHAN = "manifest-orphan"  # parts or an index that nothing refers to
    REFERENCE_STALE = "reference-stale"  # a reference row of a version that is not there
    # tags
    TAGS_DIFFER = "tags-differ"  # a version's count of tags is not their number
    TAG_UNINDEXED = "tag-unindexed"  # a tag without its index row
    TAG_INDEX_STALE = "tag-index-stale"  # an index row without its tag
    TAG_SET_ORPHAN = "tag-set-orphan"  # tags that no version names
    # segments
    SEGMENT_MISSING = "segment-missing"  # a file that is referred to is gone
    SEGMENT_UNREADABLE = "segment-unreadable"  # its header is damaged, or the device fails
    SEGMENT_UNKNOWN = "segment-unknown"  # referred to, and without a row
    SEGMENT_SHORT = "segment-short"  # a sealed file ends before the extents it was sealed with
    EXTENT_DAMAGED = "extent-damaged"  # bytes that are referred to fail their checksum, or lie beyond the file
    EXTENT_UNMARKED = "extent-unmarked"  # bytes are good, but their header is damaged or names another owner
    EXTENT_OVERLAPS = "extent-overlaps"  # two extents that are referred to share bytes
    EXTENT_UNPROTECTED = "extent-unprotected"  # several versions share it, and one has no reference row
    DIGEST_DIFFERS = "digest-differs"  # bytes are good, but not those the version's MD5 was taken of
    LIVE_TOO_LOW = "live-too-low"  # fewer live bytes counted than are referred to
    LIVE_TOO_HIGH = "live-too-high"  # more
    SHARE_STALE = "share-stale"  # a reference row of an extent that its owner does not refer to
    SEGMENT_ROW_STALE = "segment-row-stale"  # rows of a segment whose file is gone and that nothing refers to
    EMPTIED_REFERRED = "emptied-referred"  # about to be unlinked, and referred to
    SEGMENT_STRANGER = "segment-stranger"  # a file with extents that nothing knows of
    LEFTOVER = "leftover"  # a file that a killed process left behind
    SEGMENT_COUNTS = "segment-counts"  # a sealed segment's row is not what its file holds
    SEGMENT_GAP = "segment-gap"  # bytes between extents that belong to none: damage in dead space
    SEGMENT_CRASHED = "segment-crashed"  # open, but no process holds it: recovery will seal it
    # feed and identity
    FEED_DAMAGED = "feed-damaged"  # records that cannot be read, or out of order
    CREDENTIAL_DAMAGED = "credential-damaged"  # a credential's row cannot be read
    CREDENTIAL_INDEX_WRONG = "credential-index-wrong"  # the credentials of a tenant are not those its index names
    TENANT_DAMAGED = "tenant-damaged"  # a node of the tree cannot be read, or does not hang on it
    TENANT_NAME_WRONG = "tenant-name-wrong"  # a name leads to another tenant than the one that bears it, or to none
    TENANT_PROMISES_WRONG = "tenant-promises-wrong"  # a sum of promises is not what the children claim
    TENANT_KEY_MISSING = (
        "tenant-key-missing"  # sealed bytes whose tenant's key cannot be opened: a secret or a row is gone
    )
    TENANT_KEY_WRONG = (
        "tenant-key-wrong"  # a tenant's key is damaged, does not open, or hangs on another tenant than its parent
    )
    AUDIT_BROKEN = "audit-broken"  # a chain of the audit log is not what was written
    AUDIT_INDEX_WRONG = (
        "audit-index-wrong"  # a record of the audit log is not seen where it belongs, or the index leads to none
    )
    ERASURE_DAMAGED = "erasure-damaged"  # an erasure, or a certificate of one, cannot be read or is of no such tenant
    ERASURE_LOST = "erasure-lost"  # a tenant that is being erased has no row that says so
    USAGE_WRONG = "usage-wrong"  # a tenant is charged for more or less than it holds
    TENANT_IDS_BEHIND = "tenant-ids-behind"  # the last id given is lower than one that is in use
    GRANT_DAMAGED = "grant-damaged"  # a grant cannot be read
    GRANT_DANGLING = "grant-dangling"  # a grant of a bucket that is gone
    GRANT_ROWS_WRONG = "grant-rows-wrong"  # what is derived from grants, their index and mounts, is not what they say


_WASTE = {
    Kind.GRANT_DANGLING,
    Kind.BUCKET_NAME_STALE,
    Kind.NULL_STALE,
    Kind.MANIFEST_ORPHAN,
    Kind.REFERENCE_STALE,
    Kind.TAG_INDEX_STALE,
    Kind.TAG_SET_ORPHAN,
    Kind.LIVE_TOO_HIGH,
    Kind.SHARE_STALE,
    Kind.SEGMENT_ROW_STALE,
    Kind.SEGMENT_STRANGER,
    Kind.LEFTOVER,
}
_NOTES = {Kind.ROW_UNKNOWN, Kind.SEGMENT_COUNTS, Kind.SEGMENT_GAP, Kind.SEGMENT_CRASHED}


def level_of(kind: Kind) -> Level:
    return Level.WASTE if kind in _WASTE else Level.NOTE if kind in _NOTES else Level.ERROR


@dataclass(frozen=True, slots=True)
class Name:
    """Which object a finding is about, as far as it is known."""

    bucket: str = ""
    key: str = ""
    version_id: str = ""

    def __str__(self) -> str:
        return f"{self.bucket}/{self.key}" + (f" ({self.version_id})" if self.version_id else "")


NOBODY = Name()


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing found. `text` says it in a sentence; the rest is for programs, where it applies.

    Args:
        size: bytes concerned.
        repairable: `--repair` mends it.
    """

    kind: Kind
    level: Level
    text: str
    bucket: str = ""
    key: str = ""
    version_id: str = ""
    segment: str = ""
    offset: int = 0
    size: int = 0
    repairable: bool = False


class Objects(msgspec.Struct):
    """What the metadata holds. `logical_bytes`: the sizes of all versions, so that a copy counts again."""

    buckets: int = 0
    live: int = 0
    older: int = 0
    markers: int = 0
    uploads: int = 0
    manifests: int = 0
    parts: int = 0
    tags: int = 0
    feed_records: int = 0
    audit_records: int = 0
    credentials: int = 0
    garbage: int = 0
    logical_bytes: int = 0


class Space(msgspec.Struct):
    """Every byte of every segment file: `files_bytes` is the sum of the five that follow it.

    Args:
        header_bytes: file headers, extent headers, owners, padding and block checksums.
        live_bytes: payload that is referred to. `dead_bytes`: payload that is not, until compaction.
        gap_bytes: between extents and of none: damage.
        tail_bytes: behind the last extent: being written, or left by a crash.
        inline_bytes: payload that is referred to and lies in the metadata, in no file.
    """

    segments: int = 0
    extents: int = 0
    dead_extents: int = 0
    files_bytes: int = 0
    header_bytes: int = 0
    live_bytes: int = 0
    dead_bytes: int = 0
    gap_bytes: int = 0
    tail_bytes: int = 0
    verified_bytes: int = 0
    inline_bytes: int = 0


class Report(msgspec.Struct):
    """The outcome of a check.

    Args:
        hot: of a copy of the metadata, made while the store was in use.
        payload_verified: every block that is referred to was compared with its checksum.
        sealing_tenants: how many tenants have sealed something that is referred to.
        keys_verified: their keys were looked at; False where there is no key store yet, as in a store that is being restored.
    """

    store: str
    epoch: int
    commit: int
    hot: bool
    payload_verified: bool
    objects: Objects
    space: Space
    counts: dict[Kind, int]
    findings: list[Finding]
    sealing_tenants: int = 0
    keys_verified: bool = True
    repaired: int = 0
    elapsed_s: float = 0.0
    format: int = FORMAT

    def number(self, level: Level) -> int:
        return sum(count for kind, count in self.counts.items() if level_of(kind) is level)

    @property
    def damaged(self) -> int:
        """Versions that cannot be read whole."""
        return self.counts.get(Kind.OBJECT_DAMAGED, 0)

    @property
    def exit_code(self) -> int:
        """0: clean. 1: space is wasted, nothing is lost. 2: damage."""
        return 2 if self.number(Level.ERROR) else 1 if self.number(Level.WASTE) else 0

    def to_json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=2)


class Findings:
    """Counts findings and keeps the first of each kind.

    `certain`: nothing was found that leaves open what refers to what.

    Args:
        heard: called with each finding that is kept, as it is found.
    """

    def __init__(self, heard: Callable[[Finding], None] | None = None) -> None:
        self.counts: dict[Kind, int] = {}
        self.kept: list[Finding] = []
        self.certain = True
        self._heard = heard

    def add(
        self,
        kind: Kind,
        text: str,
        *,
        of: Name = NOBODY,
        segment: int | None = None,
        offset: int = 0,
        size: int = 0,
        repairable: bool = False,
    ) -> None:
        if kind is Kind.ROW_UNKNOWN or (level_of(kind) is Level.ERROR and not repairable):
            self.certain = False
        count = self.counts[kind] = self.counts.get(kind, 0) + 1
        if count > KEPT_OF_A_KIND:
            return
        name = "" if segment is None else f"{segment:016x}"
        finding = Finding(kind, level_of(kind), text, of.bucket, of.key, of.version_id, name, offset, size, repairable)
        self.kept.append(finding)
        if self._heard is not None:
            self._heard(finding)
