"""Recomputes chains: `isotherm audit verify`, for whoever opened the store. It changes nothing, with a server or without one.

Coroutines, on any loop or none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from isotherm.errors import Corrupt, Unsupported
from isotherm.meta.port import NO_STAMP, Engine, Meta, Reader
from isotherm.tenancy.audit import rows
from isotherm.tenancy.audit.chain import Break, Checking, Head
from isotherm.tenancy.audit.record import FEED

_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """Of one chain: how far its links go, and where it is broken."""

    tenant: int
    at: Head
    breaks: list[Break]


async def verify(meta: Meta, tenant: int, expected: Sequence[Head] = ()) -> Verdict:
    """Walk one chain. Raises what the store raises; a row that cannot be read is a break."""
    checking = Checking(tenant, expected)
    start, end = rows.links_of(tenant)
    while True:
        with meta.snapshot() as snapshot:  # a chain only grows: its last page and its head are of one state
            page = await snapshot.range(start, end, _PAGE)
            for row, stored in page:
                add_link(checking, row, stored)
            if len(page) < _PAGE:
                await end_with_head(checking, snapshot)
                return Verdict(tenant, checking.at, checking.breaks)
        start = page[-1][0] + b"\0"


async def end_with_head(checking: Checking, reader: Reader) -> None:
    """No more rows."""
    try:
        checking.end(await rows.read_head(reader, checking.tenant))
    except (Corrupt, Unsupported):
        checking.end(None)


def add_link(checking: Checking, row: bytes, stored: bytes) -> None:
    """The next row of a chain, readable or not."""
    try:
        sequence = rows.place_of(row)[1]
        link = rows.unpack_link(stored)
    except (Corrupt, Unsupported):
        checking.add_unreadable(int.from_bytes(row[len(rows.link_row(0, 0)) - 8 :], "big"))
        return
    checking.add(sequence, link.hash, link.entry)


async def waiting(meta: Engine) -> int:
    """How many records no chain holds yet: the feed's tail behind the follower."""
    after = await meta.get(rows.CURSOR) or NO_STAMP
    count = 0
    while records := await meta.feed_records(FEED, after, _PAGE):
        count += len(records)
        after = records[-1][0]
    return count
