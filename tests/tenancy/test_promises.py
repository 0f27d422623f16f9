"""Admission control: whatever happens, no node has promised more than it was promised. Against a model that sums all."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from msgspec.structs import replace

from isotherm.tenancy.promises import PROMISES, Exceeded, Ledger, bound, claim
from isotherm.tenancy.terms import AMOUNT_MOST, Terms
from isotherm.tenancy.tree import REALM, Node

AMOUNTS = st.none() | st.integers(0, 30)


@st.composite
def some_terms(draw):
    reservation, limit = draw(AMOUNTS), draw(AMOUNTS)
    if reservation is not None and limit is not None and reservation > limit:
        reservation, limit = limit, reservation
    return Terms(capacity_bytes=draw(AMOUNTS), iops_reservation=reservation, iops_limit=limit)


class Promising(RuleBasedStateMachine):
    """A tree in memory, changed as the transactions of `Tenants` change it."""

    def __init__(self):
        super().__init__()
        self.nodes = {1: REALM}
        self.last = 1

    def chain(self, id_):
        return [*self.chain(self.nodes[id_].parent), self.nodes[id_]] if id_ else []

    def below(self, id_):
        return [node for node in self.nodes.values() if node.parent == id_]

    def decide(self, nodes, change):
        ledger = Ledger(nodes)
        try:
            change(ledger)
        except Exceeded:
            return False
        self.nodes |= {node.id: node for node in ledger.changed()}
        return True

    def pick(self, data, among=None):
        return data.draw(st.sampled_from(sorted(among or self.nodes)))

    @rule(data=st.data(), terms=some_terms())
    def add(self, data, terms):
        parent = self.pick(data)
        self.last += 1
        fresh = Node(id=self.last, parent=parent, name=f"n{self.last}", terms=terms)
        self.decide(self.chain(parent), lambda ledger: ledger.add(fresh))

    @rule(data=st.data(), terms=some_terms())
    def change(self, data, terms):
        node = self.nodes[self.pick(data)]
        self.decide(self.chain(node.id), lambda ledger: ledger.replace(replace(node, terms=terms)))

    @rule(data=st.data())
    def remove(self, data):
        leaves = [id_ for id_ in self.nodes if id_ != 1 and not self.below(id_)]
        if leaves:
            node = self.nodes[self.pick(data, leaves)]
            assert self.decide(self.chain(node.id), lambda ledger: ledger.remove(node))
            del self.nodes[node.id]

    @rule(data=st.data())
    def move(self, data):
        node, parent = self.nodes[self.pick(data)], self.pick(data)
        if node.id == 1 or node in self.chain(parent):
            return

        def change(ledger):
            ledger.remove(node)
            ledger.add(replace(node, parent=parent))

        self.decide([*self.chain(node.id), *self.chain(parent)], change)

    @invariant()
    def sums_are_sums_and_kept(self):
        for node in self.nodes.values():
            for promise in PROMISES:
                promised = sum(claim(child, promise) for child in self.below(node.id))
                assert node.promised.get(promise, 0) == promised
                assert promised <= bound(node.terms, promise)


TestPromising = Promising.TestCase
TestPromising.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)


def test_a_refusal_says_which_number_how_much_is_promised_and_what_is_left():
    parent = Node(id=2, parent=1, name="acme", terms=Terms(capacity_bytes=1_000), promised={"capacity_bytes": 700})
    with pytest.raises(Exceeded, match="capacity_bytes: 301 more are asked for; of 1,000") as refused:
        Ledger([REALM, parent]).add(Node(id=3, parent=2, name="x", terms=Terms(capacity_bytes=301)))
    assert {"promise": "capacity_bytes", "bound": 1_000, "promised": 700, "left": 300, "asked": 301}.items() <= (
        refused.value.detail.items()
    )
    veiled = refused.value.veiled()
    assert not any(number in str(veiled) for number in ("301", "1,000", "700", "300"))
    assert veiled.detail == {"promise": "capacity_bytes"}


def test_a_node_without_a_number_passes_on_what_its_children_are_promised():
    grand = Node(id=2, parent=1, name="a", terms=Terms(capacity_bytes=100))
    ledger = Ledger([REALM, grand, Node(id=3, parent=2, name="b")])
    ledger.add(Node(id=4, parent=3, name="c", terms=Terms(capacity_bytes=60)))
    with pytest.raises(Exceeded):
        ledger.add(Node(id=5, parent=3, name="d", terms=Terms(capacity_bytes=41)))


def test_sums_have_a_bound_even_where_nobody_set_one():
    ledger = Ledger([REALM])
    ledger.add(Node(id=2, parent=1, name="a", terms=Terms(capacity_bytes=AMOUNT_MOST)))
    with pytest.raises(Exceeded):
        ledger.add(Node(id=3, parent=1, name="b", terms=Terms(capacity_bytes=1)))
