"""Walks one segment's file beside what refers into it: verifies what is live, counts what is not.

Where a header is damaged, the extent is still verified by its reference alone: the reader needs no header. Where the bytes
are damaged, everything that refers to them is named.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import md5
from itertools import groupby

from isotherm.errors import Corrupt, Unavailable, Unsupported
from isotherm.movers.fsck.findings import NOBODY, Kind, Name
from isotherm.movers.fsck.job import Job, Reference, text
from isotherm.objects.layout import parse_object_owner, parse_part_owner
from isotherm.segments.accounting import SegmentRow, State, reference_key, row_key
from isotherm.segments.format import FILE_HEADER_BYTES, ExtentHeader, decode_file_header, trailer_bytes
from isotherm.segments.port import Extent, Media
from isotherm.segments.scan import Gap, SegmentScan

SHARE = b"r"
"""In front of the value of a reference row, to tell it from a reference."""

_PLACE_BYTES = 16
_SHARE = struct.Struct(">QI")  # length, check: the value of a reference row of segments/accounting.py
_PROGRESS_BYTES = 8 << 20


@dataclass(slots=True)
class Group:
    """What refers to one offset of a segment: `references`, and the reference rows (`shares`: owner → value)."""

    segment: int
    offset: int
    references: list[Reference]
    shares: dict[bytes, bytes]

    def extents(self) -> dict[Extent, list[bytes]]:
        """Each extent that is referred to, and its owners. More than one means that references contradict."""
        found: dict[Extent, list[bytes]] = {}
        for reference in self.references:
            found.setdefault(reference.extent, []).append(reference.owner)
        return found


def groups(entries: Iterator[tuple[bytes, bytes]]) -> Iterator[Group]:
    """From (reference, b"") and (place and owner of a reference row, SHARE ‖ its value), ordered by place."""
    for place, items in groupby(entries, key=lambda item: item[0][:_PLACE_BYTES]):
        references: list[Reference] = []
        shares: dict[bytes, bytes] = {}
        for entry, value in items:
            if value:
                shares[entry[_PLACE_BYTES:]] = value[len(SHARE) :]
            else:
                references.append(Reference.unpack(entry))
        yield Group(int.from_bytes(place[:8], "big"), int.from_bytes(place[8:], "big"), references, shares)


@dataclass(slots=True)
class Walked:
    """What a walk found. `end` lies behind the last extent; `locked`: a process writes to the segment.

    `whole`: no gap lies before the last extent.
    """

    media: Media
    locked: bool
    size: int
    payload: int = 0
    extents: int = 0
    end: int = FILE_HEADER_BYTES
    whole: bool = True

    def row(self, now_ms: int) -> SegmentRow:
        return SegmentRow(self.media, State.SEALED, self.payload, self.extents, self.end, self.size, now_ms)


class SegmentWalk:
    """Walks segments one after the other; see the module."""

    def __init__(self, job: Job, *, payload: bool, digests: bool) -> None:
        self._job = job
        self._payload = payload
        self._digests = digests
        self._done_bytes = 0
        self._told_bytes = 0
        self._damaged: set[int] = set()
        self._live = 0
        self._behind = 0  # the end of the last extent that was referred to
        self.total_bytes = 0

    def through(self, scan: SegmentScan, row: SegmentRow | None, places: Iterator[Group]) -> tuple[int, Walked]:
        """(bytes that are referred to, what the file holds). Raises `Unavailable` where the device fails."""
        space = self._job.space
        locked = scan.locked()
        walked = Walked(decode_file_header(scan.header(), scan.segment), locked, scan.size)
        self._live, self._behind = 0, FILE_HEADER_BYTES
        before = space.live_bytes + space.dead_bytes + space.header_bytes
        space.header_bytes += FILE_HEADER_BYTES
        until = FILE_HEADER_BYTES if locked else row.end if row and row.state is not State.OPEN else scan.size
        tail_at = self._follow(scan, walked, places, until)
        space.files_bytes += scan.size
        tail = max(scan.size - tail_at, 0)
        told = space.live_bytes + space.dead_bytes + space.header_bytes - before
        space.tail_bytes += tail
        space.gap_bytes += max(scan.size - tail - told, 0)
        self._compare(scan, row, walked)
        self._done_bytes += scan.size
        self._job.progress("bytes", self._done_bytes, self.total_bytes)
        return self._live, walked

    def _follow(self, scan: SegmentScan, walked: Walked, places: Iterator[Group], until: int) -> int:
        """Walk file and references side by side, as far as `until` and as something refers; returns where the tail begins.

        What lies behind the end that a segment was sealed with was never acknowledged, whatever it looks like.
        """
        group = next(places, None)
        tail_at = FILE_HEADER_BYTES
        gap: Gap | None = None
        for found in self._walk(scan):
            if group is None and found.at >= until:
                return tail_at
            if isinstance(found, Gap):
                upto = found.at + found.length
                gap = found if group is None or group.offset >= upto else None
                while group is not None and group.offset < upto:
                    tail_at = max(tail_at, self._unmarked(scan, group))
                    group = next(places, None)
                continue
            if gap is not None:
                walked.whole = False
                said = f"{gap.length} bytes at {gap.at} of segment {scan.segment:016x} belong to no extent"
                self._job.findings.add(Kind.SEGMENT_GAP, said, segment=scan.segment, offset=gap.at, size=gap.length)
                gap = None
            while group is not None and group.offset < found.payload_at:
                self._unmarked(scan, group)
                group = next(places, None)
            at = group if group is not None and group.offset == found.payload_at else None
            self._extent(scan, found, at)
            if at is not None:
                group = next(places, None)
            tail_at = found.end
            walked.payload += found.length
            walked.extents += 1
            walked.end = found.end
            self._tell(found.end)
        while group is not None:
            tail_at = max(tail_at, self._unmarked(scan, group))
            group = next(places, None)
        return tail_at

    def _walk(self, scan: SegmentScan) -> Iterator[ExtentHeader | Gap]:
        try:
            yield from scan.walk()
        except (Unsupported, Unavailable) as error:  # what is referred to behind it is still looked at
            self._job.findings.add(
                Kind.SEGMENT_UNREADABLE, f"segment {scan.segment:016x}: {error}", segment=scan.segment
            )

    def _extent(self, scan: SegmentScan, header: ExtentHeader, group: Group | None) -> None:
        space = self._job.space
        space.extents += 1
        space.header_bytes += header.end - header.at - header.length
        extent = header.extent(scan.segment)
        if group is None or not group.references:
            space.dead_bytes += header.length
            space.dead_extents += 1
            if group is not None:
                self.check_shares(group)
            return
        extents = group.extents()
        space.live_bytes += header.length
        for other in extents:
            if self._verify(scan, other, group) and other != extent:
                said = "a reference and the header of the extent contradict each other"
                self.say(Kind.EXTENT_UNMARKED, other, said)
        if not group.shares and extent in extents and extents[extent] != [header.owner] and len(extents[extent]) == 1:
            self.say(Kind.EXTENT_UNMARKED, extent, "its header names another owner: compaction cannot move it")
        self.check_shares(group)

    def _unmarked(self, scan: SegmentScan, group: Group) -> int:
        """References to where the walk found no extent; returns where the last of them ends in the file."""
        end = 0
        for extent in group.extents():
            whole = extent.offset + extent.length + trailer_bytes(extent.length, extent.sealed)
            if self._verify(scan, extent, group):
                self.say(Kind.EXTENT_UNMARKED, extent, "its header is damaged: compaction cannot move it")
            if whole <= scan.size:
                self._job.space.live_bytes += extent.length
                end = max(end, whole)
        self.check_shares(group)
        return end

    def _verify(self, scan: SegmentScan, extent: Extent, group: Group) -> bool:
        """Whether the bytes of a reference are good; names what refers to them where they are not."""
        job = self._job
        self._live += extent.length
        end = extent.offset + extent.length + trailer_bytes(extent.length, extent.sealed)
        if extent.offset < self._behind:
            self.say(Kind.EXTENT_OVERLAPS, extent, "it begins within another one")
        self._behind = max(self._behind, end)
        try:
            if end > scan.size or extent.offset < FILE_HEADER_BYTES:
                raise Corrupt("the segment is shorter than its extent")
            if self._payload:
                wanted = self._wanted(extent, group)
                digest = md5(usedforsecurity=False) if wanted else None
                scan.verified(extent, digest.update if digest else None)
                job.space.verified_bytes += extent.length
                if digest is not None and any(digest.digest() != reference.md5 for reference in wanted):
                    self.say(Kind.DIGEST_DIFFERS, extent, "its MD5 is not the version's", *wanted)
        except (Corrupt, Unavailable) as error:
            self.say(Kind.EXTENT_DAMAGED, extent, str(error), *group.references)
            for reference in group.references:
                if reference.extent == extent:
                    self.name_damage(reference.owner, extent.length)
            return False
        return True

    def _wanted(self, extent: Extent, group: Group) -> list[Reference]:
        if not self._digests or extent.sealed:  # the digest is of the plaintext
            return []
        return [reference for reference in group.references if reference.md5 and reference.extent == extent]

    def check_shares(self, group: Group) -> None:
        """Reference rows and references of copied extents: each has the other, or neither where there is one owner."""
        job = self._job
        owners = {reference.owner: reference.extent for reference in group.references}
        for owner, value in group.shares.items():
            if owner not in owners:
                extent = Extent(group.segment, group.offset, 0, 0)
                said = "a row says that it is referred to by an owner that does not"
                self.say(Kind.SHARE_STALE, extent, said, repairable=True)
                job.repairs.drop(reference_key(extent, owner), value)
        if len(owners) < 2 and not group.shares:
            return
        for owner, extent in owners.items():
            right = _SHARE.pack(extent.marked_length, extent.check)
            if group.shares.get(owner) != right:
                said = "several versions refer to it, and no row says so of this one: it may be taken for dead"
                named = Reference(extent, owner, None)
                self.say(Kind.EXTENT_UNPROTECTED, extent, said, named, repairable=True)
                job.repairs.protect(reference_key(extent, owner), group.shares.get(owner), right)

    def name_damage(self, owner: bytes, size: int) -> None:
        """Say which object cannot be read whole: once each; those of manifests later, when all are known."""
        if owner[:1] == b"p":
            tenant, manifest, _ = parse_part_owner(owner)
            self._job.damaged_manifests.add((tenant, manifest))
            return
        known = hash(owner)
        if known not in self._damaged:
            self._damaged.add(known)
            name = self._named(owner)
            self._job.findings.add(Kind.OBJECT_DAMAGED, f"{name} cannot be read whole", of=name, size=size)

    def _named(self, owner: bytes) -> Name:
        if owner[:1] != b"o":
            return NOBODY
        tenant, bucket, _, key = parse_object_owner(owner)
        return Name(self._job.bucket_name(tenant, bucket), text(key))

    def say(self, kind: Kind, extent: Extent, what: str, *of: Reference, repairable: bool = False) -> None:
        said = f"{extent.length} bytes at {extent.offset} of segment {extent.segment:016x}: {what}"
        self._job.findings.add(
            kind,
            said,
            of=self._named(of[0].owner) if of else NOBODY,
            segment=extent.segment,
            offset=extent.offset,
            size=extent.length,
            repairable=repairable,
        )

    def _compare(self, scan: SegmentScan, row: SegmentRow | None, walked: Walked) -> None:
        """The row of a sealed segment with its file."""
        findings, segment = self._job.findings, scan.segment
        if row is None or row.state is State.OPEN:
            return
        if scan.size < row.end:
            said = f"segment {segment:016x} ends at {scan.size}; it was sealed with extents up to {row.end}"
            findings.add(Kind.SEGMENT_SHORT, said, segment=segment, size=row.end - scan.size)
            return
        right = replace(row, payload=walked.payload, extents=walked.extents)
        if row != right:
            said = (
                f"segment {segment:016x} was sealed with {row.extents} extents of {row.payload} bytes; "
                f"{walked.extents} of {walked.payload} are found"
            )
            size = abs(row.payload - walked.payload)
            whole = walked.whole and walked.end == row.end
            findings.add(Kind.SEGMENT_COUNTS, said, segment=segment, size=size, repairable=whole)
            if whole:  # else what the walk cannot see is counted in the row
                self._job.repairs.protect(row_key(segment), row.pack(), right.pack())

    def _tell(self, at: int) -> None:
        if at - self._told_bytes > _PROGRESS_BYTES or at < self._told_bytes:
            self._told_bytes = at
            self._job.progress("bytes", self._done_bytes + at, self.total_bytes)
