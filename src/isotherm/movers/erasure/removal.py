"""Removes the rows of a tenant that is being erased, page by page, each in a transaction with what it counts.

A page's transaction reads the tenant's `x` row and the page, discards what the rows refer to, removes them, and adds to the
counts of that row and to the counters of dead bytes: killed between any two, the next goes on where it ended, and counts
nothing twice. Used under the lease of `Rounds`; coroutines on any loop, or none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec.structs import replace

from isotherm.meta.port import Meta, Pairs, Transaction
from isotherm.segments.port import Extent, Segments
from isotherm.tenancy.erasure import record
from isotherm.tenancy.erasure.eraser import PLAIN_BYTES, Eraser, Freed

_ROWS_A_PAGE = 500
_ROWS_FREED_A_PAGE = 100
"""Of rows that refer to something, each of which is looked for."""
_BYTES_A_PAGE = 2_000_000
ROWS = "rows"
FREED_BYTES = "freed_bytes"


async def remove_page(meta: Meta, segments: Segments, tenant: int, eraser: Eraser) -> int:
    """Remove some rows of one kind; how many, 0 when none is left.

    Raises:
        Unsupported: a row of a newer format; a program that knows it must erase it. Errors of the metadata.
    """
    limit = _ROWS_FREED_A_PAGE if eraser.free else _ROWS_A_PAGE

    async def remove(txn: Transaction) -> int:
        erasure = await record.read_erasure(txn, tenant)
        if erasure is None:
            return 0
        page = _within(await txn.range(*eraser.rows(tenant), limit))
        if not page:
            return 0
        freed = [await _freed(txn, segments, eraser, tenant, row, value) for row, value in page]
        counts = Counter({ROWS: len(page)})
        if eraser.counted:
            counts[eraser.kind] += len(page)
        for one in freed:
            counts.update(one.counts)
        died = [extent for one in freed for extent in one.died]
        note(txn, erasure, counts, died)
        return len(page)

    return (await meta.transact(remove))[0]


def note(txn: Transaction, erasure: record.Erasure, counts: Mapping[str, int], died: Sequence[Extent]) -> None:
    """Within the transaction that removes something: count it."""
    added = Counter(erasure.counts)
    added.update(counts)
    added[FREED_BYTES] += sum(extent.length for extent in died)
    added[PLAIN_BYTES] += sum(extent.length for extent in died if not extent.sealed)
    there = {kind: count for kind, count in sorted(added.items()) if count}
    txn.put(record.erasure_row(erasure.tenant), record.pack(replace(erasure, counts=there, cleared_ms=0)))
    for extent in died:
        if extent.length:
            txn.add(record.dead_row(erasure.tenant, extent.segment), extent.length)


async def _freed(txn: Transaction, segments: Segments, eraser: Eraser, tenant: int, row: bytes, value: bytes) -> Freed:
    found = await eraser.free(txn, segments, tenant, row, value) if eraser.free else Freed()
    txn.delete(row)
    return found


def _within(page: Pairs) -> Pairs:
    """As many as one transaction takes; one always is."""
    size = 0
    for at, (row, value) in enumerate(page):
        size += len(row) + len(value)
        if at and size > _BYTES_A_PAGE:
            return page[:at]
    return page
