"""Which blocks of large extents this process has verified lately.

Invariant: a block counts for at most `interval_s` after it was verified. Time is kept per extent, from the first block
marked, so a block may count for less. Bounded: the extent longest known is forgotten first.

Any thread: a race forgets a mark, never invents one.
"""

from __future__ import annotations

from collections import OrderedDict

from isotherm.clock import Clock
from isotherm.segments.port import Extent


class VerifiedBlocks:
    def __init__(self, clock: Clock, extents_most: int, interval_s: float) -> None:
        self._clock = clock
        self._extents_most = extents_most
        self._interval_s = interval_s
        self._known: OrderedDict[Extent, tuple[float, int]] = OrderedDict()

    def mark(self, extent: Extent, first: int, end: int) -> None:
        """Blocks `first` ≤ n < `end` have just been verified."""
        now = self._clock.monotonic()
        since, blocks = self._known.get(extent, (now, 0))
        if now - since >= self._interval_s:
            since, blocks = now, 0
        self._known[extent] = (since, blocks | _run(first, end))
        while len(self._known) > self._extents_most:
            try:
                self._known.popitem(last=False)
            except KeyError:
                break

    def covers(self, extent: Extent, first: int, end: int) -> bool:
        """Whether all of the blocks `first` ≤ n < `end` count as verified now."""
        known = self._known.get(extent)
        if known is None or self._clock.monotonic() - known[0] >= self._interval_s:
            return False
        run = _run(first, end)
        return known[1] & run == run


def _run(first: int, end: int) -> int:
    return ((1 << (end - first)) - 1) << first
