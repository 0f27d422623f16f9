"""Reading the audit log as a caller: records of a node and those below it, in the feed's order, and the head of its chain.

What may be seen from a node was decided when it happened: the index holds a record for its node and all that were above it
then. So a node that is moved, or deleted, leaves its past where it was seen, and takes it along for itself alone.

Of a call from above, a reader learns what was changed and in which role, and not whose access key it was, nor from where it
came, nor another's path: those are of a node that he does not reach. Records that are not chained yet are not seen yet.

Coroutines, on any loop or none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from isotherm.errors import Corrupt, Invalid, Unsupported
from isotherm.meta.port import STAMP_BYTES, Meta, Reader
from isotherm.tenancy.audit import rows
from isotherm.tenancy.audit.chain import Head, genesis
from isotherm.tenancy.audit.record import Record, read
from isotherm.tenancy.finding import LIMIT_MOST, find
from isotherm.tenancy.roles import Caller, Need

LOOKED_AT_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Told:
    """A record as its reader may see it. `hidden`: who did it is not told to him."""

    record: Record
    tenant: int
    sequence: int
    hash: bytes
    stamp: bytes
    hidden: bool


class AuditLog:
    """Of a store."""

    def __init__(self, meta: Meta) -> None:
        self._meta = meta

    async def page(
        self,
        caller: Caller,
        tenant: str,
        *,
        after: str = "",
        limit: int = 100,
        since_ms: int | None = None,
        until_ms: int | None = None,
    ) -> tuple[Sequence[Told], str | None]:
        """Records of a node, one that was deleted as well (by its id), and of those below it; and what to go on after, if more may follow.

        Args:
            after: the stamp of a record, hexadecimal.
            since_ms, until_ms: only records of that time, `until_ms` not included. A page looks at LOOKED_AT_MOST at most, so it
                may hold few, or none, though more follow: records are in the feed's order, which no clock decides.

        Raises:
            Denied, NotFound, Invalid.
        """
        if not 1 <= limit <= LIMIT_MOST:
            raise Invalid(f"limit is {limit}; it must be a number from 1 to {LIMIT_MOST}")
        with self._meta.snapshot() as snapshot:
            chain = await find(snapshot, caller, tenant, Need.LOOK, erased=True)
            start, end = rows.index_of(chain[-1].id)
            if after:
                start = rows.index_row(chain[-1].id, _stamp(after)) + b"\0"
            filtering = since_ms is not None or until_ms is not None
            looked_at = LOOKED_AT_MOST if filtering else limit
            page = await snapshot.range(start, end, looked_at + 1)
            more, page = len(page) > looked_at, page[:looked_at]
            found: list[Told] = []
            for row, stored in page:
                entry = _entry(stored)
                if entry is None:
                    continue
                if (since_ms is None or since_ms <= entry.time_ms) and (until_ms is None or entry.time_ms < until_ms):
                    if len(found) == limit:
                        return found, found[-1].stamp.hex()
                    stamp = rows.node_and_stamp(row)[1]
                    found += await _told(snapshot, entry, stamp, caller, chain[-1].id)
            return found, rows.node_and_stamp(page[-1][0])[1].hex() if more else None

    async def place(self, caller: Caller, tenant: str) -> int:
        """The id of a node whose records the caller may see. Raises Denied, NotFound, Invalid."""
        with self._meta.snapshot() as snapshot:
            return (await find(snapshot, caller, tenant, Need.LOOK, erased=True))[-1].id

    async def head(self, caller: Caller, tenant: str) -> tuple[int, Head]:
        """The id of a node and how far its own chain has come. Raises Denied, NotFound, Invalid."""
        with self._meta.snapshot() as snapshot:
            node = (await find(snapshot, caller, tenant, Need.LOOK, erased=True))[-1].id
            return node, await rows.read_head(snapshot, node) or genesis(node)


async def _told(reader: Reader, entry: rows.Entry, stamp: bytes, caller: Caller, node: int) -> list[Told]:
    """Nothing where the link is gone or damaged, which `verify` tells: the others must still be seen."""
    stored = await reader.get(rows.link_row(entry.tenant, entry.sequence))
    try:
        link = rows.unpack_link(stored or b"")
    except (Corrupt, Unsupported):
        return []
    record = read(link.record)
    above = record.above
    if node not in above:
        return []
    knew = caller.tenant in above
    at = above.index(caller.tenant if knew else node)
    hidden = record.tenant not in above[at:] and record.tenant != 0
    if hidden:
        changed = {name: change for name, change in record.changed.items() if name != "path"}
        record = replace(record, access_key="", request="", remote="", changed=changed)
    if not knew:
        record = replace(record, path="")
    return [Told(record, entry.tenant, entry.sequence, link.hash, stamp, hidden)]


def _entry(stored: bytes) -> rows.Entry | None:
    try:
        return rows.unpack_entry(stored)
    except Corrupt:
        return None


def _stamp(text: str) -> bytes:
    try:
        stamp = bytes.fromhex(text)
    except ValueError:
        stamp = b""
    if len(stamp) != STAMP_BYTES or stamp.hex() != text:
        raise Invalid("a cursor is 32 hexadecimal digits")
    return stamp
