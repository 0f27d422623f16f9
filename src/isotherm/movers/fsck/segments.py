"""Checks segments: what the metadata says of each (`S`, `L`, `E`, `R`), what refers into it, and what its file holds.

Everything comes ordered by segment and offset, the references from their spill: one walk forward through each file sees
every extent beside what refers to it. So every byte of a file is either a header, live payload, dead payload, a gap or a
tail.

A segment that a process still writes is walked only as far as something refers to it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import groupby

from isotherm.clock import Clock
from isotherm.devices.waiting import drive
from isotherm.errors import Corrupt, IsothermError, NotFound, Unavailable
from isotherm.meta.port import Meta
from isotherm.movers.fsck import inline
from isotherm.movers.fsck.extents import SHARE, Group, SegmentWalk, Walked, groups
from isotherm.movers.fsck.findings import Kind
from isotherm.movers.fsck.inline import InlineCheck
from isotherm.movers.fsck.job import Job
from isotherm.segments.accounting import SegmentRow, State, emptied_key, live_key, row_key, row_of, unpack_row
from isotherm.segments.format import FILE_HEADER_BYTES
from isotherm.segments.remote.anchor import anchored
from isotherm.segments.remote.inline import SEGMENTS_FROM
from isotherm.segments.upkeep import Upkeep

_SYSTEM = bytes(4)
_ROW, _LIVE, _EMPTIED, _FILE, _PLACE, _VALUE, _DROPPED = range(7)
_NUMBER = slice(5, 13)

Item = tuple[int, int, bytes, bytes]
"""(segment, rank, place and owner, value)"""


class SegmentCheck:
    """The check of all segments.

    Args:
        segments: of the store; only read.
        current: the store's metadata as it is now, where `job.meta` is a copy of what it was: a file may be younger.
        payload: compare every block that is referred to with its checksum; else only what lies where.
        digests: also compare whole payloads with the MD5 of their version, where there is one.
    """

    def __init__(
        self,
        job: Job,
        segments: Upkeep,
        current: Meta,
        clock: Clock,
        *,
        payload: bool,
        digests: bool,
    ) -> None:
        self._job = job
        self._segments = segments
        self._current = current
        self._clock = clock
        self._walk = SegmentWalk(job, payload=payload, digests=digests)
        self._inline = InlineCheck(job, self._walk, digests=digests)
        self._in_bucket = drive(anchored(job.meta))

    def run(self) -> None:
        sizes = dict(self._segments.listed())
        self._walk.total_bytes = sum(sizes.values())
        merged: Iterator[Item] = heapq.merge(
            self._rows(_ROW, b"S"),
            self._rows(_LIVE, b"L"),
            self._rows(_EMPTIED, b"E"),
            ((segment, _FILE, b"", b"") for segment in sorted(sizes)),
            self._references(),
            self._shares(),
            ((int.from_bytes(place[:8], "big"), _VALUE, place, value) for place, value in inline.values(self._job)),
            ((int.from_bytes(place[:8], "big"), _DROPPED, place, stamp) for place, stamp in inline.dropped(self._job)),
        )
        for segment, items in groupby(merged, key=lambda item: item[0]):
            if self._in_bucket and segment < SEGMENTS_FROM:
                self._in_metadata(items)
            else:
                self._one(segment, items, sizes.get(segment))

    def _rows(self, rank: int, letter: bytes) -> Iterator[Item]:
        for row, value in self._job.rows(_SYSTEM + letter):
            yield int.from_bytes(row[_NUMBER], "big"), rank, b"", value

    def _shares(self) -> Iterator[Item]:
        for row, value in self._job.rows(_SYSTEM + b"R"):
            yield int.from_bytes(row[_NUMBER], "big"), _PLACE, row[5:], SHARE + value

    def _references(self) -> Iterator[Item]:
        for entry in self._job.references.sorted():
            yield int.from_bytes(entry[:8], "big"), _PLACE, entry, b""

    def _in_metadata(self, items: Iterator[Item]) -> None:
        found: dict[int, list[tuple[bytes, bytes]]] = {}
        for _, rank, entry, value in items:
            found.setdefault(rank, []).append((entry, value))
        places = groups(iter(found.get(_PLACE, ())))
        self._inline.through(places, dict(found.get(_VALUE, ())), dict(found.get(_DROPPED, ())))

    def _one(self, segment: int, items: Iterator[Item], size: int | None) -> None:
        stored: dict[int, bytes] = {}
        places: Iterator[Group] = iter(())
        for rank, of_rank in groupby(items, key=lambda item: item[1]):
            if rank == _PLACE:
                places = groups((entry, value) for _, _, entry, value in of_rank)
                break
            stored[rank] = next(of_rank)[3]
        known = self._row(segment, stored)
        one = _Segment(segment, known, stored, places, size)
        if known is None and _ROW not in stored and one.size is not None and one.first is None:
            self._stranger(one)
        else:
            self._referred(one)

    def _row(self, segment: int, stored: Mapping[int, bytes]) -> SegmentRow | None:
        value = stored.get(_ROW)
        if value is None:
            return None
        return self._job.decoded(f"the row of segment {segment:016x}", (row_key(segment), value), unpack_row)

    def _referred(self, one: _Segment) -> None:
        """A segment that the metadata knows, or that something refers to."""
        job, segment = self._job, one.number
        try:
            with self._segments.scan(segment) as scan:
                job.space.segments += 1
                live, walked = self._walk.through(scan, one.row, one.places())
        except (NotFound, Corrupt, Unavailable) as error:
            live = self._unreadable(one, error)
            walked = None
        if walked is not None and live and one.row is None and _ROW not in one.stored and not walked.locked:
            said = f"segment {segment:016x} is referred to, and has no row"
            job.findings.add(Kind.SEGMENT_UNKNOWN, said, segment=segment, size=live, repairable=True)
            job.repairs.protect(row_key(segment), None, walked.row(self._clock.now_ms()).pack())
        if walked is not None and one.row is not None and one.row.state is State.OPEN:
            self._crashed(one, walked)
        self._count(one, live)

    def _crashed(self, one: _Segment, walked: Walked) -> None:
        if not walked.locked and self._is_current(one):
            said = f"segment {one.number:016x} was left open by a process that died; recovery will seal it"
            size = walked.size - walked.end
            self._job.findings.add(Kind.SEGMENT_CRASHED, said, segment=one.number, size=size)

    def _count(self, one: _Segment, live: int) -> None:
        """The counter of live bytes, and whether the segment may be unlinked."""
        job, segment = self._job, one.number
        value = one.stored.get(_LIVE)
        counted = int.from_bytes(value, "little", signed=True) if value else 0
        if counted != live:
            kind = Kind.LIVE_TOO_LOW if counted < live else Kind.LIVE_TOO_HIGH
            said = f"segment {segment:016x} counts {counted} live bytes; {live} are referred to"
            job.findings.add(kind, said, segment=segment, size=abs(counted - live), repairable=True)
            right = live.to_bytes(8, "little", signed=True) if live else None
            (job.repairs.protect if counted < live else job.repairs.drop)(live_key(segment), value, right)
        emptied = one.stored.get(_EMPTIED)
        if live and (emptied is not None or (one.row is not None and one.row.state is State.EMPTIED)):
            said = f"segment {segment:016x} is about to be unlinked, and {live} bytes of it are referred to"
            job.findings.add(Kind.EMPTIED_REFERRED, said, segment=segment, size=live, repairable=True)
            if emptied is not None:
                job.repairs.protect(emptied_key(segment), emptied, None)
            if one.row is not None:
                job.repairs.protect(row_key(segment), one.row.pack(), replace(one.row, state=State.SEALED).pack())

    def _unreadable(self, one: _Segment, error: IsothermError) -> int:
        """The file is gone or no segment: nothing in it can be read. Returns the bytes that are referred to."""
        job, segment, live = self._job, one.number, 0
        for group in one.places():
            for extent, owners in group.extents().items():
                live += extent.length
                for owner in owners:
                    self._walk.name_damage(owner, extent.length)
            self._walk.check_shares(group)
        gone = isinstance(error, NotFound)
        if live:
            kind = Kind.SEGMENT_MISSING if gone else Kind.SEGMENT_UNREADABLE
            said = f"segment {segment:016x}, of which {live} bytes are referred to: {error}"
            job.findings.add(kind, said, segment=segment, size=live)
        elif not gone:
            job.findings.add(Kind.SEGMENT_GAP, f"segment {segment:016x}, dead: {error}", segment=segment)
        elif one.row is not None and one.row.state is State.EMPTIED:
            return live  # its file went, and its rows are about to
        elif self._in_bucket:
            said = f"segment {segment:016x} has a row and no object: being written, or left by a process that died"
            job.findings.add(Kind.SEGMENT_CRASHED, said, segment=segment)
        elif self._is_current(one):
            said = f"segment {segment:016x} has rows, but no file, and nothing refers to it"
            job.findings.add(Kind.SEGMENT_ROW_STALE, said, segment=segment, repairable=True)
            for rank, key in ((_ROW, row_key(segment)), (_EMPTIED, emptied_key(segment))):
                if rank in one.stored:
                    job.repairs.drop(key, one.stored[rank])
        return live

    def _is_current(self, one: _Segment) -> bool:
        """Whether what the copy says of the segment is still so: an empty one goes as soon as its process closes."""
        value = one.stored.get(_ROW)
        return value is None or drive(self._current.get(row_key(one.number))) == value

    def _stranger(self, one: _Segment) -> None:
        """A file of which the metadata knew nothing."""
        job, segment, name = self._job, one.number, self._segments.name(one.number)
        try:
            with self._segments.scan(segment) as scan:
                if scan.locked() or drive(row_of(self._current, segment)) is not None:
                    return
                if scan.size < FILE_HEADER_BYTES and self._current is not job.meta:
                    return  # just made, and about to be locked
                size, held = scan.size, scan.totals().payload if scan.size > FILE_HEADER_BYTES else 0
        except NotFound:
            return
        except (Corrupt, Unavailable):
            size, held = one.size or 0, 0
        kind = Kind.SEGMENT_STRANGER if held else Kind.LEFTOVER
        said = f"{name}: {held} bytes in extents of which nothing knows" if held else f"{name} holds no extent"
        job.findings.add(kind, said, segment=segment, size=size, repairable=True)
        job.repairs.remove(segment)


class _Segment:
    """All there is about one segment. `size`: of what is stored, None where nothing is. `first`: of its places, looked at ahead."""

    def __init__(
        self,
        number: int,
        row: SegmentRow | None,
        stored: Mapping[int, bytes],
        places: Iterator[Group],
        size: int | None,
    ) -> None:
        self.number = number
        self.row = row
        self.stored = stored
        self.size = size
        self.first = next(places, None)
        self._rest = places

    def places(self) -> Iterator[Group]:
        """Every place in order; once."""
        if self.first is not None:
            yield self.first
            yield from self._rest
