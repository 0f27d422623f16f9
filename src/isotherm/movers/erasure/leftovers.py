"""Looks for what stands under no tenant and yet is one's: revoked credentials, and shares in extents that a damaged row left.

One walk over both tables serves all erasures that are about to be certified. What it finds it removes; nothing can be added
behind it, as no credential is made for a tenant that is being erased, nor anything shared without its buckets. It goes on
where it stopped in the next round; a new process starts over. Coroutines, on any loop or none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress

from isotherm.errors import Corrupt, Unsupported
from isotherm.meta.port import Meta, Transaction
from isotherm.movers.erasure.removal import ROWS, note
from isotherm.objects.layout import owner_tenant
from isotherm.segments import accounting
from isotherm.segments.port import Extent, Segments
from isotherm.tenancy import credential_record, tree_record
from isotherm.tenancy.erasure import record
from isotherm.tenancy.erasure.erasing_credentials import CREDENTIALS
from isotherm.tenancy.generation import changed

_ROWS_A_PAGE = 1_000
_CHANGES_A_TRANSACTION = 200


class Leftovers:
    """One walk.

    Args:
        tenants: of which something is looked for; all that they held by their own rows is gone.
    """

    def __init__(self, meta: Meta, segments: Segments, tenants: frozenset[int]) -> None:
        self.tenants = tenants
        self._meta = meta
        self._segments = segments
        self._key = credential_record.row_range()[0]
        self._share: bytes | None = None
        self._credentials_done = False

    async def go_on(self, pages: int) -> bool:
        """Look at so many pages more; whether that was the end."""
        for _ in range(pages):
            if not self._credentials_done:
                self._credentials_done = await self._some_credentials()
            elif await self._some_shares():
                return True
        return False

    async def _some_credentials(self) -> bool:
        page = await self._meta.range(self._key, credential_record.row_range()[1], _ROWS_A_PAGE)
        found: dict[int, list[bytes]] = defaultdict(list)
        for row, stored in page:
            with suppress(Corrupt, Unsupported):  # one that cannot be read is nobody's
                tenant = credential_record.unpack(stored).tenant
                if tenant in self.tenants:
                    found[tenant].append(row)
        for tenant, rows in found.items():
            for at in range(0, len(rows), _CHANGES_A_TRANSACTION):
                await self._remove_credentials(tenant, rows[at : at + _CHANGES_A_TRANSACTION])
        if page:
            self._key = page[-1][0] + b"\0"
        return len(page) < _ROWS_A_PAGE

    async def _remove_credentials(self, tenant: int, rows: Sequence[bytes]) -> None:
        async def remove(txn: Transaction) -> None:
            erasure = await record.read_erasure(txn, tenant)
            there = [row for row in rows if await txn.get(row) is not None]
            if erasure is None or not there:
                return
            changed(txn)
            for row in there:
                txn.delete(row)
                txn.delete(tree_record.credential_of(tenant, credential_record.access_key_of(row)))
            note(txn, erasure, {CREDENTIALS: len(there), ROWS: len(there)}, [])

        await self._meta.transact(remove)

    async def _some_shares(self) -> bool:
        page = await accounting.shared(self._meta, self._share or b"", _ROWS_A_PAGE)
        found: dict[int, list[tuple[bytes, Extent, bytes]]] = defaultdict(list)
        for one in page:
            if (tenant := owner_tenant(one[2])) in self.tenants:
                found[tenant].append(one)
        for tenant, shares in found.items():
            for at in range(0, len(shares), _CHANGES_A_TRANSACTION):
                await self._give_up(tenant, shares[at : at + _CHANGES_A_TRANSACTION])
        if page:
            self._share = page[-1][0]
        return len(page) < _ROWS_A_PAGE

    async def _give_up(self, tenant: int, shares: Sequence[tuple[bytes, Extent, bytes]]) -> None:
        async def give_up(txn: Transaction) -> None:
            erasure = await record.read_erasure(txn, tenant)
            if erasure is None:
                return
            died: list[Extent] = []
            gone = 0
            for row, extent, owner in shares:
                if await txn.get(row) is not None:
                    died += await self._segments.discard(txn, [extent], owner)
                    gone += 1
            if gone:
                note(txn, erasure, {ROWS: gone}, died)

        await self._meta.transact(give_up)
