"""What the parts of a check share: where they read, where they report, and what one part leaves for the next to join.

A check is a sequence of merge joins. Tables of `meta` are read in key order; what refers from one table into another is
put into a sorted spill on the way and joined with that other table afterwards, so that memory stays bounded whatever the
store holds.

One thread; reads block.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from isotherm.devices.waiting import drive
from isotherm.errors import IsothermError
from isotherm.meta.port import Reader
from isotherm.movers.fsck.findings import Findings, Kind, Objects, Space
from isotherm.movers.fsck.repairs import Repairs
from isotherm.movers.fsck.spill import Spill
from isotherm.objects.context import counts
from isotherm.objects.layout import successor
from isotherm.objects.model import Bucket
from isotherm.segments.port import EXTENT_PACKED_BYTES, Extent, unpack_extents
from isotherm.tenancy.usage import Tally

T = TypeVar("T")
Row = tuple[bytes, bytes]

_PAGE_ROWS = 1_000
_TENANT_BYTES = 4
_REFERENCE_TAIL = struct.Struct(">B16s")

SHARED = 1
WITH_MD5 = 2

Progress = Callable[[str, int, int | None], None]
"""(stage, how far, of how many or None); called often, must be quick."""


@dataclass(frozen=True, slots=True)
class Reference:
    """That `owner` refers to `extent`. `md5` is of its whole payload, None where it is not known."""

    extent: Extent
    owner: bytes
    md5: bytes | None

    @classmethod
    def unpack(cls, entry: bytes) -> Reference:
        flags, md5 = _REFERENCE_TAIL.unpack_from(entry, len(entry) - _REFERENCE_TAIL.size)
        extent = unpack_extents(entry[:EXTENT_PACKED_BYTES])[0]
        return cls(extent, entry[EXTENT_PACKED_BYTES : -_REFERENCE_TAIL.size], md5 if flags & WITH_MD5 else None)


def pack_reference(extent: Extent, owner: bytes, md5: bytes | None) -> bytes:
    tail = _REFERENCE_TAIL.pack(WITH_MD5 if md5 else 0, md5 or b"")
    return extent.pack() + owner + tail


@dataclass(slots=True)
class Job:
    """One check under way.

    Args:
        meta: what is checked; nobody writes to it meanwhile.
        newest: the greatest stamp there can be.
        references: of extents, in order of their place (`Reference`).
        buckets: (tenant, id) → bucket.
        damaged_manifests: (tenant, id) of those whose objects cannot be read whole.
        tallies: tenant → what it holds, as far as that is counted.
        sealing: tenants that refer to sealed extents.
        spill: makes a sorted spill of a name.
    """

    meta: Reader
    newest: bytes
    findings: Findings
    repairs: Repairs
    references: Spill
    spill: Callable[[str], Spill]
    progress: Progress
    objects: Objects = field(default_factory=Objects)
    space: Space = field(default_factory=Space)
    buckets: dict[tuple[int, int], Bucket] = field(default_factory=dict)
    damaged_manifests: set[tuple[int, bytes]] = field(default_factory=set)
    tallies: dict[int, Tally] = field(default_factory=dict)
    sealing: set[int] = field(default_factory=set)

    def refer(self, tenant: int, extent: Extent, owner: bytes, md5: bytes | None) -> None:
        """Something of a tenant's refers to an extent; `md5` as in `Reference`."""
        if extent.sealed:
            self.sealing.add(tenant)
        self.references.add(pack_reference(extent, owner, md5))

    def get(self, key: bytes) -> bytes | None:
        return drive(self.meta.get(key))

    def rows(self, start: bytes, end: bytes | None = None) -> Iterator[Row]:
        """Rows with `start` ≤ key < `end`, or that start with `start`, in order."""
        end = successor(start) if end is None else end
        while True:
            page = drive(self.meta.range(start, end, _PAGE_ROWS))
            yield from page
            if len(page) < _PAGE_ROWS:
                return
            start = page[-1][0] + b"\0"

    def tables(self) -> Iterator[tuple[int, bytes]]:
        """(tenant, table letter) of every table that has rows."""
        start = b""
        while page := drive(self.meta.range(start, b"\xff", 1)):
            prefix = page[0][0][: _TENANT_BYTES + 1]
            yield int.from_bytes(prefix[:_TENANT_BYTES], "big"), prefix[_TENANT_BYTES:]
            start = successor(prefix.ljust(_TENANT_BYTES + 1, b"\0"))

    def decoded(self, what: str, row: Row, decode: Callable[[bytes], T]) -> T | None:
        """What `decode` makes of a row's value; None, and a finding, where it cannot."""
        try:
            return decode(row[1])
        except (IsothermError, ValueError, LookupError, AssertionError, struct.error) as error:
            said = f"{what} cannot be read: {error or type(error).__name__} (key {row[0].hex()})"
            self.findings.add(Kind.ROW_DAMAGED, said, size=len(row[1]))
            return None

    def tally(self, tenant: int, bucket: int, key: bytes) -> Tally:
        """Where what lies under a key is to be counted."""
        known = self.buckets.get((tenant, bucket))
        if known is not None and not self.repairs.wanted and not counts(known, key):
            return Tally()
        return self.tallies.setdefault(tenant, Tally())

    def bucket_name(self, tenant: int, bucket: int) -> str:
        known = self.buckets.get((tenant, bucket))
        return known.name if known else f"(bucket {bucket:016x})"


def text(key: bytes) -> str:
    return key.decode("utf-8", "backslashreplace")
