"""What this process remembers about extents of more than one block: their checksums, and what it verified lately.

Invariants: the checksums of an entry were themselves compared with the extent's `check`. A block counts as verified for at
most `interval_s` after it was: time is kept per extent, from the first block marked, so it may count for less. Bounded by
memory: what came first is forgotten first.

Any thread: a race forgets, and never invents.
"""

from __future__ import annotations

import sys
from array import array
from collections import OrderedDict

from isotherm.clock import Clock
from isotherm.segments.format import CRC_BYTES, blocks_in
from isotherm.segments.port import Extent

_ENTRY_BYTES = 600  # Python objects of an entry, about


class KnownExtent:
    """`checks`: crc32c of each block. `verified`: (since when, bits of the blocks), replaced as a whole. Of a sealed extent
    also its salt and the tags of all blocks."""

    __slots__ = ("checks", "salt", "tags", "verified")

    def __init__(self, trailer: bytes, blocks: int, salt: bytes) -> None:
        self.checks = array("I", trailer[: CRC_BYTES * blocks])
        if sys.byteorder == "little":
            self.checks.byteswap()
        self.tags = trailer[CRC_BYTES * blocks :]
        self.salt = salt
        self.verified = (0.0, 0)

    @property
    def cost_bytes(self) -> int:
        return _ENTRY_BYTES + 5 * len(self.checks) + len(self.tags)


class KnownExtents:
    """A cache of them, of about `most_bytes`."""

    def __init__(self, clock: Clock, most_bytes: int, interval_s: float) -> None:
        self.entries: OrderedDict[Extent, KnownExtent] = OrderedDict()
        self._clock = clock
        self._most_bytes = most_bytes
        self._interval_s = interval_s
        self._bytes = 0

    def add(self, extent: Extent, trailer: bytes, salt: bytes = b"") -> KnownExtent:
        """Remember an extent by its verified trailer; a sealed one with its salt."""
        known = KnownExtent(trailer, blocks_in(extent.length), salt)
        if self.entries.setdefault(extent, known) is known:
            self._bytes += known.cost_bytes
        while self._bytes > self._most_bytes and len(self.entries) > 1:
            try:
                _, forgotten = self.entries.popitem(last=False)
            except KeyError:
                break
            self._bytes -= forgotten.cost_bytes
        return known

    def mark(self, known: KnownExtent, first: int, end: int) -> None:
        """Blocks `first` ≤ n < `end` have just been verified."""
        now = self._clock.monotonic()
        since, blocks = known.verified
        if not blocks or now - since >= self._interval_s:
            since, blocks = now, 0
        known.verified = (since, blocks | _run(first, end))

    def covers(self, known: KnownExtent, first: int, end: int) -> bool:
        """Whether all of the blocks `first` ≤ n < `end` count as verified now."""
        run = _run(first, end)
        since, blocks = known.verified
        return blocks & run == run and self._clock.monotonic() - since < self._interval_s


def _run(first: int, end: int) -> int:
    return ((1 << (end - first)) - 1) << first
