"""A ledger in shared memory: what each gateway has charged and counted, tenant by tenant, for the others to read.

One slot a gateway, written by that gateway alone; its cells are aligned 64-bit words, each read and written whole. A tenant
has a row, the same in all slots: the first process that asks for one enters the tenant's id at the end of the list of rows,
under a lock of the file (fcntl(2)) that the kernel takes from whoever dies, and the number of rows is written last. Rows are
never given to another tenant while the memory lives; whoever comes when all are taken is told that there is none.

    [number of rows][id of row 0][id of row 1]… [slot 0: head, charged rows, counted rows][slot 1]…

The memory has no name in any file system (`memfd_create(2)`) and takes pages only where something was written.

One `Ledger` belongs to one thread of one process; slots and rows may be read at any time by any.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Callable

ROWS_MOST = 10_000
HEAD_CELLS = 8
CHARGED_CELLS = 6
COUNTED_CELLS = 4
_WORD_BYTES = 8
_PAGE_BYTES = 4_096
_LIST_BYTES = -(-(1 + ROWS_MOST) * _WORD_BYTES // _PAGE_BYTES) * _PAGE_BYTES
_COUNTED_AT = HEAD_CELLS + ROWS_MOST * CHARGED_CELLS
_SLOT_CELLS = _COUNTED_AT + (ROWS_MOST + 1) * COUNTED_CELLS
_SLOT_BYTES = -(-_SLOT_CELLS * _WORD_BYTES // _PAGE_BYTES) * _PAGE_BYTES


class Ledger:
    """The whole of it, as one process sees it.

    Args:
        descriptor: of the memory; inherited from whoever made it (`create_ledger`).
        slots: how many gateways there are.
        own: the caller's own slot; a reader that has none gives any.
        alive: whether a gateway lives in a slot.
    """

    __slots__ = ("_alive", "_descriptor", "_ids", "_own_cells", "_rows", "_slots", "count", "own")

    def __init__(self, descriptor: int, slots: int, own: int, alive: Callable[[int], bool]) -> None:
        self._descriptor = descriptor
        whole = memoryview(mmap.mmap(descriptor, _LIST_BYTES + slots * _SLOT_BYTES))
        self._ids = whole[:_LIST_BYTES].cast("Q")
        starts = [_LIST_BYTES + slot * _SLOT_BYTES for slot in range(slots)]
        self._slots = [whole[start : start + _SLOT_BYTES].cast("Q") for start in starts]
        self._own_cells = self._slots[own]
        self._alive = alive
        self._rows: dict[int, int] = {}
        self.own = own
        self.count = slots

    def alive(self, slot: int) -> bool:
        return self._alive(slot)

    def get(self, slot: int, cell: int) -> int:
        return self._slots[slot][cell]

    def put(self, cell: int, value: int) -> None:
        self._own_cells[cell] = value

    def row(self, path: tuple[str, ...]) -> int | None:
        """Of the tenant whose id ends a path; None where all rows are taken, or the path ends with no tenant."""
        return self.row_of(int(path[-1])) if path[-1] else None

    def row_of(self, tenant: int) -> int | None:
        row = self._rows.get(tenant)
        if row is None:
            self._catch_up()
            row = self._rows.get(tenant)
            if row is None and self._ids[0] < ROWS_MOST:
                row = self._enter(tenant)
        return row

    def tenants(self) -> list[int]:
        """The ids of all that have rows, in the order of these."""
        self._catch_up()
        return list(self._rows)

    def counted(self, slot: int, row: int | None) -> memoryview:
        """The counters of a row in a slot, COUNTED_CELLS of them; None: those of all tenants without a row."""
        start = _COUNTED_AT + (ROWS_MOST if row is None else row) * COUNTED_CELLS
        return self._slots[slot][start : start + COUNTED_CELLS]

    def _catch_up(self) -> None:
        for row in range(len(self._rows), self._ids[0]):
            self._rows[self._ids[1 + row]] = row

    def _enter(self, tenant: int) -> int | None:
        """Takes a row, unless another process was quicker. Blocks while that does the same, for microseconds."""
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        try:
            self._catch_up()
            row = self._ids[0]
            if tenant in self._rows or row == ROWS_MOST:
                return self._rows.get(tenant)
            self._ids[1 + row] = tenant
            self._ids[0] = row + 1
            self._rows[tenant] = row
            return row
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)


def create_ledger(slots: int) -> int:
    """The memory of a ledger, as a descriptor."""
    descriptor = os.memfd_create("isotherm-ledger", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, _LIST_BYTES + slots * _SLOT_BYTES)
    return descriptor
