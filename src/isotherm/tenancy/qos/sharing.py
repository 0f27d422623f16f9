"""Gateways of one node share budgets, limits, reservations and shares through single-writer slots.

Each gateway writes cumulative counters into its own slot and reads the others'; nobody writes what another writes, so
nothing is lost and nothing is locked. What others have served of a tenant since it was last looked at is charged to the
tenant's tags here, as dmClock's delta (all it was served) and rho (by reservation) are (Gulati et al., OSDI 2010, §3.2).

Invariants: counters of tenants never go back, not even when a slot passes from a dead gateway to its successor, which
counts on; so a death charges nobody. What is *in flight* counts for living gateways only: a dead one's part returns.

Pure; one `Peers` belongs to one scheduler, on its thread. Other processes read its slot at any time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

_STARTED, _FINISHED, _STARTED_BYTES, _FINISHED_BYTES, _PACE, _FULL, _SERVED = range(7)
HEAD_CELLS = 8
ROW_CELLS = 6
"""Of a tenant: operations and bytes charged to its limits, to its share, to its reservation."""
LIMIT, SHARE, RESERVATION = 0, 2, 4
_PACE_WHOLE = 1_000


class Slots(Protocol):
    """Cells in memory that the gateways of a node share: unsigned 64-bit integers, each read and written whole."""

    @property
    def own(self) -> int:
        """The number of the caller's slot."""
        ...

    @property
    def count(self) -> int:
        """How many slots there are, dead and unused ones included."""
        ...

    def alive(self, slot: int) -> bool:
        """Whether a gateway lives in it."""
        ...

    def get(self, slot: int, cell: int) -> int: ...

    def put(self, cell: int, value: int) -> None:
        """Writes a cell of the caller's own slot."""
        ...

    def row(self, path: tuple[str, ...]) -> int | None:
        """A tenant's row, the same in all gateways for as long as any lives; None where it is not shared."""
        ...


@dataclass(frozen=True, slots=True)
class Told:
    """What the living gateways of a node tell those that serve nobody.

    Args:
        full: whether requests wait in any because it can take no more.
        served: what all have let run out of their queues, in bytes, operations counted as bytes; dead ones included.
        pace: as of `Peers`.
    """

    full: bool
    served: int
    pace: float


def told_of(slots: Slots) -> Told:
    living = [slot for slot in range(slots.count) if slots.alive(slot)]
    paces = [slots.get(slot, _PACE) or _PACE_WHOLE for slot in living]
    return Told(
        any(slots.get(slot, _FULL) for slot in living),
        sum(slots.get(slot, _SERVED) for slot in range(slots.count)),
        min(paces, default=_PACE_WHOLE) / _PACE_WHOLE,
    )


class Signal:
    """What one gateway tells; see `Told`."""

    __slots__ = ("_full", "_served", "_slots")

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._served = slots.get(slots.own, _SERVED)
        self._full = True
        self.tell_full(False)
        self.tell_pace(1.0)

    def tell_full(self, full: bool) -> None:
        if full is not self._full:
            self._full = full
            self._slots.put(_FULL, int(full))

    def tell_served(self, size_bytes: int) -> None:
        self._served += size_bytes
        self._slots.put(_SERVED, self._served)

    def tell_pace(self, factor: float) -> None:
        self._slots.put(_PACE, round(factor * _PACE_WHOLE))


class Account:
    """One tenant's row: what this gateway adds to it, and what the others added since the last look."""

    __slots__ = ("_cells", "_first", "_others", "_own", "_seen", "_slots")

    def __init__(self, slots: Slots, row: int) -> None:
        self._slots = slots
        self._others = [slot for slot in range(slots.count) if slot != slots.own]
        self._cells = range(HEAD_CELLS + row * ROW_CELLS, HEAD_CELLS + (row + 1) * ROW_CELLS)
        self._first = self._cells[0]
        self._own = [slots.get(slots.own, cell) for cell in self._cells]
        self._seen = self._sums()

    def add(self, kind: int, ops: int, size_bytes: int) -> None:
        """Publishes what this gateway has charged; `kind` is LIMIT, SHARE or RESERVATION."""
        own, first, put = self._own, self._first, self._slots.put
        own[kind] += ops
        own[kind + 1] += size_bytes
        put(first + kind, own[kind])
        put(first + kind + 1, own[kind + 1])

    def news(self) -> list[int] | None:
        """What other gateways have charged since the last call, cell by cell; None when nothing."""
        sums, seen = self._sums(), self._seen
        if sums == seen:
            return None
        self._seen = sums
        return [now - before for now, before in zip(sums, seen, strict=True)]

    def _sums(self) -> list[int]:
        get, others = self._slots.get, self._others
        return [sum([get(slot, cell) for slot in others]) for cell in self._cells]


class Peers:
    """The other gateways of this node, and the slot of this one."""

    __slots__ = ("_in_flight", "_others", "_slots")

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._others = [slot for slot in range(slots.count) if slot != slots.own]
        self._in_flight = [
            slots.get(slots.own, cell) for cell in (_STARTED, _FINISHED, _STARTED_BYTES, _FINISHED_BYTES)
        ]
        # What a dead predecessor in this slot had in flight is not in flight any more.
        self.finished(self._in_flight[0] - self._in_flight[1], self._in_flight[2] - self._in_flight[3])
        self.tell_pace(1.0)

    def account(self, path: tuple[str, ...]) -> Account | None:
        row = self._slots.row(path)
        return None if row is None else Account(self._slots, row)

    def started(self, requests: int, size_bytes: int) -> None:
        self._count(_STARTED, requests)
        self._count(_STARTED_BYTES, size_bytes)

    def finished(self, requests: int, size_bytes: int) -> None:
        self._count(_FINISHED, requests)
        self._count(_FINISHED_BYTES, size_bytes)

    def allowance(self, requests: int, size_bytes: int) -> tuple[int, int]:
        """How much of the node's budget this gateway may have in flight: what the others leave, and its equal part always.

        As every gateway with work has a part of its own, each is woken by its own completions and none must poll. While
        one that had taken more gives back, the node may be above its budget by the other's part.
        """
        slots = self._slots
        get = slots.get
        living, taken, taken_bytes = 1, 0, 0
        for slot in self._others:
            if slots.alive(slot):
                living += 1
                # Finished before started: read the other way round, one that starts in between would count as negative.
                finished, finished_bytes = get(slot, _FINISHED), get(slot, _FINISHED_BYTES)
                taken += get(slot, _STARTED) - finished
                taken_bytes += get(slot, _STARTED_BYTES) - finished_bytes
        return (
            max(1, requests // living, requests - taken),
            max(1, size_bytes // living, size_bytes - taken_bytes),
        )

    def tell_pace(self, factor: float) -> None:
        self._slots.put(_PACE, round(factor * _PACE_WHOLE))

    def pace(self) -> float:
        """The smallest factor that a living gateway has told: its tenants' objectives hold on the whole node."""
        told = [self._slots.get(slot, _PACE) for slot in self._others if self._slots.alive(slot)]
        return min(told, default=_PACE_WHOLE) / _PACE_WHOLE

    def _count(self, cell: int, by: int) -> None:
        value = self._in_flight[cell] = self._in_flight[cell] + by
        self._slots.put(cell, value)
