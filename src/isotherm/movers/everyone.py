"""Which tenants there are, for work that is done for each of them. A coroutine for any loop, or none."""

from __future__ import annotations

from isotherm.meta.port import Meta


async def tenants(meta: Meta) -> list[int]:
    """Every tenant but the system's that has rows, found by seeking from one to the next."""
    found: list[int] = []
    start = (1).to_bytes(4, "big")
    while page := await meta.range(start, b"\xff", 1):
        tenant = int.from_bytes(page[0][0][:4], "big")
        found.append(tenant)
        start = (tenant + 1).to_bytes(4, "big")
    return found
