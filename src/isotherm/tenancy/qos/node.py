"""One node of the tree of tenants: its tags, and the numbers that its contract comes down to.

A tag is the time (or virtual time) at which the node's next request is due: `due_s` by its reservation, `limited_s` by its
limit, `virtual` by its share. Serving a request moves them on by what it cost; that is the whole of mClock (Gulati et al.,
OSDI 2010). Reservation and limit have a tag for each resource, of which the later one counts: what is promised, and what
is refused, is a rate of operations *and* one of bytes. The share has one tag, moved by both costs together, as both use
up the same device.

`virtual` never goes back, but for a rebase of all siblings at once: the heaps in `siblings.py` rest on that.

Owned by one scheduler, touched from its thread only. Attributes, not methods: this is the scheduler's inner loop.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from isotherm.tenancy.qos.burn import Burn
from isotherm.tenancy.qos.contract import Budget, Contract, Rates
from isotherm.tenancy.qos.ticket import State, Ticket

if TYPE_CHECKING:
    from isotherm.tenancy.qos.sharing import Account
    from isotherm.tenancy.qos.siblings import Siblings

_WAITING = State.WAITING

LEAD_OPS = 256.0
"""Service by reservation counts against the share up to so many operations ahead of the siblings: what a tenant was
promised in a tight hour must not be held against it in the next."""
CREDIT_OPS = 64.0
"""Who was held by a limit comes back at most so many operations behind its siblings."""


def _per_unit(rates: Rates) -> float:
    return 1.0 / rates.limit if rates.limit else 0.0


class Terms:
    """A contract as factors: seconds, or virtual time, for each operation and each byte."""

    __slots__ = (
        "background",
        "closed",
        "contract",
        "credit",
        "lead",
        "least_bytes",
        "least_ops",
        "limit_byte",
        "limit_op",
        "limits",
        "reserve_byte",
        "reserve_op",
        "reserves",
        "share_byte",
        "share_op",
    )

    def __init__(self, contract: Contract, budget: Budget) -> None:
        iops, bandwidth = contract.iops, contract.bandwidth
        self.contract = contract
        self.background = contract.background
        share_of_ops, share_of_bytes = contract.shares
        self.share_op = 1.0 / share_of_ops
        self.share_byte = 1.0 / (share_of_bytes * budget.op_bytes)
        self.lead = LEAD_OPS * self.share_op
        self.credit = CREDIT_OPS * self.share_op
        self.reserve_op = 1.0 / iops.reservation if iops.reservation else 0.0
        self.reserve_byte = 1.0 / bandwidth.reservation if bandwidth.reservation else 0.0
        self.reserves = bool(iops.reservation or bandwidth.reservation)
        # Where one resource alone is reserved, a request that costs nothing of it would run on the reservation without
        # end. So a piece of a transfer counts as an operation, and an operation as `op_bytes`.
        self.least_ops = 0.0 if bandwidth.reservation else 1.0
        self.least_bytes = 0 if iops.reservation else budget.op_bytes
        self.closed = iops.limit == 0 or bandwidth.limit == 0
        self.limit_op = _per_unit(iops)
        self.limit_byte = _per_unit(bandwidth)
        self.limits = iops.limit is not None or bandwidth.limit is not None


class Node:
    """A tenant as the scheduler sees it. Make it by `Scheduler.node`; treat it as opaque."""

    __slots__ = (
        "account",
        "among",
        "burn",
        "cancelled",
        "children",
        "due_bytes_s",
        "due_ops_s",
        "due_s",
        "held_s",
        "in_ready",
        "last",
        "limited_bytes_s",
        "limited_ops_s",
        "limited_s",
        "name",
        "parent",
        "queue",
        "reserve_key",
        "reserved",
        "running",
        "serial",
        "terms",
        "virtual",
        "waiting",
    )

    def __init__(self, name: str, parent: Node | None, among: Siblings | None, serial: int, terms: Terms) -> None:
        self.name = name
        self.parent = parent
        self.among = among
        """The siblings it stands among: its parent's children."""
        self.children: Siblings | None = None
        self.serial = serial
        self.terms = terms
        self.virtual = 0.0
        self.due_ops_s = self.due_bytes_s = self.due_s = -inf
        self.limited_ops_s = self.limited_bytes_s = -inf
        self.limited_s = inf if terms.closed else -inf
        self.waiting = 0
        """Requests that wait in its subtree."""
        self.queue: Ticket | None = None
        """Its own requests, the oldest first, each of which names the one after it: a deque takes 600 bytes more. The
        oldest is never a cancelled one."""
        self.last: Ticket | None = None
        self.cancelled = 0
        """Of `queue`, those that nobody waits for any more."""
        self.running = 0
        """Of its own requests, those under way."""
        self.in_ready = False
        self.reserve_key = inf
        """The key of its valid entry in the siblings' heap of reservations; infinite for none. Likewise `held_s`."""
        self.held_s = inf
        self.reserved = False
        """Whether it was picked last by its reservation."""
        objective_s = terms.contract.p99_s
        self.burn = None if objective_s is None else Burn(objective_s)
        self.account: Account | None = None

    def path(self) -> tuple[str, ...]:
        return () if self.parent is None else (*self.parent.path(), self.name)

    def runs(self) -> bool:
        """Whether any request of its subtree is under way."""
        below = self.children.named.values() if self.children is not None else ()
        return self.running > 0 or any(child.runs() for child in below)

    def enqueue(self, ticket: Ticket) -> None:
        last, self.last = self.last, ticket
        if last is None:
            self.queue = ticket
        else:
            last.after = ticket

    def take(self) -> Ticket:
        """The oldest of its own requests; there is one."""
        ticket = self.queue
        assert ticket is not None
        self.queue = ticket.after
        if self.queue is None:
            self.last = None
        ticket.after = None
        if self.cancelled:
            self._drop_cancelled()
        return ticket

    def withdraw(self) -> None:
        """One of its own waiting requests was cancelled. It leaves when it is the oldest, or when such are the most."""
        self.cancelled += 1
        if self.cancelled > 16 + self.waiting:
            ticket, self.queue, self.last = self.queue, None, None
            while ticket is not None:
                after, ticket.after = ticket.after, None
                if ticket.state is _WAITING:
                    self.enqueue(ticket)
                ticket = after
            self.cancelled = 0
        else:
            self._drop_cancelled()

    def _drop_cancelled(self) -> None:
        ticket = self.queue
        while ticket is not None and ticket.state is not _WAITING:
            ticket = ticket.after
            self.cancelled -= 1
        self.queue = ticket
        if ticket is None:
            self.last = None

    def adopt(self, terms: Terms, now_s: float) -> None:
        """Takes another contract at once: what is left to wait under the old rates is waited for under the new ones."""
        old, self.terms = self.terms, terms
        self.due_ops_s = _rescaled(self.due_ops_s, now_s, old.reserve_op, terms.reserve_op)
        self.due_bytes_s = _rescaled(self.due_bytes_s, now_s, old.reserve_byte, terms.reserve_byte)
        if not old.reserves:  # what was not promised yet is not owed
            self.due_ops_s, self.due_bytes_s = max(self.due_ops_s, now_s), max(self.due_bytes_s, now_s)
        self.due_s = self.latest_due_s()
        self.limited_ops_s = _rescaled(self.limited_ops_s, now_s, old.limit_op, terms.limit_op)
        self.limited_bytes_s = _rescaled(self.limited_bytes_s, now_s, old.limit_byte, terms.limit_byte)
        self.limited_s = inf if terms.closed else max(self.limited_ops_s, self.limited_bytes_s)
        objective_s = terms.contract.p99_s
        if objective_s != old.contract.p99_s:
            self.burn = None if objective_s is None else Burn(objective_s)

    def latest_due_s(self) -> float:
        return max(
            self.due_ops_s if self.terms.reserve_op else -inf,
            self.due_bytes_s if self.terms.reserve_byte else -inf,
        )

    def limit(self, ops: float, size_bytes: float, now_s: float, burst_s: float) -> None:
        """Charges the limits, which are leaky buckets that hold `burst_s` of their rate."""
        terms = self.terms
        if terms.closed:
            return
        full_s = now_s - burst_s
        later = -inf
        if terms.limit_op:
            tag = self.limited_ops_s
            later = self.limited_ops_s = (tag if tag > full_s else full_s) + ops * terms.limit_op
        if terms.limit_byte:
            tag = self.limited_bytes_s
            tag = self.limited_bytes_s = (tag if tag > full_s else full_s) + size_bytes * terms.limit_byte
            if tag > later:
                later = tag
        self.limited_s = later


def _rescaled(tag_s: float, now_s: float, old: float, new: float) -> float:
    """A tag whose rate changes from 1/`old` to 1/`new`: the debt in units stays, its time changes."""
    if not new:
        return -inf
    if not old or tag_s <= now_s:
        return tag_s
    return now_s + (tag_s - now_s) * new / old
