"""The platform's own work beside gateways: free where nobody waits, within its share where they are full, never at a standstill."""

import asyncio
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotherm.clock import VirtualClock
from isotherm.devices.ledger import Ledger, create_ledger
from isotherm.tenancy.gate import Gate
from isotherm.tenancy.qos import Background, Budget, Signal
from isotherm.tenancy.qos.background import STUCK_S
from tests.s3.wire.harness import Promises

OP_BYTES = Budget().op_bytes


class Node:
    """The ledger of a node's gateways, and what each of them tells."""

    def __init__(self, gateways=2):
        self.descriptor = create_ledger(gateways)
        self.living = set(range(gateways))
        self.signals = [Signal(self.ledger(own)) for own in range(gateways)]

    def ledger(self, own=0):
        return Ledger(self.descriptor, len(self.living), own, self.living.__contains__)


@pytest.fixture
def node():
    made = Node()
    yield made
    os.close(made.descriptor)


def test_where_no_gateway_is_full_it_goes_on_whatever_it_has_done(node):
    background = Background(node.ledger(), OP_BYTES)
    for now_s in range(100):
        assert background.may(now_s)
        background.spend(1_000, 1 << 30)


def test_beside_full_gateways_it_gets_its_share_of_what_they_serve(node):
    background = Background(node.ledger(), OP_BYTES, share=0.1)
    for signal in node.signals:
        signal.tell_full(True)
    done, piece, served, now_s = 0, 4 << 20, 0, 0.0
    for turn in range(20_000):
        now_s += 0.001
        node.signals[turn % 2].tell_served(64 << 10)
        served += 64 << 10
        if background.may(now_s):
            background.spend(0, piece)
            done += piece
    assert abs(done - served * 0.1) <= piece


def test_an_objective_that_is_missed_shrinks_its_share_by_the_square(node):
    background = Background(node.ledger(), OP_BYTES, share=0.1)
    node.signals[0].tell_full(True)
    node.signals[1].tell_pace(0.5)
    done, served = 0, 0
    for turn in range(20_000):
        node.signals[0].tell_served(64 << 10)
        served += 64 << 10
        if background.may(turn * 0.001):
            background.spend(0, 1 << 20)
            done += 1 << 20
    assert abs(done - served * 0.1 * 0.25) <= 1 << 20


def test_idle_time_earns_nothing_and_leaves_no_debt(node):
    background = Background(node.ledger(), OP_BYTES, share=0.1)
    signal = node.signals[0]
    background.spend(0, 1 << 40)
    assert background.may(0.0)
    signal.tell_served(1 << 40)
    assert background.may(1.0)
    signal.tell_full(True)
    assert background.may(2.0)
    background.spend(1, 0)
    signal.tell_served(OP_BYTES)
    assert not background.may(2.1)
    signal.tell_full(False)
    assert background.may(2.2)
    signal.tell_full(True)
    assert background.may(2.3)


def test_gateways_that_are_full_and_serve_nothing_hold_it_up_for_a_second(node):
    background = Background(node.ledger(), OP_BYTES)
    node.signals[0].tell_full(True)
    assert background.may(10.0)
    background.spend(1, 0)
    assert not background.may(10.0 + STUCK_S / 2)
    assert background.may(10.0 + STUCK_S)


def test_a_dead_gateway_holds_up_nobody_and_its_successor_counts_on(node):
    background = Background(node.ledger(), OP_BYTES)
    node.signals[1].tell_served(5 * OP_BYTES)
    node.signals[1].tell_full(True)
    assert background.may(0.0)
    background.spend(1, 0)
    assert not background.may(0.1)
    node.living.remove(1)
    assert background.may(0.2)
    node.living.add(1)
    successor = Signal(Ledger(node.descriptor, 2, 1, node.living.__contains__))
    successor.tell_full(True)
    assert background.may(0.3)
    background.spend(1, 0)
    assert not background.may(0.4)
    successor.tell_served(20 * OP_BYTES)
    assert background.may(0.5)


@given(
    st.lists(st.tuples(st.booleans(), st.integers(0, 1 << 24), st.integers(0, 1 << 24), st.floats(0, 2)), max_size=60)
)
def test_whatever_gateways_tell_it_asks_in_vain_for_a_bounded_time_only(history):
    made = Node(1)
    try:
        background = Background(made.ledger(), OP_BYTES)
        now_s = 0.0
        for full, served, piece, pause_s in history:
            made.signals[0].tell_full(full)
            made.signals[0].tell_served(served)
            now_s += pause_s
            if background.may(now_s):
                background.spend(1, piece)
        assert background.may(now_s + STUCK_S) or background.may(now_s + 2 * STUCK_S)
    finally:
        os.close(made.descriptor)


def test_a_gate_tells_whether_it_is_full_and_what_it_served(node):
    async def scenario():
        clock = VirtualClock()
        ledger = node.ledger()
        gate = Gate(Budget(requests=1), Promises(), clock, signal=Signal(ledger))
        background = Background(ledger, OP_BYTES)
        first, second = gate.admit(2, 0, reads=False), gate.admit(3, 0, reads=False)
        assert (first.running, second.running) == (True, False)
        assert background.may(clock.monotonic())
        background.spend(1, 0)
        assert not background.may(clock.monotonic())
        first.end()
        assert second.running
        assert background.may(clock.monotonic())
        second.end()

    asyncio.run(scenario())
