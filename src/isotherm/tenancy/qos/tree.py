"""The tree of tenants: nodes found by path, made on demand from their contracts, forgotten when tenants are deleted.

A node that does not exist costs nothing, one that idles about a kilobyte and no time. Owned by one scheduler, touched from
its thread only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from isotherm.errors import Invalid
from isotherm.tenancy.qos.contract import Budget, Contract
from isotherm.tenancy.qos.node import Node, Terms
from isotherm.tenancy.qos.sharing import Peers
from isotherm.tenancy.qos.siblings import Siblings

Path = tuple[str, ...]

OWN = ""
"""The name under which a tenant with sub-tenants competes with them for its own requests, with a share of 1."""
TERMS_KEPT = 1_000


class Tree:
    """Args as of `Scheduler`."""

    __slots__ = ("_budget", "_contracts", "_peers", "_serial", "_terms", "root", "top")

    def __init__(self, budget: Budget, contracts: Callable[[Path], Contract], peers: Peers | None) -> None:
        self._budget = budget
        self._contracts = contracts
        self._peers = peers
        self._serial = 0
        self._terms: dict[Contract, Terms] = {}
        self.root = Node("", None, None, 0, self._terms_of(Contract()))
        self.top = self.root.children = Siblings()
        """The root's children."""

    def node(self, path: Sequence[str]) -> Node:
        """As `Scheduler.node`."""
        if not path or OWN in path:
            raise Invalid("a path of tenants has one name or more, none of them empty")
        at = self.root
        for depth, name in enumerate(path, 1):
            children = at.children
            if children is None:
                children = at.children = Siblings()
            child = children.named.get(name)
            at = self._made(at, children, tuple(path[:depth])) if child is None else child
        return at

    def lane(self, node: Node) -> Node:
        """Where a tenant's own requests queue: once it has sub-tenants, in a child beside them."""
        if node.children is None:
            return node
        own = node.children.named.get(OWN)
        return self._made(node, node.children, (*node.path(), OWN)) if own is None else own

    def find(self, path: Sequence[str]) -> Node | None:
        at: Node | None = self.root
        for name in path:
            if at is None or at.children is None:
                return None
            at = at.children.named.get(name)
        return None if at is self.root else at

    def forget(self, path: Sequence[str]) -> bool:
        """As `Scheduler.forget`."""
        node = self.find(path)
        if node is None or node.among is None:
            return True
        if node.waiting or node.runs():
            return False
        del node.among.named[node.name]  # entries in heaps are dropped when they surface, as of any node that idles
        return True

    def adopt(self, node: Node, contract: Contract, now_s: float) -> None:
        """Puts a contract in another's place and has the node, and those above it, looked at again."""
        node.adopt(self._terms_of(contract), now_s)
        while node.waiting and node.among is not None and node.parent is not None:
            node.among.show(node)
            node = node.parent

    def _made(self, parent: Node, children: Siblings, path: Path) -> Node:
        self._serial += 1
        name = path[-1]
        contract = Contract() if name == OWN else self._contracts(path)
        child = children.named[name] = Node(name, parent, children, self._serial, self._terms_of(contract))
        if self._peers is not None:
            child.account = self._peers.account(path)
        return child

    def _terms_of(self, contract: Contract) -> Terms:
        """Tenants with equal contracts share the factors: less memory, and less of it to fetch for each request."""
        terms = self._terms.get(contract)
        if terms is None:
            if len(self._terms) >= TERMS_KEPT:
                self._terms.clear()
            terms = self._terms[contract] = Terms(contract, self._budget)
        return terms
