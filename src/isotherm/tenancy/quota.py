"""Charges a tenant and all above it for what a transaction changes, bounded by the terms of each of them.

Invariants:
- A charge is part of the transaction that changes what is counted, and that transaction has read each node from the tenant to
  the root. So a node that is moved, or whose terms change, cannot be charged by what it was: the write runs again.
- Nodes are taken for what they were when this process last saw them; the commit compares. That costs no reading while they
  stay the same, and a changed limit holds from its commit on.
- Freeing is never refused.

A tenant that the tree does not know is a program's own affair: it is charged, and bounded by nobody. Any thread.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from isotherm.errors import Corrupt
from isotherm.meta.accounts import balance
from isotherm.meta.port import ACCOUNT_ROWS, Reader, Transaction
from isotherm.meta.rules import over_quota
from isotherm.tenancy import tree_record as record
from isotherm.tenancy.roles import ROOT_TENANT
from isotherm.tenancy.terms import Terms
from isotherm.tenancy.tree import DEPTH_MOST, REALM, Node
from isotherm.tenancy.usage import BYTES, HELD, KINDS, Tally, accounts_of, below, read_balances

NODES_MOST = 20_000


class _Known:
    """A node, as its row told. `row`: where that lies; `parent`: 0 above the root, and above a tenant without a row."""

    __slots__ = ("accounts", "parent", "row", "stored", "terms")

    def __init__(self, tenant: int, stored: bytes | None) -> None:
        node = record.unpack(stored) if stored is not None else REALM
        self.row = record.node_row(tenant)
        self.stored = stored
        self.accounts = accounts_of(tenant)
        self.parent = node.parent if tenant != ROOT_TENANT else 0
        self.terms = node.terms


async def move(txn: Transaction, tenant: int, old: Sequence[Node], new: Sequence[Node]) -> None:
    """Within a transaction: what a tenant and all below it hold is counted above it elsewhere. At its commit: OverQuota.

    Args:
        old, new: the nodes above it, from the root, before and after.
    """
    shared = {node.id for node in old} & {node.id for node in new}
    balances = await read_balances(txn, tenant)
    for sign, line in ((-1, old), (1, new)):
        for node in line:
            if node.id not in shared:
                for kind in KINDS:
                    delta = sign * balances.get(kind, 0)
                    txn.charge(accounts_of(node.id) + kind, delta, most_of(node.terms, kind))
                    txn.charge(accounts_of(node.id) + below(kind), delta)


async def release(txn: Transaction, tenant: int, above: Sequence[Node]) -> None:
    """Within a transaction: a tenant below which nothing lies is no more, and what it was charged is nobody's."""
    await move(txn, tenant, above, ())
    prefix = accounts_of(tenant)
    for key, _ in await txn.range(prefix, prefix + b"\xff", 2 * len(KINDS) * ACCOUNT_ROWS):
        txn.delete(key)


def most_of(terms: Terms, kind: bytes) -> int | None:
    """What a node's account of a kind may come to."""
    return terms.capacity_bytes if kind == BYTES else terms.objects if kind == HELD else None


class Quota:
    """The nodes of a store as one process knows them."""

    def __init__(self) -> None:
        self._known: dict[int, _Known] = {}

    async def charge(self, txn: Transaction, tenant: int, tally: Tally, *, bounded: bool = True) -> None:
        """Within a transaction: add to what a tenant, and each node above it, holds.

        Args:
            bounded: False for what is there already, and is only now counted.

        Raises:
            Corrupt, Unsupported: a node's row cannot be read. At its commit the transaction raises OverQuota.
        """
        changes = tally.changes()
        if not changes:
            return
        at, levels = tenant, 0
        while at:
            node = self._known.get(at)
            if node is None or await txn.expect(node.row, node.stored) != node.stored:
                node = self._keep(at, await txn.get(record.node_row(at)))
            for kind, delta in changes:
                txn.charge(node.accounts + kind, delta, most_of(node.terms, kind) if bounded else None)
                if levels:
                    txn.charge(node.accounts + below(kind), delta)
            at = node.parent
            levels = _deeper(levels)

    async def demand_room(self, reader: Reader, tenant: int, size_bytes: int) -> None:
        """Raises OverQuota where so many bytes more would not be taken now: before they travel. The commit decides.

        What `reader` reads need not be of one state.
        """
        async for node in self._line(reader, tenant):
            most = node.terms.capacity_bytes
            if most is not None and await balance(reader, node.accounts + BYTES) + size_bytes > most:
                raise over_quota()

    async def _line(self, reader: Reader, tenant: int) -> AsyncIterator[_Known]:
        at, levels = tenant, 0
        while at:
            node = _Known(at, await reader.get(record.node_row(at)))
            yield node
            at = node.parent
            levels = _deeper(levels)

    def _keep(self, tenant: int, stored: bytes | None) -> _Known:
        if len(self._known) >= NODES_MOST:
            self._known.clear()
        self._known[tenant] = known = _Known(tenant, stored)
        return known


def _deeper(levels: int) -> int:
    """Raises Corrupt where the nodes above a tenant do not lead to the root."""
    if levels > DEPTH_MOST:
        raise Corrupt("the tenants above this one do not lead to the root")
    return levels + 1
