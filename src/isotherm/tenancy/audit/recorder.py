"""Makes the deeds of a process, and records those that were refused, within bounds.

A refusal belongs to the chain of whoever asked, never to that of the node that was asked for: a stranger can neither fill
another's log nor learn from its own whether that node exists. Its record is a transaction of its own.

*A flood of refusals cannot fill the store.* Of each node, and of the process as a whole, so many are recorded at once and so
many a minute (`NODE`, `PROCESS`); the others are counted, and the next record of that node says how many they were. The
counts are this process's memory. What failed because the platform could not (`Retry`) has been refused by nobody, and
is not recorded; nor could it be, most times.

Coroutines of one loop's thread, or of a program without one.
"""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

from msgspec.structs import replace

from isotherm.clock import Clock
from isotherm.errors import IsothermError, Retry
from isotherm.ids import Ids
from isotherm.meta.port import Meta, Transaction
from isotherm.tenancy.audit.deed import Deed
from isotherm.tenancy.audit.record import FEED, pack, shown_key, shown_tenant
from isotherm.tenancy.roles import ROOT_TENANT, Caller
from isotherm.tenancy.tree_reading import chain_of

T = TypeVar("T")

NODES_MOST = 10_000
REQUEST_BYTES = 8


@dataclass(frozen=True, slots=True)
class Pace:
    """So many at once, and so many a minute."""

    burst: int
    a_minute: float


NODE = Pace(100, 1)
PROCESS = Pace(1_000, 4)
"""5,760 a day under a flood that never ends. A refusal with all its rows has at most some 3,000 bytes (names of 16 levels, each of
which sees it), so that a process writes 18 MB a day at the very most."""


class Allowance:
    """What is left of a pace; `passed_over` counts what came when nothing was."""

    __slots__ = ("_at_s", "_left", "_pace", "passed_over")

    def __init__(self, pace: Pace, now_s: float) -> None:
        self._pace = pace
        self._left = float(pace.burst)
        self._at_s = now_s
        self.passed_over = 0

    def has(self, now_s: float) -> bool:
        grown = (now_s - self._at_s) * self._pace.a_minute / 60
        self._left = min(self._pace.burst, self._left + grown)
        self._at_s = now_s
        return self._left >= 1

    def take(self) -> None:
        self._left -= 1


class Recorder:
    """Of one process. Requests get ids by which their records and answers are found together."""

    def __init__(self, meta: Meta, clock: Clock, ids: Ids) -> None:
        self._meta = meta
        self._clock = clock
        self._ids = ids
        self._process = Allowance(PROCESS, clock.monotonic())
        self._nodes: dict[int, Allowance] = {}

    def begin(self, operation: str, caller: Caller, *, remote: str = "") -> Deed:
        """A call has come."""
        return Deed(operation, caller, self._clock.now_ms(), self._ids.token(REQUEST_BYTES).hex(), remote)

    async def watch(self, deed: Deed, act: Awaitable[T], *, tenant: str = "", key: str = "") -> T:
        """Do it; where it is refused that is recorded, and raised. `tenant`, `key`: what was asked for."""
        try:
            return await act
        except Retry:
            raise
        except IsothermError as error:
            await self._refused(deed, error.code, tenant, key)
            raise

    async def _refused(self, deed: Deed, code: str, tenant: str, key: str) -> None:
        node, now_s = deed.caller.tenant, self._clock.monotonic()
        allowance = self._nodes.get(node)
        if allowance is None:
            while len(self._nodes) >= NODES_MOST:  # whose counts are lost, as at the end of the process
                del self._nodes[next(iter(self._nodes))]
            allowance = self._nodes[node] = Allowance(NODE, now_s)
        if not (allowance.has(now_s) and self._process.has(now_s)):
            allowance.passed_over += 1
            return
        allowance.take()
        self._process.take()
        unrecorded, allowance.passed_over = allowance.passed_over, 0

        async def write(txn: Transaction) -> None:
            above = tuple(one.id for one in await chain_of(txn, node)) or (ROOT_TENANT,)
            told = deed.record(above=above, path=shown_tenant(tenant), key=shown_key(key), changed={})
            txn.append(FEED, pack(replace(told, target=0, outcome=code, unrecorded=unrecorded)))

        try:
            await self._meta.transact(write)
        except IsothermError:  # it stays refused, and is counted
            allowance.passed_over += unrecorded + 1
