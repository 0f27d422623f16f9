"""Follows what compaction does to the dead bytes of erased tenants: once the last segment has gone, that is certified, too.

A counter `d` goes when its segment has gone. With the last one of a tenant that has its certificate, the statement of its purge
is kept beside it, in the same transaction. Coroutines, on any loop or none.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from isotherm.clock import Clock
from isotherm.devices.waiting import offload
from isotherm.meta.port import Meta, Transaction
from isotherm.segments import accounting
from isotherm.tenancy.erasure import record
from isotherm.tenancy.erasure.certificate import Signer
from isotherm.tenancy.erasure.statement import purged
from isotherm.tenancy.keystore import ROOT, KeyStore

_ROWS_A_ROUND = 1_000
_ROWS_A_TRANSACTION = 200


class Purging:
    """Of one process."""

    def __init__(self, meta: Meta, keys: KeyStore, clock: Clock) -> None:
        self._meta = meta
        self._keys = keys
        self._clock = clock
        self._after = record.DEAD

    async def go_on(self) -> int:
        """Look at some counters; how many tenants have been purged. Raises what the key store raises for its root key."""
        end = record.table_range(record.DEAD)[1]
        page = await self._meta.range(self._after, end, _ROWS_A_ROUND)
        self._after = page[-1][0] + b"\0" if len(page) == _ROWS_A_ROUND else record.DEAD
        gone = [row for row, _ in page if await self._is_gone(record.dead_place(row)[1])]
        purged_ = 0
        for at in range(0, len(gone), _ROWS_A_TRANSACTION):
            purged_ += await self._drop(gone[at : at + _ROWS_A_TRANSACTION])
        return purged_

    async def _is_gone(self, segment: int) -> bool:
        return await self._meta.get(accounting.row_key(segment)) is None

    async def _drop(self, rows: Sequence[bytes]) -> int:
        signer = Signer(await offload(lambda: self._keys.key(ROOT)))
        now_ms = self._clock.now_ms()

        async def drop(txn: Transaction) -> int:
            tenants = sorted({record.dead_place(row)[0] for row in rows})
            for row in rows:
                txn.delete(row)
            done = 0
            for tenant in tenants:
                issued = await record.read_issued(txn, tenant)
                if issued is None or issued.purge or await txn.range(*record.dead_of(tenant), 1):
                    continue
                statement = purged(issued.certificate, tenant, now_ms)
                txn.put(record.certificate_row(tenant), record.pack(replace(issued, purge=signer.sign(statement))))
                done += 1
            return done

        return (await self._meta.transact(drop))[0]
