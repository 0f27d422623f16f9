"""Who runs next: nested mClock over a tree of tenants, within a bounded budget of what is in flight.

    admit ──► RUNNING ─────────────► complete          room, nobody ahead: about a microsecond
      │          │ ▲
      │   charge │ │ dispatch                          the next piece of a transfer waits like a request;
      │          │ │                                   `rest` between two pieces while its client is waited for
      ▼          ▼ │
    SlowDown   WAITING ──► cancel

Each level of the tree picks among its children: first whoever is behind its reservation, then by share, never whom a limit
holds (Gulati et al., OSDI 2010). The tag of the share is charged in both phases, so that a reservation is a part of the
share and not on top of it. While room is left and nobody who may run waits, nobody is charged against a share: idle
capacity is free.

Invariants: time is an argument; nothing here reads a clock, waits, or calls back. `dispatch` is owed after every `complete`,
`charge` that returned False, `cancel`, `reconfigure`, and `admit` that returned a waiting ticket; and at `wake_s()`.
Whoever waits at the root is in a heap of the root's children. One scheduler belongs to one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf
from typing import Any

from isotherm.errors import Invalid, Misuse, SlowDown
from isotherm.tenancy.qos.burn import Pace
from isotherm.tenancy.qos.charging import charge_path, pass_path, settle, spend_path
from isotherm.tenancy.qos.contract import Budget, Contract
from isotherm.tenancy.qos.node import Node
from isotherm.tenancy.qos.sharing import Peers, Slots
from isotherm.tenancy.qos.ticket import State, Ticket
from isotherm.tenancy.qos.tree import Path, Tree

RETRY_LEAST_S = 1.0
RETRY_MOST_S = 60.0

STARTS_ANY = 1 << 62

_WAITING, _RUNNING, _RESTING, _DONE = State.WAITING, State.RUNNING, State.RESTING, State.DONE


class Scheduler:
    """See the module. Times are seconds on any clock; one that stands still or steps back delays limits, no more.

    Args:
        budget: of this gateway; with `slots`, of all gateways of the node together.
        contracts: a path's contract, asked when a node is made; () is never asked for.
        slots: shared with the other gateways of the node; None for a gateway by itself.
    """

    __slots__ = (
        "_budget",
        "_bytes_most",
        "_gate",
        "_gate_background",
        "_now_s",
        "_offset_s",
        "_pace",
        "_peers",
        "_requests_most",
        "_top",
        "_tree",
        "running",
        "running_bytes",
        "starts",
    )

    def __init__(self, budget: Budget, contracts: Callable[[Path], Contract], slots: Slots | None = None) -> None:
        self._budget = budget
        self._peers = None if slots is None else Peers(slots)
        self._tree = Tree(budget, contracts, self._peers)
        self._top = self._tree.top
        self._now_s = -inf
        self._offset_s = 0.0
        self._pace = Pace()
        self.running = 0
        self.running_bytes = 0
        self.starts = STARTS_ANY
        """How many more may start until the caller sets it again: for a caller that serves some at once and holds them in
        no queue of a device, so that what is in flight says nothing of what waits."""
        self._requests_most = budget.requests
        self._bytes_most = budget.size_bytes
        self._gate = self._gate_background = budget.requests

    @property
    def waiting(self) -> int:
        """Requests that wait, in all."""
        return self._tree.root.waiting

    @property
    def full(self) -> bool:
        """Whether whoever waits does so because no more may run, not for a limit of his own."""
        return not self.starts or self.running >= self._requests_most or self.running_bytes >= self._bytes_most

    @property
    def factor(self) -> float:
        """The part of the budget that may be used beyond reservations: 1 unless an objective is missed."""
        return self._pace.factor

    # The tree ----------------------------------------------------------------------------------------------------------

    def node(self, path: Sequence[str]) -> Node:
        """The node of a tenant, made with those above it where absent. It may be kept until `forget`.

        What is admitted on a tenant with sub-tenants competes with theirs, under a child of its own (`OWN`).

        Raises:
            Invalid: an empty path or name.
        """
        return self._tree.node(path)

    def forget(self, path: Sequence[str]) -> bool:
        """Drops a node and those below it, for tenants that were deleted; False, and nothing done, while any has requests."""
        return self._tree.forget(path)

    def reconfigure(self, path: Sequence[str], contract: Contract, now_s: float) -> None:
        """Puts a contract in another's place, at once and under load; nothing to do where the node is absent."""
        node = self._tree.find(path)
        if node is not None:
            self._tree.adopt(node, contract, self._time(now_s))

    # Requests ----------------------------------------------------------------------------------------------------------

    def admit(self, node: Node, ops: int, size_bytes: int, now_s: float, bearer: Any = None) -> Ticket:
        """Asks to run a request: RUNNING at once, or WAITING for `dispatch`.

        Args:
            node: whose request it is.
            ops: what it costs in operations; 1 for most.
            size_bytes: what it moves; of a large transfer the first piece, the others by `charge`.
            bearer: kept in the ticket for the caller.

        Raises:
            Invalid: fewer operations than one, or a negative size.
            SlowDown: too much waits already, or a limit of 0 lets nothing through. Its detail has `retry_after_s`.
        """
        if ops < 1 or size_bytes < 0:
            raise Invalid(f"a request costs one operation or more, not {ops}, and {size_bytes} bytes are not a size")
        if node.children is not None:
            node = self._tree.lane(node)
        now_s = self._time(now_s)
        if self._may_pass(node, now_s):
            ticket = Ticket(node, ops, size_bytes, now_s, bearer, _RUNNING)
            self._start(ticket, now_s)
            return ticket
        self._refuse_beyond_bounds(node, now_s)
        ticket = Ticket(node, ops, size_bytes, now_s, bearer, _WAITING)
        self._queue(ticket, now_s)
        return ticket

    def charge(self, ticket: Ticket, size_bytes: int, now_s: float) -> bool:
        """Asks to move the next piece of a running transfer: True to go on, False to wait for `dispatch` like a request.

        While it waits it holds no part of the budget, and it is never refused: what has begun may end. `size_bytes` is
        the piece's; a quarter to one MiB is a good size.

        Raises:
            Invalid: an empty piece.
            Misuse: the ticket is not running.
        """
        if size_bytes < 1:
            raise Invalid("a piece has one byte or more")
        now_s = self._time(now_s)
        if ticket.state is not _RESTING:
            self._end(ticket, now_s)
        ticket.node = self._tree.lane(ticket.node)
        ticket.ops = 0
        ticket.size_bytes = size_bytes
        ticket.arrived_s = now_s
        if self._may_pass(ticket.node, now_s):
            self._start(ticket, now_s)
            return True
        ticket.state = _WAITING
        self._queue(ticket, now_s)
        return False

    def spend(self, ticket: Ticket, size_bytes: int, now_s: float) -> None:
        """More was moved for a running request than it had asked for: charged now, and nobody waits for it.

        For what is too little to be queued for once more, as the body of a small object whose size nobody knew.
        """
        now_s = self._time(now_s)
        spend_path(ticket, size_bytes, now_s, self._budget.burst_s, contended=self._tree.root.waiting > 0)

    def rest(self, ticket: Ticket, now_s: float) -> None:
        """A running transfer waits for its client: its piece has ended, and it holds nothing until `charge`, or its end.

        Raises:
            Misuse: the ticket is not running.
        """
        self._end(ticket, self._time(now_s))
        ticket.state = _RESTING

    def complete(self, ticket: Ticket, now_s: float) -> None:
        """A running request has ended, well or not. Its latency counts for the objectives it was promised.

        One that rests has nothing to give back: `cancel` ends it.

        Raises:
            Misuse: the ticket is not running.
        """
        self._end(ticket, self._time(now_s))
        ticket.state = _DONE

    def cancel(self, ticket: Ticket) -> None:
        """Nobody waits for the request any more, whatever its state: gives back what it holds. Harmless twice."""
        if ticket.state is _RUNNING:
            ticket.promises = ()
            self._end(ticket, self._now_s)
        elif ticket.state is _WAITING:
            ticket.state = _DONE
            ticket.node.withdraw()
            at: Node | None = ticket.node
            while at is not None:
                at.waiting -= 1
                at = at.parent
        ticket.state = _DONE

    def dispatch(self, now_s: float) -> list[Ticket]:
        """Starts whatever may run now; returns it in order. Each ticket is RUNNING, and its `complete` is owed."""
        now_s = self._time(now_s)
        started: list[Ticket] = []
        if self._peers is not None:
            self._ask_peers(self._peers)
        if self._top.parked and self.running < self._gate_background:
            self._top.unpark()
        burst_s = self._budget.burst_s
        while self.starts and self.running < self._requests_most and self.running_bytes < self._bytes_most:
            node = self._pick(now_s)
            if node is None:
                break
            ticket = node.take()
            charge_path(ticket, now_s, burst_s)
            ticket.state = _RUNNING
            node.running += 1
            self.starts -= 1
            self.running += 1
            self.running_bytes += ticket.size_bytes
            if self._peers is not None:
                self._peers.started(1, ticket.size_bytes)
            started.append(ticket)
        return started

    def wake_s(self) -> float | None:
        """When to call `dispatch` though nothing has ended, after one that has just been called; None for never.

        In the caller's time. It may be early, never late: all that waits is held by limits until then, or for good.
        Never where it is `full`: then something ends, or the caller knows when more may start (`starts`).
        """
        if self.full:
            return None
        top = self._top
        when_s = top.look_again_s()
        if top.reserves and top.reserves[0][0] < when_s:
            when_s = top.reserves[0][0]
        return None if when_s == inf else when_s - self._offset_s

    # Within ------------------------------------------------------------------------------------------------------------

    def _time(self, now_s: float) -> float:
        """The caller's time, as one that never goes back: after a step back it goes on from where it stood."""
        now_s += self._offset_s
        if now_s < self._now_s:
            self._offset_s += self._now_s - now_s
            return self._now_s
        self._now_s = now_s
        if now_s >= self._pace.next_s:
            self._pace.step(now_s)
            self._set_gates()
        return now_s

    def _may_pass(self, node: Node, now_s: float) -> bool:
        """Whether a request may run at once: there is room, no limit holds it, and nobody who may run waits."""
        if self._peers is not None:
            self._ask_peers(self._peers)
            at: Node | None = node
            while at is not None:
                settle(at, now_s, self._budget.burst_s)
                at = at.parent
        if not self.starts or self.running >= self._gate_background or self.running_bytes >= self._bytes_most:
            return False
        top = self._top
        if top.ready or (top.held and top.held[0][0] <= now_s):
            return False
        at = node
        while at is not None:
            if at.limited_s > now_s:
                return False
            at = at.parent
        return True

    def _start(self, ticket: Ticket, now_s: float) -> None:
        pass_path(ticket, now_s, self._budget.burst_s)
        ticket.state = _RUNNING
        ticket.node.running += 1
        self.starts -= 1
        self.running += 1
        self.running_bytes += ticket.size_bytes
        if self._peers is not None:
            self._peers.started(1, ticket.size_bytes)

    def _end(self, ticket: Ticket, now_s: float) -> None:
        if ticket.state is not _RUNNING:
            raise Misuse(f"the request is {ticket.state.value}, not running")
        ticket.node.running -= 1
        self.running -= 1
        self.running_bytes -= ticket.size_bytes
        if self._peers is not None:
            self._peers.finished(1, ticket.size_bytes)
        if ticket.promises:
            for burn, since_s in ticket.promises:
                burn.add(now_s - since_s, now_s)
                self._pace.note(burn, now_s)
            ticket.promises = ()

    def _queue(self, ticket: Ticket, now_s: float) -> None:
        at = ticket.node
        at.enqueue(ticket)
        fresh = False
        parent = at.parent
        while parent is not None:
            at.waiting += 1
            if at.waiting == 1:
                at.among.activate(at, now_s)  # type: ignore[union-attr]  # only the root stands among nobody
                fresh = True
            elif fresh:  # it may be held because all that waited below it was
                at.among.show(at)  # type: ignore[union-attr]
            at, parent = parent, parent.parent
        at.waiting += 1

    def _refuse_beyond_bounds(self, node: Node, now_s: float) -> None:
        most = self._budget.queue_node
        at = highest = node
        while at.parent is not None:
            if at.waiting >= most or at.terms.closed:
                raise _refusal(node, at, now_s)
            highest, at = at, at.parent
        if at.waiting >= self._budget.queue_total and highest.waiting:
            raise _refusal(node, highest, now_s)

    def _pick(self, now_s: float) -> Node | None:
        """The node whose oldest request is next: from the root down, each level its own choice."""
        running = self.running
        shares = running < self._gate
        background = running < self._gate_background
        while True:
            node = self._top.pick(now_s, shares, background)
            while node is not None and node.queue is None:
                children = node.children
                assert children is not None
                assert node.among is not None
                below = children.pick(now_s, True, True)
                if below is None:
                    node.among.bar(node, children.look_again_s())
                    break
                node = below
            else:
                return node

    def _ask_peers(self, peers: Peers) -> None:
        self._requests_most, self._bytes_most = peers.allowance(self._budget.requests, self._budget.size_bytes)
        self._set_gates()

    def _set_gates(self) -> None:
        factor = self._pace.factor
        if self._peers is not None:
            self._peers.tell_pace(factor)
            factor = min(factor, self._peers.pace())
        self._gate = max(1, int(self._requests_most * factor))
        self._gate_background = max(1, int(self._requests_most * factor * factor))


def _refusal(node: Node, at: Node, now_s: float) -> SlowDown:
    """Of a request of `node`, for the bound of `at`. It tells how long the next in the node's queue has waited by now."""
    if at.terms.closed:
        return SlowDown("this tenant's limit is 0", retry_after_s=RETRY_MOST_S)
    waited_s = now_s - node.queue.arrived_s if node.queue is not None else 0.0
    retry_s = min(RETRY_MOST_S, max(RETRY_LEAST_S, waited_s))
    return SlowDown("this tenant has too many requests waiting", retry_after_s=retry_s)
