"""Where a tenant stands: its own state and those of all above it, and what each of them is promised; never older than it says.

Asked for by `identity.Credentials` when it looks a credential up. Rows that are shared, as those of ancestors are, are read
at most four times a second however many credentials ask. The root is never suspended, so it is not read; nor do its terms
bind anybody's requests: they say what it may promise.

For one loop's thread, or a program without one.
"""

from __future__ import annotations

from dataclasses import dataclass

from isotherm.clock import Clock
from isotherm.errors import Corrupt, Unsupported
from isotherm.meta.port import Reader
from isotherm.tenancy import tree_record as record
from isotherm.tenancy.contracting import contract_of
from isotherm.tenancy.generation import Generation
from isotherm.tenancy.qos import Contract
from isotherm.tenancy.roles import ROOT_TENANT
from isotherm.tenancy.tree import DEPTH_MOST, TenantState, worst

SHARED_S = 0.25
KNOWN_MOST = 40_000
LINES_MOST = KNOWN_MOST
"""Far more than tenants can be looked up within the second that an answer is good for: no line is dropped while in use."""

Line = tuple[tuple[str, Contract], ...]
"""From the root's child down to a tenant: the id of each as text, and its contract. Ids, as names change."""


@dataclass(frozen=True, slots=True)
class _Known:
    read_s: float
    number: int
    parent: int
    state: TenantState
    contract: Contract
    stored: bytes | None


_NOBODY = _Known(0.0, 0, 0, TenantState.ERASED, Contract(), None)


class Standings:
    """Of the tenants of a store, as one process knows them."""

    def __init__(self, reader: Reader, clock: Clock, generation: Generation) -> None:
        self._reader = reader
        self._clock = clock
        self.generation = generation
        self._known: dict[int, _Known] = {}
        self.lines: dict[int, Line] = {}
        """Those last told of, the latest at the end. One that has not changed is the same object as before."""

    async def of(self, tenant: int) -> tuple[TenantState, float]:
        """The effective state, and the monotonic time since when it is known: of its oldest part. Keeps its line.

        A tenant that is not there, or whose rows cannot be read, counts as erased: nobody is served for it. Raises what
        the store raises.
        """
        since_s = self._clock.monotonic()
        states: list[TenantState] = []
        line: list[tuple[str, Contract]] = []
        at = tenant
        while at != ROOT_TENANT:
            known, read_s = await self._node(at)
            states.append(known.state)
            line.append((str(at), known.contract))
            since_s = min(since_s, read_s)
            if not known.parent or len(states) > DEPTH_MOST:
                states.append(TenantState.ERASED)
                break
            at = known.parent
        else:
            if line:
                self._keep(tenant, tuple(reversed(line)))
        return worst(states), since_s

    def _keep(self, tenant: int, line: Line) -> None:
        before = self.lines.pop(tenant, None)
        while len(self.lines) >= LINES_MOST:
            del self.lines[next(iter(self.lines))]
        self.lines[tenant] = before if before == line else line

    async def _node(self, tenant: int) -> tuple[_Known, float]:
        """A node, and since when at the latest it is known to be so."""
        now_s = self._clock.monotonic()
        before = self._known.pop(tenant, _NOBODY)
        number = self.generation.number
        if before is not _NOBODY and before.number == number:
            since_s = self.generation.since_s(number, before.read_s)
            if now_s - since_s < SHARED_S:
                self._known[tenant] = before
                return before, since_s
        stored = await self._reader.get(record.node_row(tenant))
        parent, state, contract = 0, TenantState.ERASED, before.contract
        if stored is not None and stored == before.stored:
            parent, state = before.parent, before.state
        elif stored is not None:
            try:
                node = record.unpack(stored)
                parent, state, contract = node.parent, node.state, contract_of(node)
            except (Corrupt, Unsupported):
                pass
        while len(self._known) >= KNOWN_MOST:
            del self._known[next(iter(self._known))]
        self._known[tenant] = known = _Known(now_s, number, parent, state, contract, stored)
        return known, now_s
