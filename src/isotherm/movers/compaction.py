"""Compaction: segments that are mostly dead, or small and many, give their live extents to fresh ones and go.

For each candidate: walk it, ask the `Referrer`s which extents their owners still refer to, copy those verbatim, then in
one transaction let the owners refer to the copies and move the live bytes; when no live byte is left, empty the segment,
and unlink it once no reader can hold it. Killed between any two steps it loses nothing, and what it leaves behind (copies
nobody refers to, a half moved segment) is dead bytes that a later pass collects.

Small segments are taken several at a time, so that many become one. Whether a segment may go is decided by its live bytes alone, never by the walk: a damaged header hides an extent from the
walk, and such a segment stays, and is reported.

One mover works at a time in a store, under a lease. `step` is a coroutine for any loop, or none; blocking parts run
through `offload`.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import islice

from isotherm.clock import Clock
from isotherm.devices.waiting import offload
from isotherm.errors import Corrupt, Invalid, NotFound
from isotherm.meta.port import Meta, Transaction
from isotherm.movers.turns import AT_ONCE, Turn
from isotherm.segments import accounting
from isotherm.segments.accounting import SegmentRow, State
from isotherm.segments.format import FILE_HEADER_BYTES, ExtentHeader
from isotherm.segments.port import Extent, Media, Referrer
from isotherm.segments.scan import Gap, SegmentScan
from isotherm.segments.upkeep import Upkeep

Pair = tuple[bytes, Extent]
"""An owner and an extent it refers to."""

_OWNERS_A_PAGE = 500
_PAIRS_A_TRANSACTION = 200
_SEGMENTS_A_BATCH = 64
_TOGETHER = 4
"""Segments of which so many fit into a batch go together."""


@dataclass(frozen=True, slots=True)
class CompactionSettings:
    """Sizes in bytes, times in seconds.

    Args:
        dead_fraction: of what could be live in a segment; from here on it is a candidate.
        settle_s: how long a segment must have been sealed, so that what was just written to it is referred to by now.
            Not needed for safety: who comes later is told to write again.
        step_bytes: payload looked at in one step, about.
        batch_bytes, batch_extents: payload copied under one sync, about.
        merge_bytes, merge_segments: that many sealed segments of a media class smaller than this are made into few:
            every program that opens a store, writes and closes it leaves one.
    """

    dead_fraction: float = 0.5
    settle_s: float = 60.0
    step_bytes: int = 256 << 20
    batch_bytes: int = 32 << 20
    batch_extents: int = 500
    merge_bytes: int = 16 << 20
    merge_segments: int = 32


@dataclass(slots=True)
class CompactionReport:
    """What one step did.

    Args:
        busy: another process holds the lease; nothing was done.
        moved: extents that live elsewhere now; `moved_bytes` of payload.
        unlinked: segments removed. `waiting`: emptied ones that a reader may still hold.
        damaged: live extents whose bytes fail their checksums; they stay where they are.
        stuck: segments that cannot be emptied, as something refers to bytes that cannot be found or read.
        more: candidates are left; call again.
    """

    busy: bool = False
    moved: int = 0
    moved_bytes: int = 0
    unlinked: list[int] = field(default_factory=list)
    waiting: int = 0
    damaged: list[Extent] = field(default_factory=list)
    stuck: list[int] = field(default_factory=list)
    more: bool = False


def dead_fraction(row: SegmentRow, live: int) -> float:
    """How much of what could be live in a sealed segment is not; 1.0 for one that holds nothing."""
    room = row.payload + row.size - row.end
    return 1.0 - live / room if room > 0 else 1.0


class Compaction:
    """The mover of one process.

    Args:
        referrers: the data models, by the first byte of their owners.
        turn: asked before each batch is copied.
    """

    def __init__(
        self,
        segments: Upkeep,
        meta: Meta,
        referrers: Mapping[bytes, Referrer],
        *,
        clock: Clock,
        settings: CompactionSettings | None = None,
        turn: Turn = AT_ONCE,
    ) -> None:
        self._turns = turn
        self._segments = segments
        self._meta = meta
        self._referrers = dict(referrers)
        self._clock = clock
        self._settings = settings or CompactionSettings()
        self._after = -1
        self._page: deque[tuple[int, SegmentRow, int]] = deque()
        self._resume: tuple[int, int] | None = None
        self._stuck: dict[int, int] = {}
        self._merging: set[Media] = set()

    async def step(self) -> CompactionReport:
        """Do a bounded amount of work.

        Raises:
            NoSpace, Unavailable, errors of the metadata: what was done stays done; call again later.
        """
        report = CompactionReport()
        lease = await offload(self._segments.lease, "compaction")
        if lease is None:
            report.busy = True
            return report
        try:
            budget = self._settings.step_bytes
            if self._resume is not None:
                budget -= await self._compact(*self._resume, budget, report)
            while budget > 0 and (found := await self._next()) is not None:
                segment, row = found
                if self._goes_together(row):
                    budget -= await self._compact_several([segment, *await self._more_like(row)], row, report)
                else:
                    budget -= await self._compact(segment, FILE_HEADER_BYTES, budget, report)
            self._give_back_page()
            report.more = budget <= 0
            report.unlinked, report.waiting = await self._segments.unlink_emptied()
        finally:
            lease.close()
        report.stuck = sorted(self._stuck)
        return report

    async def _next(self) -> tuple[int, SegmentRow] | None:
        """The next candidate; None at the end of the table, where the next step starts."""
        if self._after < 0:
            self._merging = await self._to_merge()
        while self._page or await self._turn():
            segment, row, live = self._page.popleft()
            if await self._is_candidate(segment, row, live):
                return segment, row
        self._after = -1
        return None

    async def _turn(self) -> bool:
        """Read another page of the table, with the live bytes of each segment; False at its end."""
        rows = await accounting.segment_rows(self._meta, self._after)
        if rows:
            live = await accounting.live_bytes_of(self._meta, rows[0][0], rows[-1][0], len(rows))
            self._page.extend((segment, row, live.get(segment, 0)) for segment, row in rows)
            self._after = rows[-1][0]
        return bool(rows)

    def _give_back_page(self) -> None:
        """What a step has not come to is read anew by the next one."""
        if self._page:
            self._after = self._page[0][0] - 1
            self._page.clear()

    def _goes_together(self, row: SegmentRow) -> bool:
        return row.size <= self._together_bytes // _TOGETHER

    @property
    def _together_bytes(self) -> int:
        return min(self._settings.batch_bytes, self._settings.step_bytes)

    async def _more_like(self, row: SegmentRow) -> list[int]:
        """Further candidates of that media class, as many as one batch takes; they follow each other in the table."""
        more: list[int] = []
        size = row.size
        while (self._page or await self._turn()) and len(more) < _SEGMENTS_A_BATCH:
            segment, other, live = self._page[0]
            wanted = other.media is row.media and self._goes_together(other)
            if await self._is_candidate(segment, other, live):
                if not wanted or size + other.size > self._together_bytes:
                    break
                more.append(segment)
                size += other.size
            self._page.popleft()
        return more

    async def _to_merge(self) -> set[Media]:
        """Media classes with so many small segments that it pays to merge them."""
        small: Counter[Media] = Counter()
        after = -1
        while rows := await accounting.segment_rows(self._meta, after):
            small.update(row.media for _, row in rows if self._has_settled(row) and self._is_small(row))
            after = rows[-1][0]
        return {media for media, count in small.items() if count >= self._settings.merge_segments}

    def _has_settled(self, row: SegmentRow) -> bool:
        age_ms = self._clock.now_ms() - row.sealed_ms
        # Sealed in the future: the clock was set back since, and may need years to get there again.
        return row.state is State.SEALED and not 0 <= age_ms < self._settings.settle_s * 1000

    def _is_small(self, row: SegmentRow) -> bool:
        # What fills a segment is not small, however small segments are: merging it would never end.
        return row.size < min(self._settings.merge_bytes, self._segments.segment_bytes // 4)

    async def _is_candidate(self, segment: int, row: SegmentRow, live: int) -> bool:
        if not self._has_settled(row):
            return False
        if self._stuck.get(segment) == live:
            return False
        self._stuck.pop(segment, None)
        merged = row.media in self._merging and self._is_small(row)
        if not merged and dead_fraction(row, live) < self._settings.dead_fraction:
            return False
        # On a full medium what is dead as a whole goes first, and makes room for the others.
        return not live or live <= await offload(self._segments.spare_bytes, row.media)

    async def _compact(self, segment: int, start: int, budget: int, report: CompactionReport) -> int:
        """Move what lives in `segment`, up to `budget` bytes of payload looked at; returns how many were."""
        self._resume = None
        if await self._segments.empty(segment):
            return 0
        row = await accounting.row_of(self._meta, segment)
        if row is None or row.state is not State.SEALED:
            return 0
        looked_at = 0
        try:
            with await offload(self._segments.scan, segment) as scan:
                walk = _extents(scan, start)
                while batch := await offload(self._batch, walk):
                    looked_at += sum(header.length for header in batch)
                    await self._move_batch([(scan, header) for header in batch], row.media, report)
                    if looked_at >= budget:
                        self._resume = (segment, batch[-1].end)
                        return looked_at
        except (NotFound, Corrupt):
            pass  # a file that is gone or unreadable: its live bytes say whether that matters
        await self._let_go(segment)
        return looked_at

    async def _compact_several(self, segments: Sequence[int], row: SegmentRow, report: CompactionReport) -> int:
        """Move what lives in some small segments to one place; returns the bytes of payload looked at."""
        looked_at = 0
        walked: list[int] = []
        with ExitStack() as scans:
            found: list[tuple[SegmentScan, ExtentHeader]] = []
            for segment in segments:
                if await self._segments.empty(segment):
                    continue
                walked.append(segment)
                with suppress(NotFound, Corrupt):
                    scan = scans.enter_context(await offload(self._segments.scan, segment))
                    found += await offload(_all_extents, scan)
            for start in range(0, len(found), self._settings.batch_extents):
                some = found[start : start + self._settings.batch_extents]
                await self._move_batch(some, row.media, report)
                looked_at += sum(header.length for _, header in some)
        for segment in walked:
            await self._let_go(segment)
        return max(looked_at, 1)

    async def _let_go(self, segment: int) -> None:
        """What was moved out of is empty, or else something refers to what could not be found or read."""
        if not await self._segments.empty(segment):
            row = await accounting.row_of(self._meta, segment)
            if row is not None and row.state is State.SEALED:
                self._stuck[segment] = await accounting.live_bytes(self._meta, segment)

    def _batch(self, walk: Iterator[ExtentHeader]) -> list[ExtentHeader]:
        batch: list[ExtentHeader] = []
        size = 0
        for header in islice(walk, self._settings.batch_extents):
            batch.append(header)
            size += header.length
            if size >= self._settings.batch_bytes:
                break
        return batch

    async def _move_batch(
        self, batch: Sequence[tuple[SegmentScan, ExtentHeader]], media: Media, report: CompactionReport
    ) -> None:
        owners = {header.extent(scan.segment): header.owner for scan, header in batch}
        pairs = await self._live_pairs(owners)
        live = {extent for _, extent in pairs}
        if not live:
            return
        wanted = [(scan, header) for scan, header in batch if header.extent(scan.segment) in live]
        await self._turns.take(len(wanted), sum(header.length for _, header in wanted))
        copied = await offload(self._segments.copy, wanted, media)
        report.damaged += copied.damaged
        moved: set[Extent] = set()
        while pairs := [(owner, old) for owner, old in pairs if old in copied.moves]:
            done: set[Pair] = set()
            for start in range(0, len(pairs), _PAIRS_A_TRANSACTION):
                done |= await self._relocate(pairs[start : start + _PAIRS_A_TRANSACTION], copied.moves)
            moved |= {old for _, old in done}
            # Owners beyond the first page, and those that came by a copy meanwhile, follow to the same place.
            pairs = await self._live_pairs({old: owners[old] for _, old in done}, shared_only=True)
        report.moved += len(moved)
        report.moved_bytes += sum(old.length for old in moved)

    async def _live_pairs(self, owners: Mapping[Extent, bytes], *, shared_only: bool = False) -> list[Pair]:
        """(owner, extent) wherever an owner refers to an extent now."""
        by_owner: dict[bytes, list[Extent]] = defaultdict(list)
        for extent, named in owners.items():
            sharers = await accounting.sharers(self._meta, extent, _OWNERS_A_PAGE)
            for owner in sharers or ([] if shared_only else [named]):
                by_owner[owner].append(extent)
        pairs: list[Pair] = []
        for kind, referrer in self._referrers.items():
            wanted = {owner: extents for owner, extents in by_owner.items() if owner[:1] == kind}
            found = await referrer.referenced(self._meta, wanted)
            pairs += [
                (owner, extent) for owner, extents in found.items() for extent in wanted[owner] if extent in extents
            ]
        return pairs

    async def _relocate(self, pairs: Sequence[Pair], moves: Mapping[Extent, Extent]) -> set[Pair]:
        """Let owners refer to the copies, in one transaction or, where that is too large, several; those that do."""
        by_owner: dict[bytes, dict[Extent, Extent]] = defaultdict(dict)
        for owner, old in pairs:
            by_owner[owner][old] = moves[old]

        async def relocate(txn: Transaction) -> set[Pair]:
            done: set[Pair] = set()
            owners_of: dict[Extent, list[bytes]] = defaultdict(list)
            for owner, wanted in by_owner.items():
                for old in await self._referrers[owner[:1]].relocate(txn, owner, wanted):
                    owners_of[old].append(owner)
                    done.add((owner, old))
            for old, owners in owners_of.items():
                await accounting.move(txn, old, moves[old], owners)
            return done

        try:
            return (await self._meta.transact(relocate))[0]
        except Invalid:
            if len(pairs) < 2:
                raise
        half = len(pairs) // 2
        return await self._relocate(pairs[:half], moves) | await self._relocate(pairs[half:], moves)


def _all_extents(scan: SegmentScan) -> list[tuple[SegmentScan, ExtentHeader]]:
    return [(scan, header) for header in _extents(scan, FILE_HEADER_BYTES)]


def _extents(scan: SegmentScan, start: int) -> Iterator[ExtentHeader]:
    return (found for found in scan.walk(start) if not isinstance(found, Gap))
