"""The follower of the feed `audit`: takes records in the feed's order and makes them links of their tenants' chains.

A step is one transaction: links, heads, index and cursor together, and only if the cursor is still where the step began.
So a follower may be killed at any point, and two at once neither lose a record nor chain it twice.

*The feed is trimmed here alone, and never beyond the cursor*, whatever its length: a record goes only once it is chained. Should
somebody else have trimmed it, the root's chain says so for ever (`audit.lost`), and so does the log of the mover.

A coroutine, on any loop or none; any process.
"""

from __future__ import annotations

from dataclasses import dataclass

from isotherm.clock import Clock
from isotherm.errors import Corrupt, CursorExpired, Unsupported
from isotherm.meta.port import NO_STAMP, Engine, Pairs, Transaction
from isotherm.tenancy.audit import rows
from isotherm.tenancy.audit.chain import HASH_BYTES, Head, genesis, linked
from isotherm.tenancy.audit.record import FEED, LOST, Record, pack, read

RECORDS_A_STEP = 200
_BYTES_A_STEP = 4_000_000
_EPOCH_BYTES = 4


@dataclass(frozen=True, slots=True)
class Followed:
    """What a step did. `lost`: records had been trimmed that were not chained. `more`: go on at once."""

    chained: int = 0
    lost: bool = False
    more: bool = False


async def follow(meta: Engine, clock: Clock) -> Followed:
    """One step, then the feed is trimmed up to where it has come. Raises Retry, Corrupt."""
    stored = await meta.get(rows.CURSOR)
    after = stored or NO_STAMP
    end = await meta.feed_end(FEED)
    lost = await _is_lost(meta, after)
    there = await meta.feed_records(FEED, after, RECORDS_A_STEP)
    found = _within(there)
    taken = found
    if lost:
        gap = Record(time_ms=clock.now_ms(), operation=LOST, outcome="CursorExpired")
        at = (int.from_bytes(after, "big") + 1).to_bytes(len(after), "big")  # of a record that is lost
        taken = [(at, pack(gap)), *found]
    if not taken:
        return Followed()
    cursor = found[-1][0] if found else end

    async def write(txn: Transaction) -> bool:
        if await txn.get(rows.CURSOR) != stored:
            return False  # another follower was here
        await _chain(txn, taken)
        txn.put(rows.CURSOR, cursor)
        return True

    ours, _ = await meta.transact(write)
    if not ours:
        return Followed(more=True)
    await meta.trim(FEED, 0, upto=cursor)
    return Followed(len(taken), lost, len(there) == RECORDS_A_STEP or len(found) < len(there))


async def _chain(txn: Transaction, taken: Pairs) -> None:
    heads: dict[int, Head] = {}
    for stamp, value in taken:
        record = read(value)
        tenant = record.above[-1]
        head = heads.get(tenant) or await _last(txn, tenant)
        link = stamp + value
        head = heads[tenant] = linked(head, link)
        txn.put(rows.link_row(tenant, head.sequence), rows.pack_link(rows.Link(head.hash, link)))
        entry = rows.Entry(tenant, head.sequence, record.time_ms).pack()
        for node in record.above:
            txn.put(rows.index_row(node, stamp), entry)
    for tenant, head in heads.items():
        txn.put(rows.head_row(tenant), rows.pack_head(head))


async def _last(txn: Transaction, tenant: int) -> Head:
    """Where a chain goes on: behind its last link and its head, whichever is further, so that nothing is overwritten."""
    head = genesis(tenant)
    try:
        head = await rows.read_head(txn, tenant) or head
    except (Corrupt, Unsupported):
        head = genesis(tenant)  # the links are there
    for row, stored in await txn.range(*rows.links_of(tenant), 1, reverse=True):
        sequence = rows.place_of(row)[1]
        if sequence > head.sequence:
            head = Head(sequence, _hash(stored))
    return head


def _hash(stored: bytes) -> bytes:
    """A link's; of one that is damaged a hash that nothing has: the chain goes on, and is broken there for everybody to see."""
    try:
        return rows.unpack_link(stored).hash
    except (Corrupt, Unsupported):
        return bytes(HASH_BYTES)


async def _is_lost(meta: Engine, after: bytes) -> bool:
    """Whether records behind the cursor are gone. Nobody trims what an earlier epoch left, so that need not be asked for."""
    if int.from_bytes(after[:_EPOCH_BYTES], "big") != meta.epoch:
        return False
    try:
        await meta.feed(FEED, after, 1)
    except CursorExpired:
        return True
    return False


def _within(found: Pairs) -> Pairs:
    """As many as fit into one transaction; one always does."""
    size = 0
    taken: Pairs = []
    for stamp, value in found:
        size += len(value)
        if taken and size > _BYTES_A_STEP:
            break
        taken.append((stamp, value))
    return taken
