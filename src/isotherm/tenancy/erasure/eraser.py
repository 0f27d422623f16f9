"""What a kind of data registers so that it can be erased: which rows of a tenant it has, and what each of them holds.

Whoever keeps rows below a tenant's id declares an `Eraser` for them; movers/erasure/kinds.py puts them in order, and a test
fails for a table without one. Rows are removed by the mover, page by page: an eraser only says where they lie, and frees
what a row refers to within the transaction that removes it. Pure but for that.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from isotherm.meta.port import Transaction
from isotherm.segments.port import Extent, Segments

UNREADABLE = "unreadable"
"""Counts rows that could not be read, so that what they referred to is not known; they are removed as well."""

PLAIN_BYTES = "freed_plain_bytes"
"""Counts, of the extents to which nothing refers any more, the bytes of those that were not sealed."""


@dataclass(frozen=True, slots=True)
class Freed:
    """What went with a row: counts by kind, and the extents to which nothing refers any more."""

    counts: Mapping[str, int] = field(default_factory=dict)
    died: Sequence[Extent] = ()


Free = Callable[[Transaction, Segments, int, bytes, bytes], Awaitable[Freed]]
"""(transaction, segments, tenant, row, value): free what the row refers to; the row itself is removed by the caller."""


@dataclass(frozen=True, slots=True)
class Eraser:
    """Of one kind of rows.

    Args:
        kind: its name, as counts and messages tell it.
        rows: the half-open range of a tenant's rows of this kind.
        free: None where a row refers to nothing beyond itself.
        counted: whether rows are counted under `kind`.
    """

    kind: str
    rows: Callable[[int], tuple[bytes, bytes]]
    free: Free | None = None
    counted: bool = False
