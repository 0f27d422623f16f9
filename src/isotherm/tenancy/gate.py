"""Where requests wait for their turn: one scheduler wired to one event loop.

    passage = gate.admit(tenant, bytes, …)    None: nobody to share with; SlowDown; may have to `wait`
    await passage.wait()                      then it runs; passage.py tells the rest
    passage.end()                             once and for all, whatever happened; again is harmless

Invariants: whoever got a passage ends it. A store whose tenants have sent nothing but the root's own requests pays one comparison
for each, and a tenant that is alone little more: its short requests are asked for by the batch. What a tenant is
promised is what `Standings` last read: as old as the credential it was proved with, and read again twice a second for those
that are at it. `START_MOST` requests begin in one turn of the loop while more tenants than one are at it, or one for each of them: what is
served from memory never waits for a device, so that a turn of the loop is what they share.

On one loop's thread.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, MutableSequence, Sequence

from isotherm.clock import Clock
from isotherm.errors import Denied, IsothermError, SlowDown
from isotherm.tenancy.passage import COUNTED, REFUSED, WAITED, Free, Lane, Passage
from isotherm.tenancy.qos import OWN, Budget, Contract, Node, Scheduler, Signal, Slots, State, Ticket
from isotherm.tenancy.qos.scheduler import STARTS_ANY
from isotherm.tenancy.roles import ROOT_TENANT
from isotherm.tenancy.standing import Line, Standings
from isotherm.tenancy.tree import BARRED

START_MOST = 4
REFRESH_S = 0.4
WAIT_MOST_S = 30.0
"""Clients give up after a minute or so; one that is told to come back sooner does not ask in vain."""
FORGOTTEN_AFTER_S = 60.0
_BATCH_MOST = 64
_BATCH_S = 0.01
_LEAST_DELAY_S = 0.001
_BREATH = 100
"""After so many tenants that were looked at, others have their turn."""

_RUNNING, _WAITING = State.RUNNING, State.WAITING


class Gate:
    """Args:
    budget: of this process; with `slots`, of all gateways of the node together.
    standings: what tenants are promised, and whether they are served.
    slots: shared with the other gateways of the node; None for one by itself.
    signal: tells the platform's own work on the node how far it must stand back; None where nobody listens.
    start_most: requests that begin in one turn of the loop, unless more tenants asked in the last one.
    counters: a tenant's numbers, in the order of COUNTED, which are only ever added to.
    """

    def __init__(
        self,
        budget: Budget,
        standings: Standings,
        clock: Clock,
        slots: Slots | None = None,
        *,
        signal: Signal | None = None,
        start_most: int = START_MOST,
        counters: Callable[[int], MutableSequence[int] | memoryview] | None = None,
    ) -> None:
        self._standings = standings
        self._now_s: Callable[[], float] = clock.monotonic
        self._contracts: dict[tuple[str, ...], Contract] = {}
        self.scheduler = Scheduler(budget, self._contract, slots)
        self._signal = signal
        self._op_bytes = budget.op_bytes
        self._start_most = start_most
        self._counters = counters or (lambda _: array("Q", bytes(8 * len(COUNTED))))
        self._lanes: dict[int, Lane] = {}
        self._waiting: dict[Passage, None] = {}
        self._sole: Lane | None = None
        self._crowded = False
        self._alone: Lane | None = None
        """The sole lane, while it has something left of a batch."""
        self._turning = False
        self._turn = 0
        self._askers = 0
        """Tenants that have asked for something in this turn."""
        self._timer: asyncio.TimerHandle | None = None
        self._seen = -1
        """How often anything had changed when it was looked at last."""
        self._left: list[Node] = []
        """Nodes of lanes that were forgotten, or moved elsewhere."""

    def admit(self, tenant: int, sent_bytes: int, *, reads: bool, short: bool = False) -> Passage | Free | None:
        """A request of a tenant whose credential has been proved; None where nobody shares with it.

        Args:
            sent_bytes: what has come of its body.
            reads: whether it asks for a body of a size that nobody knows yet.
            short: nothing of its body is still to come.

        Raises:
            SlowDown: its limit is 0, or too many of its requests wait already.
        """
        lane = self._alone
        if lane is not None and lane.tenant == tenant and lane.left and short:
            lane.left -= 1
            lane.used = True
            return lane.free
        lane = self._lanes.get(tenant)
        if lane is None or self._standings.lines.get(tenant, lane.line) is not lane.line:
            if tenant == ROOT_TENANT and not self._lanes:
                return None
            lane = self._adopt(tenant)
        if lane is not self._sole:
            self._meet(lane)
        if short and lane.batch > 1 and not self._crowded and not self._waiting:
            return self._grant(lane)
        paid_bytes, size_bytes = lane.guess() if reads else (sent_bytes, sent_bytes)
        return self.enter(lane, paid_bytes, size_bytes)

    def enter(self, lane: Lane, paid_bytes: int, size_bytes: int, ops: int = 1) -> Passage:
        """A passage of its own. Raises SlowDown."""
        lane.used = True
        if self._crowded:
            if not self._turning:
                self._begin_turn()
            if lane.turn != self._turn:
                lane.turn = self._turn
                self._askers += 1
        counts = lane.counts
        try:
            ticket = self.scheduler.admit(lane.node, ops, size_bytes, self._now_s())
        except SlowDown:
            counts[REFUSED] += 1
            raise
        lane.open += 1
        passage = Passage(self, lane, paid_bytes, ticket)
        if ticket.state is _WAITING:
            counts[WAITED] += 1
            self._waiting[passage] = None
            if self.scheduler.starts:  # else the end of the turn sees to it
                self.pump()
        return passage

    def _grant(self, lane: Lane) -> Passage:
        """Asks for a batch of short requests, of which this is the first."""
        passage = self.enter(lane, 0, 0, lane.batch)
        if passage.running:
            self._use(passage)
        return passage

    def _use(self, passage: Passage) -> None:
        """A batch has begun with its first request; the others are free, unless somebody else has come meanwhile."""
        if not self._crowded:
            passage.lane.left = passage.ticket.ops - 1
            self._alone = passage.lane

    def lanes(self) -> list[Lane]:
        """Of the tenants that were at it lately."""
        return list(self._lanes.values())

    def charge(self, ticket: Ticket, size_bytes: int) -> bool:
        if self._crowded and not self._turning:
            self._begin_turn()
        if self.scheduler.charge(ticket, size_bytes, self._now_s()):
            return True
        self._waiting[ticket.bearer] = None
        self.pump()
        return ticket.state is _RUNNING

    def spend(self, passage: Passage, size_bytes: int) -> None:
        """For a passage that runs."""
        self.scheduler.spend(passage.ticket, size_bytes, self._now_s())

    def rest(self, ticket: Ticket) -> None:
        self.scheduler.rest(ticket, self._now_s())
        if self._waiting:
            self.pump()

    def end(self, passage: Passage) -> None:
        ticket = passage.ticket
        if ticket.state is State.DONE:
            return
        if ticket.state is _RUNNING:
            self.scheduler.complete(ticket, self._now_s())
        else:
            self.scheduler.cancel(ticket)
            self._waiting.pop(passage, None)
        passage.lane.open -= 1
        if self._waiting:
            self.pump()

    def pump(self) -> None:
        """Starts whatever may run now, and sees to it that the rest is looked at again."""
        now_s = self._now_s()
        started = self.scheduler.dispatch(now_s)
        for ticket in started:
            del self._waiting[ticket.bearer]
            ticket.bearer.wake()
            if ticket.ops > 1:
                self._use(ticket.bearer)
        if self._signal is not None:
            self._tell(self._signal, started)
        if started and self._crowded and not self._turning:
            self._begin_turn()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            wake_s = self.scheduler.wake_s()
            if wake_s is not None:
                delay_s = max(wake_s - now_s, _LEAST_DELAY_S)
                self._timer = asyncio.get_running_loop().call_later(delay_s, self._wake)

    def _wake(self) -> None:
        self._timer = None
        self.pump()

    def _tell(self, signal: Signal, started: Sequence[Ticket]) -> None:
        if started:
            signal.tell_served(sum(ticket.ops * self._op_bytes + ticket.size_bytes for ticket in started))
        signal.tell_full(bool(self._waiting) and self.scheduler.full)

    # turns of the loop -------------------------------------------------------------------------------------------------

    def _meet(self, lane: Lane) -> None:
        """Another tenant than the last one is at it."""
        if self._sole is not None and not self._crowded:
            self._crowded = True
            self.scheduler.starts = self._start_most
        self._sole = lane
        self._alone = None

    def _begin_turn(self) -> None:
        self._turning = True
        asyncio.get_running_loop().call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._turning = False
        self._turn += 1
        self.scheduler.starts = max(self._start_most, self._askers) if self._crowded else STARTS_ANY
        self._askers = 0
        if self._waiting:
            self.pump()

    # what is known of tenants --------------------------------------------------------------------------------------------

    async def keep(self) -> None:
        """Looks after the tenants that are at it, until it is cancelled."""
        while True:
            await asyncio.sleep(REFRESH_S)
            await self.refresh()

    async def refresh(self) -> None:
        """Reads anew what those are promised that have asked for anything since the last time, or wait; forgets the others."""
        now_s = self._now_s()
        busy = [lane for lane in self.lanes() if lane.used or lane.open]
        try:
            number = await self._standings.generation.renew()
        except IsothermError:
            number = self._seen  # the store does not answer: what was known holds
        self._seen = number
        if len(busy) < 2:
            self._crowded, self._sole = False, busy[0] if busy else None
            self.scheduler.starts = STARTS_ANY
        barred = set()
        for at, lane in enumerate(busy):
            lane.used, lane.used_s = False, now_s
            if at % _BREATH == _BREATH - 1:
                await asyncio.sleep(0)
            if lane.seen != number:
                try:
                    state, _ = await self._standings.of(lane.tenant)
                except IsothermError:
                    continue  # the store does not answer: what was known holds, and it is asked again
                lane.seen, lane.barred = number, state in BARRED
                self._adopt(lane.tenant)
            if lane.barred:
                barred.add(lane)
        self._turn_away(barred, now_s)
        for lane in self.lanes():
            if now_s - lane.used_s > FORGOTTEN_AFTER_S:
                self._forget(lane, now_s)
        self._left = [node for node in self._left if not self._prune(node)]
        if self._signal is not None:
            self._signal.tell_pace(self.scheduler.factor)
            self._tell(self._signal, ())
        if self._waiting:
            self.pump()

    def _turn_away(self, barred: set[Lane], now_s: float) -> None:
        """Ends the wait of those that are served no more, and of those that have waited too long for their first piece."""
        for passage in list(self._waiting):
            if passage.lane in barred:
                passage.wake(Denied("Your tenant, or one that it belongs to, is suspended.", code="AccountProblem"))
            elif passage.ticket.ops and now_s - passage.ticket.arrived_s > WAIT_MOST_S:
                passage.lane.counts[REFUSED] += 1
                passage.wake(SlowDown("this tenant's requests have waited too long", retry_after_s=1))

    def _adopt(self, tenant: int) -> Lane:
        """A tenant's lane by what is known of it now: made, moved, or with other contracts."""
        lane = self._lanes.get(tenant)
        line = self._standings.lines.get(tenant, lane.line if lane is not None else ())
        if lane is not None and lane.line is line:
            return lane
        path = tuple(name for name, _ in line) or (str(tenant),)
        now_s = self._now_s()
        for depth, (_, contract) in enumerate(line, 1):
            if self._contracts.get(path[:depth]) != contract:
                self._contracts[path[:depth]] = contract
                self.scheduler.reconfigure(path[:depth], contract, now_s)
        node = self.scheduler.node(path)
        if lane is None:
            lane = self._lanes[tenant] = Lane(tenant, line, node, self._counters(tenant))
            lane.free = Free(self, lane)
            lane.used_s = now_s
        else:
            if node is not lane.node:
                self._left.append(lane.node)
            lane.line, lane.node = line, node
        lane.batch, lane.left = _batch_of(line), 0
        if self._waiting:
            self.pump()
        return lane

    def _contract(self, path: tuple[str, ...]) -> Contract:
        return self._contracts.get(path, _ROOTS)

    def _forget(self, lane: Lane, now_s: float) -> None:
        """Drops a lane that nobody has used for a while."""
        if lane.open or lane.node.limited_s > now_s:
            return
        del self._lanes[lane.tenant]
        if lane is self._sole:
            self._sole = None
        self._left.append(lane.node)

    def _prune(self, node: Node) -> bool:
        """Drops a node that a lane has left, and those above it that nobody needs; False while it has requests."""
        while node.parent is not None and (node.children is None or node.children.named.keys() <= {OWN}):
            lane = self._lanes.get(int(node.name))
            if lane is not None and lane.node is node:
                break
            path, parent = node.path(), node.parent
            if not self.scheduler.forget(path):
                return False
            self._contracts.pop(path, None)
            node = parent
        return True


_ROOTS = Contract()
"""Of the root's own requests, which stand beside its tenants: an ordinary share, nothing promised."""


def _batch_of(line: Line) -> int:
    """So many requests at once as pass within a hundredth of a second: none of the limits can tell."""
    batch = _BATCH_MOST
    for _, contract in line:
        if contract.bandwidth.limit is not None:
            return 1
        if contract.iops.limit is not None:
            batch = min(batch, int(contract.iops.limit * _BATCH_S))
    return max(batch, 1)
