"""How often anything has changed by which requests are judged: who has which key, how tenants stand, what is mounted in them.

One counter in the metadata, which every such change raises in its own transaction, by adding, so that no two changes get into
each other's way. Whoever had read the counter before he read a row may take the row for what it is now for as long as the counter
stands: one read, four times a second, keeps what is known of ten thousand tenants fresh.

`Generation` is for one loop's thread, or a program without one.
"""

from __future__ import annotations

from math import inf

from isotherm.clock import Clock
from isotherm.meta import rules
from isotherm.meta.port import Reader, Transaction

ROW = bytes(4) + b"G"
RENEW_S = 0.25
KEPT_S = 30.0
"""Then a row is read again all the same: after a fail-over that lost something a counter may tell of other changes than before."""
_NEVER = -1


def changed(txn: Transaction) -> None:
    """Within a transaction that writes a node of the tree, a credential or a mount."""
    txn.add(ROW, 1)


class Generation:
    """The counter as one process knows it.

    number: what it was when it was read last; _NEVER before. read_s: when that was, at the latest, on the monotonic clock.
    """

    __slots__ = ("_clock", "_reader", "number", "read_s")

    def __init__(self, reader: Reader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock
        self.number = _NEVER
        self.read_s = -inf

    def since_s(self, number: int, read_s: float) -> float:
        """Since when at the latest something is known that was read at `read_s`, when the counter had been `number`."""
        same = number == self.number and read_s < self.read_s < read_s + KEPT_S
        return self.read_s if same else read_s

    def stale(self, now_s: float) -> bool:
        return now_s - self.read_s >= RENEW_S

    async def renew(self) -> int:
        """Read it; what it is. Raises what the store raises."""
        read_s = self._clock.monotonic()
        number = rules.count_of(await self._reader.get(ROW))
        if read_s >= self.read_s:
            self.number, self.read_s = number, read_s
        return number
