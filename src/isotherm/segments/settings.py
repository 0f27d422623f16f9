"""What an operator may set about segments. Frozen; passed in at construction."""

from __future__ import annotations

from dataclasses import dataclass

from isotherm.segments.port import EXTENT_BYTES_MOST


@dataclass(frozen=True, slots=True)
class SegmentSettings:
    """Sizes in bytes, times in seconds.

    Args:
        segment_bytes: a segment at least this long is sealed and another one begun.
        append_bytes_most: longest payload of `append`.
        extent_bytes_most: where a stream cuts its payload into extents.
        stream_piece_bytes: a stream hands pieces of about this size to the device; it holds at most two of them.
        stream_threads: how many streams of a process write at once; others wait for a thread.
        writeback_bytes: a stream hands what it has written to the device in runs of about this size, so that its sync is short.
        allocate_bytes: room that a stream has made at once, where there is more beyond the reserve.
        idle_lanes: open segments that are kept for later streams, per media class.
        descriptors: files kept open for reading.
        known_bytes: memory for what is remembered of large extents: block checksums, and what was verified lately.
        reserve_bytes: of each file system, or a sixteenth of it where that is less, which no payload of a client takes, so
            that on a full one removals can still be committed and segments compacted.
        verified_s: how long a verified block may be sent without verifying it again.
    """

    segment_bytes: int = 1 << 30
    append_bytes_most: int = 4 << 20
    extent_bytes_most: int = EXTENT_BYTES_MOST
    stream_piece_bytes: int = 1 << 20
    stream_threads: int = 8
    writeback_bytes: int = 8 << 20
    allocate_bytes: int = 16 << 20
    idle_lanes: int = 16
    descriptors: int = 512
    known_bytes: int = 32 << 20
    reserve_bytes: int = 64 << 20
    verified_s: float = 600.0
