"""Admission control: no node promises its children more than it was promised itself. Pure; any thread.

Three terms are promises: capacity, and the reservations of IOPS and bandwidth. What a node *claims* of its parent is its own
number; where it has none, the sum of what its children claim, so that a node without terms is transparent. What a node
may promise is its own number, for IOPS and bandwidth its limit where it has no reservation, else without bound but for
those above. Each node carries the sums of its children's claims, so that a decision looks at one chain, not at siblings.

A `Ledger` is one decision. Lowering a promise is always allowed, raising one is checked at every node it is passed on to.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from isotherm.errors import OverQuota
from isotherm.tenancy.terms import AMOUNT_MOST, Terms
from isotherm.tenancy.tree import Node

PROMISES = {
    "capacity_bytes": ("capacity_bytes",),
    "iops_reservation": ("iops_reservation", "iops_limit"),
    "bandwidth_reservation_bytes_s": ("bandwidth_reservation_bytes_s", "bandwidth_limit_bytes_s"),
}
"""Promise → the terms that bound what a node may promise of it; the first that is set counts."""


class Exceeded(OverQuota):
    """A promise that cannot be kept. `node`: where it failed; its numbers are for those who reach it alone.

    Args:
        lowered: the term that would bound what is promised already, where nothing more was asked for.
    """

    code = "PromiseExceeded"

    def __init__(
        self, node: int, promise: str, bound: int, promised: int, asked: int, *, lowered: str = "", path: str = ""
    ) -> None:
        left = max(bound - promised, 0)
        super().__init__(
            f"{lowered} cannot be {bound:,}: {path or 'it'} has promised {promised:,} to its tenants"
            if lowered
            else f"{promise}: {asked:,} more are asked for; of {bound:,} that {path or 'it'} has {promised:,} are promised "
            f"already, {left:,} are left",
            tenant=path,
            promise=promise,
            bound=bound,
            promised=promised,
            left=left,
            asked=asked,
        )
        self.node = node
        self._numbers = (node, promise, bound, promised, asked)
        self._lowered = lowered

    def shown(self, path: str) -> OverQuota:
        """The same, telling the node by its path."""
        return Exceeded(*self._numbers, lowered=self._lowered, path=path)

    def veiled(self) -> OverQuota:
        """The same for a caller that does not reach the node: without its numbers."""
        promise = str(self.detail["promise"])
        return OverQuota(
            f"{promise}: the tenants above yours have not that much left to promise", code=self.code, promise=promise
        )


def claim(node: Node, promise: str) -> int:
    """What a node takes of its parent's."""
    own: int | None = getattr(node.terms, promise)
    return node.promised.get(promise, 0) if own is None else own


def bound(terms: Terms, promise: str) -> int:
    """What a node may promise its children at most."""
    term = bounding(terms, promise)
    return getattr(terms, term) if term else AMOUNT_MOST


def bounding(terms: Terms, promise: str) -> str:
    """The term that says so; empty where none does."""
    return next((term for term in PROMISES[promise] if getattr(terms, term) is not None), "")


class Ledger:
    """The nodes that a change touches, by id, as they will be.

    Args:
        nodes: every node between the root and what changes; those of several chains, where a node moves.
    """

    def __init__(self, nodes: Iterable[Node]) -> None:
        self._nodes = {node.id: node for node in nodes}
        self._before = dict(self._nodes)

    def changed(self) -> Sequence[Node]:
        """The nodes that are not as they were."""
        return [node for id_, node in self._nodes.items() if self._before.get(id_) != node]

    def add(self, node: Node) -> None:
        """A node that its parent has not had. Raises Exceeded."""
        self._nodes[node.id] = node
        for promise in PROMISES:
            self._pass_on(node.parent, promise, claim(node, promise))

    def remove(self, node: Node) -> None:
        """A node leaves its parent; it is the caller's from here on."""
        del self._nodes[node.id]
        for promise in PROMISES:
            self._pass_on(node.parent, promise, -claim(node, promise))

    def replace(self, node: Node) -> None:
        """A node gets other terms. Raises Exceeded, also where its children are promised more already."""
        old = self._nodes[node.id]
        self._nodes[node.id] = node
        for promise in PROMISES:
            promised, most = node.promised.get(promise, 0), bound(node.terms, promise)
            if promised > most:
                raise Exceeded(node.id, promise, most, promised, 0, lowered=bounding(node.terms, promise))
            self._pass_on(node.parent, promise, claim(node, promise) - claim(old, promise))

    def _pass_on(self, at: int, promise: str, more: int) -> None:
        while more and at:  # the root has no parent
            node = self._nodes[at]
            promised, most = node.promised.get(promise, 0), bound(node.terms, promise)
            if more > 0 and promised + more > most:
                raise Exceeded(node.id, promise, most, promised, more)
            sums = {**node.promised, promise: promised + more}
            renewed = msgspec.structs.replace(node, promised={name: sum_ for name, sum_ in sums.items() if sum_})
            self._nodes[at] = renewed
            more = claim(renewed, promise) - claim(node, promise)
            at = node.parent
