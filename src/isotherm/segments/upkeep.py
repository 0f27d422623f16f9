"""What background work needs of an engine of segments, beyond the port that data models see.

Movers and maintenance commands hold an engine as `Upkeep`; each engine does these in its own way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Protocol

from isotherm.segments.format import ExtentHeader
from isotherm.segments.port import Extent, Media, Segments
from isotherm.segments.scan import SegmentScan


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a recovery did and found.

    Args:
        sealed: segments of dead processes, now sealed.
        removed: what was left over and held nothing that anybody could refer to.
        missing: segments whose bytes are gone, unreadable or no segment: for a person to look at.
        strangers: files with extents that the metadata does not know: never touched.
    """

    sealed: list[int] = field(default_factory=list)
    removed: list[PurePath] = field(default_factory=list)
    missing: list[int] = field(default_factory=list)
    strangers: list[PurePath] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Copied:
    """`moves` from old to new, and the old ones whose bytes are `damaged`."""

    moves: dict[Extent, Extent] = field(default_factory=dict)
    damaged: list[Extent] = field(default_factory=list)


class Lease(Protocol):
    def close(self) -> None: ...


class Upkeep(Segments, Protocol):
    """An engine, as movers see it. Everything may take long; what is no coroutine blocks."""

    @property
    def segment_bytes(self) -> int:
        """A segment at least this long is sealed."""
        ...

    async def recover(self) -> Recovered:
        """Finish what dead processes left. Idempotent; run it when a store opens, and now and then.

        Raises:
            Unsupported: an extent of a newer format. Errors of the metadata.
        """
        ...

    async def empty(self, segment: int) -> bool:
        """Give up a sealed segment; False where something refers to it, or it is not there to be emptied."""
        ...

    async def unlink_emptied(self) -> tuple[list[int], int]:
        """Remove what no reader can hold any more; (segments removed, segments that still wait).

        Raises:
            Unavailable: a device failed; what was removed stays removed. Errors of the metadata.
        """
        ...

    def scan(self, segment: int) -> SegmentScan:
        """The segment, to be walked and verified; close it. Raises as `read`."""
        ...

    def name(self, segment: int) -> str:
        """What a segment is called where it is stored."""
        ...

    def listed(self) -> Iterator[tuple[int, int]]:
        """(segment, bytes) of everything that is stored under the name of one. Raises `Unavailable`."""
        ...

    def remove(self, segment: int) -> bool:
        """Remove what is stored under the name of a segment that nobody knows; False where there is nothing. For repairs.

        Raises:
            Unavailable: the device failed.
        """
        ...

    def copy(self, found: Iterable[tuple[SegmentScan, ExtentHeader]], media: Media) -> Copied:
        """Copy extents, verified, into a segment of `media`, durable on return. Nothing refers to the copies yet.

        Raises:
            NoSpace, Unavailable: nothing was copied.
        """
        ...

    def spare_bytes(self, media: Media) -> int:
        """How much room there is for copies."""
        ...

    def lease(self, work: str) -> Lease | None:
        """The right to do some background work alone among the processes of this store; None when another has it.

        Close it to give it back; a process that dies gives it back too.

        Raises:
            NoSpace, Unavailable: the device failed.
        """
        ...

    async def reachable(self) -> None:
        """Raises `Unavailable` where what is stored lies elsewhere and cannot be reached now."""
        ...

    def sweep(self) -> int:
        """Let go of what other processes have removed; says how much. Every process calls it now and then."""
        ...
