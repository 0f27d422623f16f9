"""Tenants and operators who mean harm, or do it: what they may not get, and what must not grow."""

import gc
import tracemalloc

import pytest

from benchmarks.tenancy._simulation import Simulation, Source, served
from isotherm.errors import SlowDown
from isotherm.tenancy.qos import Budget, Contract, Rates, State
from isotherm.tenancy.qos.node import Node, Terms
from isotherm.tenancy.qos.siblings import REBASE_AT, Siblings
from tests.tenancy.qos.trees import WIDE, assert_sound, drain, ops, scheduler


def simulated(contracts, sources, until_s, units_per_s=1_000.0, budget=None):
    simulation = Simulation(contracts, units_per_s, budget or Budget(requests=8, **WIDE))
    for source in sources:
        simulation.add(source)
    simulation.run(until_s)
    return simulation


def empty(_):
    return 0


def per_s(source, start_s, end_s):
    return served(source, start_s, end_s)[0] / (end_s - start_s)


def test_ten_thousand_tiny_requests_do_not_hold_up_one_large_one():
    qos = scheduler(requests=1, **WIDE)
    running = qos.admit(qos.node(("tiny",)), 1, 1, 0.0)
    for _ in range(10_000):
        qos.admit(qos.node(("tiny",)), 1, 1, 0.0)
    large = qos.admit(qos.node(("large",)), 1, 1 << 20, 0.0)
    qos.complete(running, 0.0)
    assert large in drain(qos, 0.0)[:2]


def test_a_tenant_gains_nothing_by_many_sub_tenants():
    many = [Source(("many", str(number)), 4, empty) for number in range(100)]
    one = Source(("one", "only"), 4, empty)
    simulated({}, [*many, one], 10.0)
    assert per_s(one, 1.0, 10.0) == pytest.approx(500, rel=0.02)


def test_a_tenant_gains_nothing_by_being_idle_now_and_then():
    blinking, steady = Source(("blinking",), 32, empty), Source(("steady",), 32, empty)
    simulation = simulated({}, [blinking, steady], 0.0)
    for turn in range(200):
        blinking.active = turn % 2 == 0
        simulation.fill(blinking)
        simulation.run(simulation.now_s + 0.1)
    assert per_s(blinking, 0.0, 20.0) < 505


def test_a_tiny_request_by_reservation_does_not_wash_away_the_debt_of_a_large_one():
    qos = scheduler({("sly",): ops(50)}, requests=1)
    running = qos.admit(qos.node(("other",)), 1, 0, 0.0)
    sly = qos.node(("sly",))
    for size_bytes in (0, 1 << 28, 0):
        qos.admit(sly, 1, size_bytes, 0.0)
    tags = []
    for now_s, by_reservation in ((0.0, True), (0.001, False), (0.03, True)):
        qos.complete(running, now_s)
        (running,) = qos.dispatch(now_s)
        assert sly.reserved == by_reservation
        tags.append(sly.virtual)
    assert tags[0] < tags[1] <= tags[2]


def test_a_limit_of_nothing_refuses_and_holds_and_lets_go_again():
    qos = scheduler(requests=1)
    node = qos.node(("a", "b"))
    running, waiting = (qos.admit(node, 1, 0, 0.0) for _ in range(2))
    other = qos.admit(qos.node(("c",)), 1, 0, 0.0)
    qos.reconfigure(("a",), ops(limit=0), 0.0)
    with pytest.raises(SlowDown) as refusal:
        qos.admit(node, 1, 0, 0.0)
    assert refusal.value.detail["retry_after_s"] == 60.0
    assert not qos.charge(running, 10, 0.0)  # what has begun stops as well
    assert qos.dispatch(0.0) == [other]
    qos.complete(other, 1.0)
    assert qos.dispatch(1e9) == []
    assert qos.wake_s() is None
    qos.reconfigure(("a",), Contract(), 1e9)
    assert drain(qos, 1e9) == [waiting, running]
    assert qos.admit(node, 1, 0, 1e9).state is State.RUNNING


@pytest.mark.parametrize("closed", [Contract(Rates(limit=0)), Contract(bandwidth=Rates(limit=0))])
def test_a_limit_of_nothing_on_either_resource_closes(closed):
    qos = scheduler({("a",): closed})
    with pytest.raises(SlowDown):
        qos.admit(qos.node(("a",)), 1, 0, 0.0)


def test_reservations_beyond_the_capacity_starve_nobody():
    contracts = {("a",): ops(5_000), ("b",): ops(1e12), ("c",): ops()}
    sources = [Source(path, 32, empty) for path in contracts]
    simulated(contracts, sources, 20.0)
    assert [per_s(source, 1.0, 20.0) > 25 for source in sources] == [True, True, True]


def test_a_reservation_that_could_not_be_met_is_not_repaid_for_ever():
    contracts = {("a",): ops(5_000), ("b",): ops()}
    a, b = (Source(path, 32, empty) for path in contracts)
    simulation = simulated(contracts, [a, b], 60.0)
    simulation.scheduler.reconfigure(("a",), ops(10), 60.0)
    simulation.run(65.0)
    assert per_s(b, 62.0, 65.0) == pytest.approx(500, rel=0.05)


def test_a_limit_below_the_reservation_holds():
    contracts = {("a",): ops(500, limit=100), ("b",): ops()}
    a, b = (Source(path, 32, empty) for path in contracts)
    simulated(contracts, [a, b], 10.0)
    assert per_s(a, 1.0, 10.0) == pytest.approx(100, rel=0.01)
    assert per_s(b, 1.0, 10.0) == pytest.approx(900, rel=0.01)


def test_a_limit_that_lets_go_is_noticed_when_the_turn_is_the_shares():
    """After 31 by reservation the turn is the shares', but only one that a limit has just let go may run."""
    qos = scheduler({("a",): ops(1e9, limit=305), ("b",): ops(limit=5)}, requests=1)
    qos.complete(qos.admit(qos.node(("b",)), 1, 0, 0.0), 0.0)
    held = qos.admit(qos.node(("b",)), 1, 0, 0.0)
    assert qos.dispatch(0.0) == []
    assert qos.wake_s() == pytest.approx(0.1)
    running = qos.admit(qos.node(("c",)), 1, 0, 0.0)
    for _ in range(40):
        qos.admit(qos.node(("a",)), 1, 0, 0.0)
    for _ in range(31):
        qos.complete(running, 0.0999)
        (running,) = qos.dispatch(0.0999)
        assert running.node.reserved
    qos.complete(running, 0.1005)
    assert qos.dispatch(0.1005) == [held]


def test_a_parents_limit_below_its_childrens_divides_by_their_shares():
    contracts = {
        ("p",): ops(limit=90),
        ("p", "x"): ops(limit=100, share=2),
        ("p", "y"): ops(limit=100),
        ("p", "z"): ops(500, limit=5),
        ("q",): ops(),
    }
    leaves = [("p", "x"), ("p", "y"), ("p", "z"), ("q",)]
    sources = [Source(path, 32, empty) for path in leaves]
    simulated(contracts, sources, 21.0)
    got = [per_s(source, 1.0, 21.0) for source in sources]
    assert got == pytest.approx([85 * 2 / 3, 85 / 3, 5, 910], rel=0.03)


def test_a_parent_runs_again_when_one_of_its_held_children_is_let_go_or_a_new_one_asks():
    contracts = {("p", "slow"): ops(limit=0.001), ("p", "slower"): ops(limit=0.0001)}
    qos = scheduler(contracts, requests=4)
    for name in ("slow", "slower"):
        for _ in range(2):
            qos.admit(qos.node(("p", name)), 1, 0, 0.0)
            assert qos.dispatch(0.0) == []
    qos.complete(qos.admit(qos.node(("p", "new")), 1, 0, 0.0), 0.0)
    assert qos.dispatch(0.0) == []
    assert 800 < qos.wake_s() < 1_001
    qos.reconfigure(("p", "slower"), Contract(), 0.0)
    assert [ticket.node.name for ticket in qos.dispatch(0.0)] == ["slower"]
    assert [ticket.node.name for ticket in qos.dispatch(1_001.0)] == ["slow"]


def test_a_new_limit_takes_effect_at_once():
    qos = scheduler({("a",): ops(limit=0.001)}, requests=4)
    node = qos.node(("a",))
    for _ in range(3):
        qos.admit(node, 1, 0, 0.0)
    assert qos.dispatch(0.0) == []
    qos.reconfigure(("a",), ops(limit=1), 0.0)
    assert qos.dispatch(0.9) == []  # the debt of one request stays, at the new rate
    assert len(qos.dispatch(1.01)) == 1
    qos.reconfigure(("a",), ops(limit=0.5), 1.01)
    assert qos.dispatch(2.5) == []
    qos.reconfigure(("a",), Contract(), 2.5)
    assert len(qos.dispatch(2.5)) == 1


def test_a_new_reservation_takes_effect_at_once_and_owes_nothing_for_the_past():
    contracts = {("a",): ops(share=1), ("b",): ops(share=100)}
    a, b = (Source(path, 32, empty) for path in contracts)
    simulation = simulated(contracts, [a, b], 50.0)
    simulation.scheduler.reconfigure(("a",), ops(500, share=1), 50.0)
    simulation.run(51.0)
    assert per_s(a, 50.0, 51.0) == pytest.approx(500, rel=0.02)


def test_contracts_that_change_all_the_time_stop_nothing_and_leave_nothing():
    contracts = {("a",): ops(10, 100), ("a", "x"): ops(1, 1_000), ("b",): ops()}
    sources = [Source(path, 32, empty) for path in (("a", "x"), ("a", "y"), ("b",))]
    simulation = simulated(contracts, sources, 0.0)
    qos = simulation.scheduler
    choices = [ops(10, 100), ops(0, 0.01), ops(1e6, 50, 3), ops(share=0.01), ops(limit=0)]
    for turn in range(2_000):
        qos.reconfigure((("a",), ("a", "x"))[turn % 2], choices[turn // 2 % len(choices)], simulation.now_s)
        simulation.run(simulation.now_s + 0.003)
    assert_sound(qos)
    for path in (("a",), ("a", "x")):
        siblings = qos.node(path).among
        assert max(map(len, (siblings.reserves, siblings.ready, siblings.held))) < 80
    before = len(sources[0].log)
    for path in (("a",), ("a", "x")):
        qos.reconfigure(path, Contract(), simulation.now_s)
    simulation.run(simulation.now_s + 1.0)
    assert len(sources[0].log) - before > 200
    assert per_s(sources[2], 0.0, 6.0) > 450


def test_hints_that_are_no_longer_true_do_not_pile_up():
    """A child that is held for long, and a sibling that has its parent looked at and held again, over and over."""
    contracts = {("p", "long"): ops(limit=1e-6), ("p", "short"): ops(limit=1_000)}
    qos = scheduler(contracts, requests=8)
    for _ in range(2):
        qos.admit(qos.node(("p", "long")), 1, 0, 0.0)
    now_s = 0.0
    for _ in range(3_000):
        now_s += 0.0009
        ticket = qos.admit(qos.node(("p", "short")), 1, 0, now_s)
        for started in qos.dispatch(now_s):
            qos.complete(started, now_s)
        if ticket.state is State.RUNNING:
            qos.complete(ticket, now_s)
    assert len(qos._tree.top.held) < 80
    assert_sound(qos)


def test_reservations_that_come_and_go_do_not_pile_up():
    """Each change from a tiny reservation to a large one leaves a hint far in the future."""
    qos = scheduler(requests=1, **WIDE)
    node = qos.node(("a",))
    tickets = [qos.admit(node, 1, 0, 0.0) for _ in range(1_001)]
    now_s = 0.0
    for turn in range(1_000):
        if turn % 2 == 0:
            qos.reconfigure(("a",), ops((1e-6, 1e6)[turn // 2 % 2]), now_s)
        now_s += 0.01
        qos.complete(tickets[turn], now_s)
        assert qos.dispatch(now_s) == [tickets[turn + 1]]
    assert len(node.among.reserves) < 80
    assert_sound(qos)


def test_a_hint_that_is_no_longer_true_is_dropped_when_it_surfaces():
    qos = scheduler(requests=1, **WIDE)
    node = qos.node(("a",))
    tickets = [qos.admit(node, 1, 0, 0.0) for _ in range(100)]
    for turn in range(20):
        qos.reconfigure(("a",), ops((1.0, 1e6)[turn // 2 % 2]), turn / 100)
        qos.complete(tickets[turn], turn / 100)
        qos.dispatch(turn / 100)
    assert len(node.among.reserves) > 2
    for turn in range(20, 60):
        qos.complete(tickets[turn], 10.0 + turn)
        qos.dispatch(10.0 + turn)
    assert len(node.among.reserves) == 1


def test_a_time_to_look_again_that_is_no_longer_true_is_dropped_when_it_surfaces():
    siblings = Siblings()
    node = Node("a", None, siblings, 1, Terms(Contract(), Budget()))
    node.waiting = 1
    siblings.hold(node, 0.9)
    siblings.hold(node, 0.1)
    assert siblings.pick(0.1, True, True) is node
    siblings.bar(node, 9.9)
    assert siblings.pick(1.0, True, True) is None
    assert [entry[0] for entry in siblings.held] == [9.9]


def test_virtual_time_is_set_back_without_a_trace():
    """Where steps are so large that it happens every few requests, shares still hold."""
    contracts = {("a",): ops(share=0.02), ("b",): ops(share=0.01), ("c",): ops(share=10_000), ("idle",): ops()}
    a, b = (Source((name,), 8, lambda _: 1 << 40) for name in "ab")
    budget = Budget(requests=2, size_bytes=1 << 50, **WIDE)
    simulation = Simulation(contracts, 1e9, budget)
    idle = simulation.scheduler.node(("idle",))
    for source in (a, b):
        simulation.add(source)
    simulation.run(30.0)
    assert simulation.scheduler._tree.top.virtual < 4 * REBASE_AT
    assert served(a, 0.0, 30.0)[0] / served(b, 0.0, 30.0)[0] == pytest.approx(2, rel=0.02)
    late = simulation.add(Source(("c",), 1, empty))
    simulation.run(31.0)
    assert len(late.log) > 20
    assert idle.virtual <= simulation.scheduler._tree.top.virtual
    assert_sound(simulation.scheduler)


def test_a_clock_that_stands_still_stops_only_limits():
    qos = scheduler({("a",): ops(10, limit=100), ("b",): ops(5)}, requests=1)
    running = qos.admit(qos.node(("c",)), 1, 0, 5.0)
    for _ in range(60):
        for name in "abc":
            qos.admit(qos.node((name,)), 1, 0, 5.0)
    qos.complete(running, 5.0)
    started = [ticket.node.name for ticket in drain(qos, 5.0)]
    assert (started.count("b"), started.count("c")) == (60, 60)
    assert started.count("a") == 11  # a burst of 0.1 s, and the one that goes beyond it


def test_after_a_step_back_limited_tenants_go_on_at_their_rate():
    qos = scheduler({("a",): ops(limit=10)}, requests=1_000)
    node = qos.node(("a",))
    now_s, ran = 1e6, 0
    for _ in range(200):
        qos.admit(node, 1, 0, now_s)
    ran = qos.running
    now_s -= 3_600.0
    qos.dispatch(now_s)
    for _ in range(10):
        before_s, now_s = now_s, qos.wake_s()
        assert before_s < now_s < before_s + 0.2
        ran += len(qos.dispatch(now_s))
    assert 10 <= ran <= 12


def test_a_leap_forward_is_worth_one_burst():
    qos = scheduler({("a",): ops(limit=100)}, requests=1_000)
    node = qos.node(("a",))
    for _ in range(200):
        qos.admit(node, 1, 0, 0.0)
    qos.dispatch(0.0)
    assert 9 <= len(qos.dispatch(86_400.0)) <= 12


def test_tenants_that_idle_take_a_kilobyte_at_most_and_are_in_no_heap():
    qos = scheduler({(str(number),): ops(1, 1e6) for number in range(2_000)}, requests=1, **WIDE)
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        first, *_ = [qos.admit(qos.node((str(number),)), 1, 0, 0.0) for number in range(2_000)]
        del _
        assert qos.waiting == 1_999
        qos.complete(first, 0.0)
        drain(qos, 0.0)
        gc.collect()
        assert (tracemalloc.get_traced_memory()[0] - before) / 2_000 < 1_024
    finally:
        tracemalloc.stop()
    top = qos._tree.top
    assert not [entry for entry in top.ready + top.held if entry[2].waiting]
    assert len(top.ready) == 0
