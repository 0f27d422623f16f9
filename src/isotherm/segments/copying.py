"""Copying extents into another segment, byte for byte: owner, payload, checksums; salt and tags of sealed ones, without a key.

Every payload is verified as it is copied, so that damage is found where it happened and never spread under a fresh
checksum; a damaged extent is left where it is. Copies are durable before they are returned, and nothing refers to them
until the caller's transaction does: whatever fails before leaves dead bytes at most.

Blocks on the device; any thread.
"""

from __future__ import annotations

from collections.abc import Iterable

from isotherm.errors import Corrupt
from isotherm.segments.format import ExtentHeader, encode_extent_header, padding_for
from isotherm.segments.lanes import Lanes
from isotherm.segments.open_segment import OpenSegment
from isotherm.segments.port import Extent, Media
from isotherm.segments.scan import SegmentScan
from isotherm.segments.upkeep import Copied

_PENDING_BYTES = 4 << 20


def copy_extents(found: Iterable[tuple[SegmentScan, ExtentHeader]], lanes: Lanes, media: Media) -> Copied:
    """Copy extents, each of the segment that its scan is on, to an open segment of `media`.

    Raises:
        NoSpace, Unavailable: nothing was copied.
    """
    copied = Copied()
    lane = lanes.take(media, reserved=True)
    try:
        run = _Run(lane)
        for scan, header in found:
            extent = header.extent(scan.segment)
            try:
                copied.moves[extent] = run.copy(scan, header)
            except Corrupt:
                copied.damaged.append(extent)
        run.flush()
        if copied.moves:
            lane.sync()
            lane.advance(run.end, sum(extent.length for extent in copied.moves), len(copied.moves))
    finally:
        lane.cut()
        lanes.give(lane)
    return copied


class _Run:
    """Extents one behind the other at the end of a lane, gathered into few writes."""

    def __init__(self, lane: OpenSegment) -> None:
        self._lane = lane
        self.end = lane.end  # of the last whole extent
        self._pending: list[bytes] = []
        self._pending_bytes = 0
        self._written = lane.end

    def copy(self, scan: SegmentScan, header: ExtentHeader) -> Extent:
        start = self.end
        # An extent that was aligned stays so.
        padding = padding_for(start, header.owner, header.salt) if header.padding else 0
        head = encode_extent_header(header.owner, header.length, header.check, padding, header.salt)
        kept = len(self._pending)
        self._put(head)
        try:
            self._put(scan.verified(header.extent(scan.segment), self._put))
        except Corrupt:
            self._rewind(start, kept)
            raise
        self.end = start + len(head) + header.end - header.payload_at
        return Extent(self._lane.segment, start + len(head), header.length, header.check, header.sealed)

    def flush(self) -> None:
        if self._pending:
            self._written += self._lane.write(self._pending, self._written)
            self._pending, self._pending_bytes = [], 0

    def _put(self, data: bytes) -> None:
        self._pending.append(data)
        self._pending_bytes += len(data)
        if self._pending_bytes >= _PENDING_BYTES:
            self.flush()

    def _rewind(self, start: int, kept: int) -> None:
        """Forget what was put since `start`; it may have been written in part, which the next write covers."""
        if self._written > start:
            self._written, self._pending, self._pending_bytes = start, [], 0
        else:
            self._pending = self._pending[:kept]
            self._pending_bytes = start - self._written
