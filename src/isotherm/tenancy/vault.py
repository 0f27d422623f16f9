"""The keys of tenants at work: unwrapped when they are needed, remembered for a while, made when a tenant first seals something.

Invariants: a node's secret is durable in the key store before its row is committed, and its row before anything is sealed
under it, so no crash leaves sealed bytes without a key; a secret without a row is a harmless orphan. A node has a row only if
all above it have one. A secret is made only for a node without a row: one that was lost or destroyed is never replaced.

What is remembered is good for `KEPT_S`, and no longer than what it was unwrapped with: a destroyed secret is out of every
process's use after that, for the node and all below it. Requests stop sooner, with the state of the tenant.

Any thread or coroutine: a race does the same work twice. Keys never appear in errors or logs.
"""

from __future__ import annotations

from dataclasses import dataclass

from isotherm.clock import Clock
from isotherm.errors import Corrupt, Denied
from isotherm.ids import Ids
from isotherm.meta.port import Meta, Reader, Transaction
from isotherm.segments.port import Seal
from isotherm.segments.sealing import Ciphers, TenantSeal
from isotherm.tenancy import vault_record as record
from isotherm.tenancy.keystore import ROOT, KeyStore
from isotherm.tenancy.roles import ROOT_TENANT
from isotherm.tenancy.tree import DEPTH_MOST, ENDED, worst
from isotherm.tenancy.tree_reading import chain_of

KEPT_S = 30.0
KNOWN_MOST = 10_000


class KeyMissing(Exception):
    """A node has no key yet that this needs. `Vault.make` mends it, outside of any transaction."""

    def __init__(self, tenant: int) -> None:
        super().__init__(tenant)
        self.tenant = tenant


@dataclass(frozen=True, slots=True)
class _Known:
    until_s: float
    node_key: bytes
    seal: Seal


class Vault:
    """The keys of a store's tenants, as one process knows them. A `segments.tenant_segments.Seals`."""

    def __init__(self, meta: Meta, store: KeyStore, clock: Clock, ids: Ids) -> None:
        self._meta = meta
        self._store = store
        self._clock = clock
        self._ids = ids
        self._known: dict[int, _Known] = {}
        self._ciphers = Ciphers()

    def at_hand(self, tenant: int) -> Seal | None:
        """See `Seals`. Costs a look in a dictionary and at the clock."""
        known = self._known.get(tenant)
        return known.seal if known is not None and self._clock.monotonic() < known.until_s else None

    async def to_read(self, tenant: int) -> Seal:
        """See `Seals`.

        Raises:
            Denied: the key was never made, or has been destroyed, or does not fit.
            Corrupt: its row is damaged. Unavailable: the key store cannot be reached.
        """
        try:
            return (await self._opened(tenant)).seal
        except KeyMissing as missing:
            raise _gone(missing.tenant) from None

    async def to_write(self, tenant: int) -> Seal:
        """See `Seals`. The first call for a tenant makes its key, and those above it that are not there. Raises as `to_read`."""
        while True:
            try:
                return (await self._opened(tenant)).seal
            except KeyMissing as missing:
                await self.make(missing.tenant)

    async def make(self, tenant: int) -> None:
        """Make the key of a node that has none, and those above it; nothing happens where there is one.

        Raises:
            Denied: the tenant has been erased, or one above it. Otherwise as `to_read`.
        """
        while True:
            parent = await _parent(self._meta, tenant)
            try:
                above, _ = await self._node_key(parent)
            except KeyMissing as missing:
                await self.make(missing.tenant)
                continue
            secret = await self._store.make(tenant)
            fresh, nonce = self._ids.token(record.KEY_BYTES), self._ids.token(record.NONCE_BYTES)
            wrapped = record.pack(record.wrap(tenant, parent, fresh, secret, above, nonce))

            async def enter(txn: Transaction, parent: int = parent, wrapped: bytes = wrapped) -> bool:
                if await _parent(txn, tenant) != parent:
                    return False  # moved meanwhile
                if await txn.get(record.key_row(tenant)) is None:
                    txn.put(record.key_row(tenant), wrapped)
                return True

            try:
                if (await self._meta.transact(enter))[0]:
                    return
            except Denied:
                await self._store.destroy(tenant)  # erased since its secret was made
                raise

    async def rewrap(self, txn: Transaction, tenant: int, parent: int) -> None:
        """Within the transaction that moves a node below `parent`: wrap its key under the new one. Those below it stay as they are.

        Raises:
            KeyMissing: `make` the key of that node, and move again.
            Denied, Corrupt, Unavailable: as `to_read`; a node whose key cannot be opened cannot be moved.
        """
        stored = await txn.get(record.key_row(tenant))
        if stored is None:
            return
        if parent != ROOT_TENANT and await txn.get(record.key_row(parent)) is None:
            raise KeyMissing(parent)
        node_key = (await self._unwrapped(tenant, stored, 0))[0]
        above, _ = await self._node_key(parent)
        secret = await self._secret(tenant)
        nonce = self._ids.token(record.NONCE_BYTES)
        txn.put(record.key_row(tenant), record.pack(record.wrap(tenant, parent, node_key, secret, above, nonce)))

    def remove(self, txn: Transaction, tenant: int) -> None:
        """Within the transaction that removes a node which holds nothing any more; `destroy` its secret behind it."""
        txn.delete(record.key_row(tenant))

    async def destroy(self, tenant: int) -> None:
        """Destroy the secret of a node that is no more, if it had one. Raises Unavailable, Denied: the key store."""
        self.forget(tenant)
        await self._store.destroy(tenant)

    def forget(self, tenant: int) -> None:
        """Remember nothing of a tenant; those below it are forgotten in time."""
        self._known.pop(tenant, None)

    def sweep(self) -> int:
        """Forget what is no longer good; says how many keys. Every process calls it now and then."""
        now_s = self._clock.monotonic()
        self._ciphers.clear()
        stale = [tenant for tenant, known in list(self._known.items()) if known.until_s <= now_s]
        for tenant in stale:
            self._known.pop(tenant, None)
        return len(stale)

    async def _opened(self, tenant: int, deep: int = 0) -> _Known:
        known = self._known.get(tenant)
        now_s = self._clock.monotonic()
        if known is not None and now_s < known.until_s:
            return known
        stored = await self._meta.get(record.key_row(tenant))
        if stored is None:
            raise KeyMissing(tenant)
        node_key, until_s = await self._unwrapped(tenant, stored, deep)
        known = _Known(
            min(until_s, now_s + KEPT_S),
            node_key,
            TenantSeal(tenant, record.data_key(node_key), self._ids, self._ciphers),
        )
        self._known.pop(tenant, None)
        while len(self._known) >= KNOWN_MOST:
            self._known.pop(next(iter(self._known)), None)
        self._known[tenant] = known
        return known

    async def _unwrapped(self, tenant: int, stored: bytes, deep: int) -> tuple[bytes, float]:
        """The node's own key, and until when what opened it is good."""
        if deep > DEPTH_MOST:
            raise Corrupt(f"the keys above tenant {tenant} do not lead to the root's")
        wrapped = record.unpack(stored)
        try:
            above, until_s = await self._node_key(wrapped.parent, deep + 1)
        except KeyMissing as missing:  # the row of one above is gone: there is nothing to make
            raise _gone(missing.tenant) from None
        node_key = record.unwrap(tenant, wrapped, await self._secret(tenant), above)
        if node_key is None:
            raise Denied(
                f"the secret of tenant @{tenant} does not open its key: the key store holds another one, or the root key or that "
                "of a tenant above is another",
                code="TenantKeyWrong",
            )
        return node_key, until_s

    async def _node_key(self, tenant: int, deep: int = 0) -> tuple[bytes, float]:
        if tenant == ROOT_TENANT:
            return record.root_node_key(self._store.key(ROOT)), self._clock.monotonic() + KEPT_S
        known = await self._opened(tenant, deep)
        return known.node_key, known.until_s

    async def _secret(self, tenant: int) -> bytes:
        secret = await self._store.secret(tenant)
        if secret is None:
            raise _gone(tenant)
        return secret


async def _parent(reader: Reader, tenant: int) -> int:
    """The node under whose key that of `tenant` is wrapped: its parent. One that the tree does not know, which is a program's own
    affair, counts as a child of the root. Raises Denied where it has been erased."""
    chain = await chain_of(reader, tenant)
    if worst(node.state for node in chain) in ENDED:
        raise Denied(f"tenant @{tenant} has been erased", code="TenantErased")
    return chain[-1].parent if chain else ROOT_TENANT


def _gone(tenant: int) -> Denied:
    return Denied(
        f"the key of tenant @{tenant} is gone: its secret has been destroyed, or this is not the key store that holds it",
        code="TenantKeyGone",
    )
