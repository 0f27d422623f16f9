"""What tenants hold, as numbers for whoever may look at all of them: of the largest by their ids, and how many are warned.

Looked at once a scrape: two walks, over the nodes and over their accounts, a few rows of each. One loop's thread.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from heapq import nlargest

from isotherm.errors import IsothermError
from isotherm.meta import rules
from isotherm.meta.port import ACCOUNT_BYTES, ACCOUNTS, Reader
from isotherm.telemetry import Measured
from isotherm.tenancy import tree_record as record
from isotherm.tenancy.terms import UNBOUND, Terms
from isotherm.tenancy.tree import TenantState
from isotherm.tenancy.usage import Usage, usage_of, warned

TENANTS_TOLD = 100
"""Labels must be bounded: whoever scrapes keeps a series for each."""
_PAGE_ROWS = 2_000
_LIMITS = ("capacity_bytes", "objects")


class Holdings:
    """As of the last look; nothing where the metadata could not be read."""

    def __init__(self, meta: Reader) -> None:
        self._meta = meta
        self._held: dict[int, tuple[Usage, Terms]] = {}

    async def look(self) -> None:
        """Read what tenants hold now."""
        try:
            self._held = await self._read()
        except IsothermError:
            self._held = {}

    def gather(self) -> Iterator[Measured]:
        """What the last look saw."""
        largest = nlargest(TENANTS_TOLD, self._held, key=lambda tenant: self._held[tenant][0].bytes)
        told = {str(tenant): self._held[tenant][0] for tenant in largest}
        yield Measured(
            "isotherm_tenant_held_bytes",
            "Bytes that a tenant and all below it hold.",
            "gauge",
            [({"tenant": tenant}, usage.bytes) for tenant, usage in told.items()],
        )
        yield Measured(
            "isotherm_tenant_held_objects",
            "Versions and uploads that a tenant and all below it hold.",
            "gauge",
            [({"tenant": tenant}, usage.held) for tenant, usage in told.items()],
        )
        warnings = [(tenant, limit) for tenant, (usage, terms) in self._held.items() for limit in warned(terms, usage)]
        yield Measured(
            "isotherm_tenants_warned",
            "Tenants that use as much of a limit as its warning says, or all of it.",
            "gauge",
            [({"limit": limit}, sum(of == limit for _, of in warnings)) for limit in _LIMITS],
        )
        yield Measured(
            "isotherm_tenant_warned",
            "1 for tenants that use as much of a limit as its warning says, or all of it; the first of them by id.",
            "gauge",
            [({"tenant": str(tenant), "limit": limit}, 1) for tenant, limit in sorted(warnings)[:TENANTS_TOLD]],
        )

    async def _read(self) -> dict[int, tuple[Usage, Terms]]:
        balances: dict[int, dict[bytes, int]] = defaultdict(lambda: defaultdict(int))
        async for key, value in self._rows(ACCOUNTS, ACCOUNTS + b"\xff" * ACCOUNT_BYTES):
            tenant, kind = int.from_bytes(key[5:9], "big"), key[9:ACCOUNT_BYTES]
            balances[tenant][kind] += rules.count_of(value)
        terms: dict[int, Terms] = {}
        async for _, value in self._rows(*record.node_range()):
            node = record.unpack(value)
            if node.state is not TenantState.ERASED:
                terms[node.id] = node.terms
        tenants = balances.keys() | terms.keys()
        return {tenant: (usage_of(balances.get(tenant, {})), terms.get(tenant, UNBOUND)) for tenant in tenants}

    async def _rows(self, start: bytes, end: bytes) -> AsyncIterator[tuple[bytes, bytes]]:
        while page := await self._meta.range(start, end, _PAGE_ROWS):
            for row in page:
                yield row
            start = page[-1][0] + b"\0"
