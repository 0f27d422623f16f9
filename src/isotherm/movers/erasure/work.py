"""Erases tenants in the background: one bounded share of it a round, for every tenant whose erasure has begun.

The steps for one tenant, each of which finds out from the rows whether it has been done:

    its secret is destroyed, again and again until the key store says so
    the tenants right below it are brought along (their rows, and all below them, by the same steps)
    every row of it is removed, kind by kind (kinds.py), buckets first: from then on nobody can write
    nothing is found for GRACE_S by this process's monotonic clock, which no step of a wall clock shortens
    what stands under no tenant is looked for (leftovers.py)
    the certificate is kept (certifying.py); it waits for those of the tenants below

Killed at any point, the next round goes on. One that fails holds up no other. Used under the lease of `Rounds`, so that of all
processes one works; the steps are safe all the same should two. Coroutines, on any loop or none.
"""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from isotherm.clock import Clock
from isotherm.errors import IsothermError
from isotherm.meta.port import Meta, Transaction
from isotherm.movers.erasure.certifying import Certifying
from isotherm.movers.erasure.kinds import KINDS
from isotherm.movers.erasure.leftovers import Leftovers
from isotherm.movers.erasure.purging import Purging
from isotherm.movers.erasure.removal import remove_page
from isotherm.segments.port import Segments
from isotherm.tenancy import tree_record
from isotherm.tenancy.erasure import record
from isotherm.tenancy.erasure.erasures import destroy_key, put_begun
from isotherm.tenancy.erasure.record import Erasure
from isotherm.tenancy.erasure.statement import GRACE_S
from isotherm.tenancy.keystore import KeyStore
from isotherm.tenancy.tree import TenantState, path_of
from isotherm.tenancy.tree_reading import chain_of

_ERASURES_A_PAGE = 1_000
_TENANT_COSTS = 20
"""Looking at a tenant counts as the removal of so many rows."""
_CHILDREN_A_TRANSACTION = 100
_PAGES_A_ROUND = 200
_CERTIFIED_A_ROUND = 500


@dataclass(slots=True)
class Erased:
    """What a round did.

    Args:
        rows: removed.
        certified: tenants whose erasure has ended. purged: those of which the last dead byte has gone.
        failure: of the first that failed; it is tried again.
        more: work is left that can be done at once.
    """

    rows: int = 0
    certified: int = 0
    purged: int = 0
    failure: IsothermError | None = None
    more: bool = False


class Erasing:
    """The erasing of one process.

    Args:
        store_id: which certificates name.
        rows_a_round: rows removed in one round, about.
    """

    def __init__(
        self, meta: Meta, segments: Segments, keys: KeyStore, *, clock: Clock, store_id: str, rows_a_round: int
    ) -> None:
        self._meta = meta
        self._segments = segments
        self._keys = keys
        self._clock = clock
        self._rows_a_round = rows_a_round
        self._certifying = Certifying(meta, keys, clock, store_id)
        self._purging = Purging(meta, keys, clock)
        self._empty_s: dict[int, float] = {}
        """Tenant → monotonic time since when nothing of it was found."""
        self._brought: set[int] = set()
        self._walk: Leftovers | None = None
        self._after = 0

    async def run(self) -> Erased:
        """Do one round's share. Raises errors of the metadata."""
        done = Erased()
        spent, last = 0, self._after
        for tenant in await self._begun():
            if tenant in self._empty_s:
                continue
            if spent >= self._rows_a_round:
                done.more = True
                break
            before = done.rows
            try:
                await self._clear(tenant, done)
            except IsothermError as error:
                done.failure = done.failure or error
            spent += done.rows - before + _TENANT_COSTS
            last = tenant
        else:
            last = 0
        done.more |= last == 0 and self._after > 0  # those before it were left out
        self._after = last
        await self._certify(done)
        try:
            done.purged = await self._purging.go_on()
        except IsothermError as error:
            done.failure = done.failure or error
        return done

    async def _begun(self) -> list[int]:
        """The tenants whose erasure has begun, from where the last round stopped for want of its share."""
        start, end = record.erasure_row(self._after) + b"\0", record.table_range(record.ERASURES)[1]
        found: list[int] = []
        while rows := await self._meta.range(start, end, _ERASURES_A_PAGE):
            found += [int.from_bytes(row[len(record.ERASURES) :], "big") for row, _ in rows]
            start = rows[-1][0] + b"\0"
        return found

    async def _clear(self, tenant: int, done: Erased) -> None:
        """All steps but the last."""
        erasure = await record.read_erasure(self._meta, tenant)
        if erasure is None:
            return
        failure: IsothermError | None = None
        if not erasure.key_destroyed_ms:
            try:
                await destroy_key(self._meta, self._keys, self._clock, tenant)
            except IsothermError as error:  # rows go all the same
                failure = error
        if tenant not in self._brought:
            done.more |= await self._bring_along(tenant)
            self._brought.add(tenant)
        if not await self._remove(tenant, done):
            done.more = True
        elif failure is None:
            await self._note_clear(tenant)
            self._empty_s[tenant] = self._clock.monotonic()
        if failure is not None:
            raise failure

    async def _remove(self, tenant: int, done: Erased) -> bool:
        """Remove its rows; whether none is left, rather than the round's share used up."""
        for eraser in KINDS:
            while await self._meta.range(*eraser.rows(tenant), 1):
                if done.rows >= self._rows_a_round:
                    return False
                done.rows += await remove_page(self._meta, self._segments, tenant, eraser)
        return True

    async def _bring_along(self, tenant: int) -> bool:
        """Begin the erasure of the tenants right below; whether there are any. None can come to lie there any more."""
        after, end = tree_record.children_of(tenant)
        more, found = True, False

        async def bring(txn: Transaction) -> bytes:
            within = await record.read_erasure(txn, tenant)
            rows = await txn.range(after, end, _CHILDREN_A_TRANSACTION)
            if within is None or not rows:
                return b""
            for _, stored in rows:
                await _begin_below(txn, tree_record.unpack_id(stored), within)
            return rows[-1][0] + b"\0"

        while more:
            after = (await self._meta.transact(bring))[0]
            found |= bool(after)
            more = bool(after)
        return found

    async def _note_clear(self, tenant: int) -> None:
        async def write(txn: Transaction) -> None:
            erasure = await record.read_erasure(txn, tenant)
            if erasure is not None and not erasure.cleared_ms:
                txn.put(record.erasure_row(tenant), record.pack(replace(erasure, cleared_ms=now_ms)))

        now_ms = self._clock.now_ms()
        await self._meta.transact(write)

    async def _certify(self, done: Erased) -> None:
        if self._walk is None:
            ripe = await self._ripe()
            if not ripe:
                return
            self._walk = Leftovers(self._meta, self._segments, ripe)
        if not await self._walk.go_on(_PAGES_A_ROUND):
            done.more = True
            return
        walked, self._walk = self._walk.tenants, None
        for tenant in walked:
            try:
                certified = await self._certifying.certify(tenant)
            except IsothermError as error:
                done.failure = done.failure or error
                continue
            self._empty_s.pop(tenant, None)  # else something is there after all: from the beginning
            self._brought.discard(tenant)
            done.certified += certified
            done.more = True

    async def _ripe(self) -> frozenset[int]:
        """Those of which nothing has been found for long enough, and below which nothing lies any more."""
        now_s = self._clock.monotonic()
        found: set[int] = set()
        for tenant, since_s in self._empty_s.items():
            if len(found) == _CERTIFIED_A_ROUND:
                break
            if now_s - since_s >= GRACE_S and not await self._meta.range(*tree_record.children_of(tenant), 1):
                found.add(tenant)
        return frozenset(found)


async def _begin_below(txn: Transaction, tenant: int, within: Erasure) -> None:
    """Bring one along, unless its own erasure has begun."""
    chain = await chain_of(txn, tenant)
    if not chain or chain[-1].state is TenantState.ERASING:
        return
    begun = replace(
        within,
        tenant=tenant,
        path=path_of(chain),
        above=tuple(node.id for node in chain[:-1]),
        within=within.within or within.tenant,
        sealed=None,
        key_destroyed_ms=0,
        cleared_ms=0,
        counts={},
    )
    put_begun(txn, chain, begun)
