"""The end of an erasure: one transaction that finds nothing left, keeps the certificate, and takes the node out of the tree.

All that a certificate claims of rows is read in that transaction, so that it holds at its commit; what lies outside of the
metadata (the secret) and what no transaction could read (tables as a whole) was looked at before it. Coroutines, on any
loop or none.
"""

from __future__ import annotations

from msgspec.structs import replace

from isotherm.clock import Clock
from isotherm.devices.waiting import offload
from isotherm.errors import Unavailable
from isotherm.meta.port import Meta, Reader, Transaction
from isotherm.movers.erasure.kinds import KINDS
from isotherm.segments import accounting
from isotherm.tenancy import tree_record
from isotherm.tenancy.audit.record import FEED
from isotherm.tenancy.audit.record import Record as AuditRecord
from isotherm.tenancy.audit.record import pack as pack_audit
from isotherm.tenancy.erasure import record
from isotherm.tenancy.erasure.certificate import Signer
from isotherm.tenancy.erasure.record import Erasure, Issued
from isotherm.tenancy.erasure.statement import Found, digest, erased, purged
from isotherm.tenancy.keystore import ROOT, KeyStore
from isotherm.tenancy.promises import Ledger
from isotherm.tenancy.quota import release
from isotherm.tenancy.terms import UNBOUND
from isotherm.tenancy.tree import TenantState
from isotherm.tenancy.tree_reading import Chain, chain_of

OPERATION = "tenant.erased"
_SEGMENTS_A_PAGE = 1_000


class Certifying:
    """Of one process."""

    def __init__(self, meta: Meta, keys: KeyStore, clock: Clock, store_id: str) -> None:
        self._meta = meta
        self._keys = keys
        self._clock = clock
        self._store_id = store_id

    async def certify(self, tenant: int) -> bool:
        """End an erasure whose rows are gone; False where something is left after all, or below it.

        Raises:
            Denied, Misuse, Unavailable: the key store; its secret is there still, or the root key cannot be read.
        """
        await self._keys.destroy(tenant)  # again: a writer that had not heard may have made another since
        if await self._keys.secret(tenant) is not None:
            raise Unavailable(f"the key store still holds a secret of tenant {tenant}")
        signer = Signer(await offload(lambda: self._keys.key(ROOT)))
        dead_bytes, dead_segments = await dead_space(self._meta, tenant)
        now_ms = self._clock.now_ms()

        async def write(txn: Transaction) -> bool:
            erasure = await record.read_erasure(txn, tenant)
            if erasure is None or not erasure.key_destroyed_ms or await _left(txn, tenant):
                return False
            chain = await chain_of(txn, tenant)
            if not chain or chain[-1].state is not TenantState.ERASING:
                return False
            found = Found(
                store_id=self._store_id,
                tenant_created_ms=chain[-1].created_ms,
                parent=chain[-1].parent,
                key_remains=self._keys.remains,
                dead_bytes=dead_bytes,
                dead_segments=dead_segments,
                now_ms=now_ms,
            )
            certificate = signer.sign(erased(erasure, found))
            issued = Issued(tenant=tenant, above=erasure.above, certificate=certificate)
            if not dead_segments and not await txn.range(*record.dead_of(tenant), 1):
                issued = replace(issued, purge=signer.sign(purged(certificate, tenant, now_ms)))
            txn.put(record.certificate_row(tenant), record.pack(issued))
            txn.delete(record.erasure_row(tenant))
            _take_out(txn, chain)
            await release(txn, tenant, chain[:-1])
            txn.append(FEED, pack_audit(_told(erasure, chain, digest(certificate), now_ms)))
            return True

        return (await self._meta.transact(write))[0]


async def dead_space(reader: Reader, tenant: int) -> tuple[int, int]:
    """(bytes of a tenant that lie dead in segments which are there still, number of those segments)."""
    total = segments = 0
    start, end = record.dead_of(tenant)
    while page := await reader.range(start, end, _SEGMENTS_A_PAGE):
        for row, value in page:
            if await reader.get(accounting.row_key(record.dead_place(row)[1])) is not None:
                total += int.from_bytes(value, "little", signed=True)
                segments += 1
        start = page[-1][0] + b"\0"
    return total, segments


async def _left(txn: Transaction, tenant: int) -> bool:
    """Whether anything is left of a tenant: rows of any table, known or not, credentials, or tenants below it."""
    ranges = [record.rows_of(tenant), tree_record.children_of(tenant), *(kind.rows(tenant) for kind in KINDS)]
    for start, end in ranges:
        if await txn.range(start, end, 1):
            return True
    return False


def _take_out(txn: Transaction, chain: Chain) -> None:
    """As `Tenants.delete` does; labels and terms go as well."""
    node = chain[-1]
    ledger = Ledger(chain)
    ledger.remove(node)
    for changed in ledger.changed():
        tree_record.put_node(txn, changed)
    txn.delete(tree_record.child_row(node.parent, node.name))
    gone = replace(node, state=TenantState.ERASED, labels={}, terms=UNBOUND, promised={})
    tree_record.put_node(txn, gone)


def _told(erasure: Erasure, chain: Chain, certificate: str, now_ms: int) -> AuditRecord:
    """For the audit log, as the deed of whoever asked."""
    return AuditRecord(
        time_ms=now_ms,
        operation=OPERATION,
        access_key=erasure.access_key,
        tenant=erasure.by,
        roles=erasure.roles,
        target=erasure.tenant,
        path=erasure.path,
        changed={"state": ("erasing", "erased"), "certificate": (None, certificate)},
        request=erasure.request,
        remote=erasure.remote,
        above=tuple(node.id for node in chain),
    )
