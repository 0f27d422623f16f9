"""Whether a tenant's credentials are served: its own state and those of all above it, never older than it says.

Asked for by `identity.Credentials` when it looks a credential up. Rows that are shared, as those of ancestors are, are read
at most four times a second however many credentials ask. The root is never suspended, so it is not read.

For one loop's thread, or a program without one.
"""

from __future__ import annotations

from dataclasses import dataclass

from isotherm.clock import Clock
from isotherm.errors import Corrupt, Unsupported
from isotherm.meta.port import Reader
from isotherm.tenancy import tree_record as record
from isotherm.tenancy.roles import ROOT_TENANT
from isotherm.tenancy.tree import DEPTH_MOST, TenantState, worst

SHARED_S = 0.25
KNOWN_MOST = 10_000


@dataclass(frozen=True, slots=True)
class _Known:
    read_s: float
    parent: int
    state: TenantState


class Standings:
    """Of the tenants of a store, as one process knows them."""

    def __init__(self, reader: Reader, clock: Clock) -> None:
        self._reader = reader
        self._clock = clock
        self._known: dict[int, _Known] = {}

    async def of(self, tenant: int) -> tuple[TenantState, float]:
        """The effective state, and the monotonic time since when it is known: of its oldest part.

        A tenant that is not there, or whose rows cannot be read, counts as erased: nobody is served for it. Raises what
        the store raises.
        """
        since_s = self._clock.monotonic()
        states: list[TenantState] = []
        at = tenant
        while at != ROOT_TENANT:
            known = await self._node(at)
            states.append(known.state)
            since_s = min(since_s, known.read_s)
            if not known.parent or len(states) > DEPTH_MOST:
                states.append(TenantState.ERASED)
                break
            at = known.parent
        return worst(states), since_s

    async def _node(self, tenant: int) -> _Known:
        now_s = self._clock.monotonic()
        known = self._known.get(tenant)
        if known is not None and now_s - known.read_s < SHARED_S:
            return known
        stored = await self._reader.get(record.node_row(tenant))
        parent, state = 0, TenantState.ERASED
        if stored is not None:
            try:
                node = record.unpack(stored)
                parent, state = node.parent, node.state
            except (Corrupt, Unsupported):
                pass
        while len(self._known) >= KNOWN_MOST:
            del self._known[next(iter(self._known))]
        self._known[tenant] = known = _Known(now_s, parent, state)
        return known
