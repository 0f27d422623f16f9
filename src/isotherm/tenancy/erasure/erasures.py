"""Erasing tenants, as callers ask for it: begun here, ended by the mover (movers/erasure), told here.

`begin` is one transaction: from its commit on the node, and all below it, is in a state that nothing leaves, in which no
credential is served and nothing is made. Then its secret is destroyed; what cannot be done then, the mover does. Coroutines,
on any loop or none; used by the control process and the command line.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from msgspec.structs import replace

from isotherm.clock import Clock
from isotherm.devices.waiting import offload
from isotherm.errors import (
    Conflict,
    Corrupt,
    Denied,
    Invalid,
    IsothermError,
    Misuse,
    NotEmpty,
    NotFound,
    Unsupported,
)
from isotherm.meta.port import Meta, Reader, Transaction
from isotherm.tenancy import tree_record
from isotherm.tenancy.audit.deed import Deed
from isotherm.tenancy.audit.record import differences
from isotherm.tenancy.erasure import record
from isotherm.tenancy.erasure.certificate import Signer
from isotherm.tenancy.erasure.record import Erasure, Issued
from isotherm.tenancy.finding import LIMIT_MOST, find
from isotherm.tenancy.keystore import ROOT, KeyStore
from isotherm.tenancy.roles import ROOT_TENANT, Caller, Need, demand_role, role_words
from isotherm.tenancy.tree import ID_MOST, TenantState, demand_lasting, path_of
from isotherm.tenancy.tree_reading import Chain

LOOKED_AT_MOST = 10_000
"""A page looks at so many at most."""


class Erasures:
    """Those of a store."""

    def __init__(self, meta: Meta, keys: KeyStore, clock: Clock) -> None:
        self._meta = meta
        self._keys = keys
        self._clock = clock

    async def begin(
        self, caller: Caller, tenant: str, confirm: str, *, below: bool, deed: Deed | None = None
    ) -> Erasure | Issued:
        """Erase a node and all below it. Cannot be taken back. Again changes nothing.

        Args:
            confirm: the path of the node, once more.
            below: whether tenants below it may be erased along.

        Raises:
            Denied, NotFound.
            Invalid: `confirm` is not its path.
            NotEmpty: it has tenants below it, and `below` is false.
            Conflict: it is the root, or one above it is being erased.
        """
        began_ms = self._clock.now_ms()

        async def write(txn: Transaction) -> Erasure | Issued:
            chain = await find(txn, caller, tenant, Need.GOVERN, erased=True)
            node = chain[-1]
            if node.id == ROOT_TENANT:
                raise Conflict("the root is never erased", code="TenantIsRoot")
            if node.state in (TenantState.ERASING, TenantState.ERASED):
                return await _told(txn, node.id, tenant)
            demand_lasting(chain)
            if confirm != path_of(chain):
                raise Invalid(f"to erase this tenant, confirm it by its path: {path_of(chain)}", code="NotConfirmed")
            if not below and await txn.range(*tree_record.children_of(node.id), 1):
                raise NotEmpty(
                    f"{path_of(chain)} has tenants below it: say that they are to be erased, too (by command: --subtree true)",
                    code="TenantNotEmpty",
                    held=["tenants below it"],
                )
            begun = _begun(chain, began_ms, deed)
            put_begun(txn, chain, begun)
            if deed is not None:
                deed.done(txn, chain, differences(node, replace(node, state=TenantState.ERASING)))
            return begun

        begun = (await self._meta.transact(write))[0]
        if isinstance(begun, Erasure) and not begun.key_destroyed_ms:
            with suppress(IsothermError):  # which the mover does, as often as it takes, before anything is certified
                return await destroy_key(self._meta, self._keys, self._clock, begun.tenant) or begun
        return begun

    async def show(self, caller: Caller, tenant: str) -> Erasure | Issued:
        """How far it has come, or what is kept of it. Raises Denied, NotFound, Invalid."""
        with self._meta.snapshot() as snapshot:
            chain = await find(snapshot, caller, tenant, Need.LOOK, erased=True)
            return await _told(snapshot, chain[-1].id, tenant)

    async def page(
        self, caller: Caller, under: str | None, *, after: int = 0, limit: int = 100
    ) -> tuple[Sequence[Erasure | Issued], int | None]:
        """Of tenants below a node (None: the caller's own), in order of their ids; and what to go on after, if more may follow.

        Raises:
            Denied, NotFound, Invalid.
        """
        if not 1 <= limit <= LIMIT_MOST:
            raise Invalid(f"limit is {limit}; it must be a number from 1 to {LIMIT_MOST}")
        if not 0 <= after < ID_MOST:
            raise Invalid(f"after is {after}; it must be the id of a tenant")
        demand_role(caller, Need.LOOK)
        with self._meta.snapshot() as snapshot:
            reference = f"@{caller.tenant}" if under is None else under
            node = (await find(snapshot, caller, reference, Need.LOOK, erased=True))[-1].id
            rows: dict[int, tuple[bytes, bytes]] = {}
            for table in (record.ERASURES, record.CERTIFICATES):
                start, end = table + (after + 1).to_bytes(4, "big"), record.table_range(table)[1]
                found = await snapshot.range(start, end, LOOKED_AT_MOST + 1)
                rows |= {int.from_bytes(row[len(table) :], "big"): (table, stored) for row, stored in found}
        told: list[Erasure | Issued] = []
        looked_at = sorted(rows)[:LOOKED_AT_MOST]
        for at, id_ in enumerate(looked_at):
            one = _read(*rows[id_])
            if one is None or node not in one.above:
                continue
            told.append(one)
            if len(told) == limit:
                return told, id_ if at + 1 < len(rows) else None
        return told, looked_at[-1] if len(rows) > len(looked_at) else None

    async def public_key(self) -> bytes:
        """By which this store's certificates are verified. Raises Denied, Misuse, Unavailable: its root key cannot be read."""
        return Signer(await offload(lambda: self._keys.key(ROOT))).public_key


def put_begun(txn: Transaction, chain: Chain, begun: Erasure) -> None:
    """Within a transaction that has read the chain: its last node is being erased from now on."""
    tree_record.put_node(txn, replace(chain[-1], state=TenantState.ERASING))
    txn.put(record.erasure_row(begun.tenant), record.pack(begun))


async def destroy_key(meta: Meta, keys: KeyStore, clock: Clock, tenant: int) -> Erasure | None:
    """Destroy the secret of a tenant that is being erased, and note it; None where its erasure has ended.

    Whether there was one is noted before. Again changes nothing; killed at any point it can be called again.

    Raises:
        Denied, Unavailable: the key store does not do it now.
    """
    held = await _holds(keys, tenant)

    async def note_held(txn: Transaction) -> Erasure | None:
        erasure = await record.read_erasure(txn, tenant)
        if erasure is None or erasure.sealed is not None:
            return erasure
        noted = replace(erasure, sealed=held)
        txn.put(record.erasure_row(tenant), record.pack(noted))
        return noted

    async def note_destroyed(txn: Transaction) -> Erasure | None:
        erasure = await record.read_erasure(txn, tenant)
        if erasure is None or erasure.key_destroyed_ms:
            return erasure
        noted = replace(erasure, key_destroyed_ms=now_ms)
        txn.put(record.erasure_row(tenant), record.pack(noted))
        return noted

    if (await meta.transact(note_held))[0] is None:
        return None
    await keys.destroy(tenant)
    now_ms = clock.now_ms()
    return (await meta.transact(note_destroyed))[0]


def _read(table: bytes, stored: bytes) -> Erasure | Issued | None:
    """None for one that is damaged, which fsck tells: the others must still be seen."""
    try:
        return record.unpack_erasure(stored) if table == record.ERASURES else record.unpack_issued(stored)
    except (Corrupt, Unsupported):
        return None


async def _holds(keys: KeyStore, tenant: int) -> bool:
    try:
        return await keys.secret(tenant) is not None
    except (Misuse, Denied):  # there is one, which cannot be used, but destroyed
        return True


def _begun(chain: Chain, began_ms: int, deed: Deed | None) -> Erasure:
    above = tuple(node.id for node in chain[:-1])
    begun = Erasure(tenant=chain[-1].id, path=path_of(chain), above=above, began_ms=began_ms)
    if deed is None:
        return begun
    caller = deed.caller
    return replace(
        begun,
        access_key=caller.access_key,
        by=caller.tenant,
        roles=role_words(caller.roles),
        request=deed.request,
        remote=deed.remote,
    )


async def _told(reader: Reader, tenant: int, asked: str) -> Erasure | Issued:
    found = await record.read_erasure(reader, tenant) or await record.read_issued(reader, tenant)
    if found is None:
        raise NotFound(f"tenant {asked} has not been erased", code="NoSuchErasure")
    return found
