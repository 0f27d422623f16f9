"""The children of one node, and which of them is next: one level of mClock, in O(log n) of those that wait.

Three heaps hold (key, serial, node):

- `reserves`: by `due_s`, those with a reservation;
- `ready`: by `virtual`, those that may run by their share;
- `held`: by the time at which it is worth looking again, those that limits hold: their own, or those of all that
  wait below them.

Invariants: a child that waits is in `held`, or else in `ready` and, if it has a reservation, in `reserves`. An entry is a
hint where to look, never the truth: tags move on while entries lie, so an entry that surfaces is compared with its node
and put back with the right key, or dropped. In `ready` a node has one entry (`in_ready`) and its key is never above the
tag, as virtual time does not go back. In the other two the entry whose key equals `reserve_key` or `held_s` is the valid
one; others are dropped when they surface, or swept out when they outnumber the children.

Owned by one scheduler, touched from its thread only.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush, heapreplace
from math import inf

from isotherm.tenancy.qos.node import Node

Entry = tuple[float, int, Node]

REBASE_AT = 1e9
"""Virtual time is set back here: a double still tells apart the smallest steps, 1e-4 a request."""

RESERVED_IN_TURN = 31
"""After so many a share has its turn: reservations beyond what there is must not starve those who have none."""


class Siblings:
    """The children of a node; empty at first. `named` holds all of them, idle or not; the heaps only those that wait."""

    __slots__ = ("held", "look_s", "named", "parked", "ready", "reserved_in_turn", "reserves", "virtual")

    def __init__(self) -> None:
        self.named: dict[str, Node] = {}
        self.reserves: list[Entry] = []
        self.ready: list[Entry] = []
        self.held: list[Entry] = []
        self.parked: list[Node] = []
        """Background nodes that were passed over and wait for `unpark`."""
        self.reserved_in_turn = 0
        """So many were picked by their reservations, one after another."""
        self.look_s = inf
        """No entry of `reserves` or `held` is due before: spares a look at either."""
        self.virtual = 0.0
        """The tag of the last child that ran by its share: where one starts that comes back from idling."""

    def activate(self, node: Node, now_s: float) -> None:
        """The first request of an idle child waits: its idle time has earned it nothing."""
        if node.virtual < self.virtual:
            node.virtual = self.virtual
        if node.terms.reserves:
            if node.due_ops_s < now_s:
                node.due_ops_s = now_s
            if node.due_bytes_s < now_s:
                node.due_bytes_s = now_s
            if node.due_s < now_s:
                node.due_s = now_s
        self.show(node)

    def show(self, node: Node) -> None:
        """Makes sure that a child that waits will be looked at."""
        if not node.in_ready:
            earliest = self.virtual - node.terms.credit
            if node.virtual < earliest:
                node.virtual = earliest
            node.in_ready = True
            heappush(self.ready, (node.virtual, node.serial, node))
        if node.terms.reserves and node.due_s < node.reserve_key:
            node.reserve_key = node.due_s
            heappush(self.reserves, (node.due_s, node.serial, node))
            if node.due_s < self.look_s:
                self.look_s = node.due_s
            if len(self.reserves) > 64 + 2 * len(self.named):
                valid = {entry[1]: entry for entry in self.reserves if entry[0] == entry[2].reserve_key}
                self.reserves = list(valid.values())
                heapify(self.reserves)

    def hold(self, node: Node, until_s: float) -> None:
        """Looks at a child again at `until_s`; infinite: when `show` is called."""
        if until_s < node.held_s:
            node.held_s = until_s
            heappush(self.held, (until_s, node.serial, node))
            if until_s < self.look_s:
                self.look_s = until_s
            if len(self.held) > 64 + 2 * len(self.named):
                valid = {entry[1]: entry for entry in self.held if entry[0] == entry[2].held_s}
                self.held = list(valid.values())
                heapify(self.held)

    def bar(self, node: Node, until_s: float) -> None:
        """Holds the child that `pick` has just returned: none of its own children may run before `until_s`."""
        if node.reserved:
            heappop(self.reserves)
            node.reserve_key = inf
        else:
            heappop(self.ready)
            node.in_ready = False
        self.hold(node, until_s)

    def unpark(self) -> None:
        parked, self.parked = self.parked, []
        for node in parked:
            if node.waiting:
                self.show(node)

    def pick(self, now_s: float, shares: bool, background: bool) -> Node | None:
        """The child that is next, left where it lies; None when none may run now.

        Args:
            now_s: in the scheduler's time.
            shares: whether children may run beyond their reservations.
            background: whether background nodes may.
        """
        passed_over = False
        if self.look_s <= now_s:
            if self.reserved_in_turn < RESERVED_IN_TURN or not shares:
                node = self._pick_by_reservation(now_s)
                if node is not None:
                    self.reserved_in_turn += 1
                    return node
            else:
                passed_over = True
        self.reserved_in_turn = 0
        ready = self.ready if shares else None
        while ready:
            key, _, node = ready[0]
            if not node.waiting:
                heappop(ready)
                node.in_ready = False
            elif node.virtual > key:
                heapreplace(ready, (node.virtual, node.serial, node))
            elif node.limited_s > now_s:
                heappop(ready)
                node.in_ready = False
                self.hold(node, node.limited_s)
            elif node.terms.background and not background:
                heappop(ready)
                node.in_ready = False
                self.parked.append(node)
            else:
                node.reserved = False
                if key > self.virtual:
                    self.virtual = key
                    if key > REBASE_AT:
                        self._rebase()
                return node
        return self.pick(now_s, shares, background) if passed_over else None

    def _pick_by_reservation(self, now_s: float) -> Node | None:
        """Lets go whom limits hold no longer; then whoever is behind its reservation the longest."""
        held = self.held
        while held and held[0][0] <= now_s:
            key, _, node = heappop(held)
            if key == node.held_s:
                node.held_s = inf
                if node.waiting:
                    self.show(node)
        reserves = self.reserves
        while reserves and reserves[0][0] <= now_s:
            key, _, node = reserves[0]
            due_s = node.due_s
            if key != node.reserve_key:
                heappop(reserves)
            elif not node.waiting or not node.terms.reserves:
                heappop(reserves)
                node.reserve_key = inf
            elif due_s > key:
                node.reserve_key = due_s
                heapreplace(reserves, (due_s, node.serial, node))
            elif node.limited_s > now_s:
                heappop(reserves)
                node.reserve_key = inf
                self.hold(node, node.limited_s)
            else:
                node.reserved = True
                return node
        self.look_s = min(self.held[0][0] if self.held else inf, reserves[0][0] if reserves else inf)
        return None

    def _rebase(self) -> None:
        """Sets virtual time back by itself for all children: differences are all that counts."""
        past = self.virtual
        self.virtual = 0.0
        for node in self.named.values():
            node.virtual -= past
        self.ready = [(node.virtual, node.serial, node) for _, _, node in self.ready]
        heapify(self.ready)

    def look_again_s(self) -> float:
        """When a limit lets something go, if nothing may run now; infinite when none will."""
        return self.held[0][0] if self.held else inf
