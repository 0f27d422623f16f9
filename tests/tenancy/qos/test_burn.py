"""Latency objectives: how a burn is reckoned, and that others shrink for it, on the virtual clock."""

import pytest

from benchmarks.tenancy._simulation import Simulation, Source, served
from isotherm.tenancy.qos import Budget, Contract, Rates
from isotherm.tenancy.qos.burn import LEAST, Burn, Pace
from tests.tenancy.qos.trees import WIDE, ops, scheduler


def counted(slow, fast, now_s=0.0):
    burn = Burn(0.010)
    for number in range(slow + fast):
        burn.add(0.011 if number < slow else 0.010, now_s)
    return burn


@pytest.mark.parametrize(
    ("slow", "fast", "rate"), [(0, 500, 0), (1, 0, 1), (1, 99, 1), (10, 990, 1), (20, 980, 2), (5, 5, 5)]
)
def test_a_burn_is_slow_requests_over_those_that_are_forgiven(slow, fast, rate):
    assert counted(slow, fast).rate(0.0) == pytest.approx(rate)


def test_what_is_older_than_two_slices_is_forgotten():
    burn = counted(5, 0, 0.5)
    assert burn.rate(1.9) == 5
    assert burn.rate(2.1) == 0
    burn = counted(5, 0, 0.5)
    assert burn.rate(50.0) == 0


def test_the_pace_falls_while_something_burns_and_returns_when_nothing_does():
    pace, now_s = Pace(), 0.0
    while pace.factor > LEAST:
        burn = counted(5, 0, now_s)
        pace.note(burn, now_s)
        before = pace.factor
        pace.step(now_s)
        assert pace.factor < before
        assert burn.rate(now_s) == 0  # reckoned anew under the new pace
        now_s = pace.next_s
    pace.note(counted(5, 0, now_s), now_s)
    pace.step(now_s)
    assert pace.factor == LEAST
    pace.step(pace.next_s)
    assert LEAST < pace.factor < 2 * LEAST
    pace.step(now_s + 60.0)  # nobody asked for a minute
    assert (pace.factor, pace.next_s) == (1.0, float("inf"))


def test_the_pace_stays_where_latencies_are_near_to_the_objective():
    pace = Pace()
    pace.note(counted(5, 0), 0.0)
    pace.step(0.0)
    fallen, now_s = pace.factor, pace.next_s
    near = Burn(0.010)
    for _ in range(5):
        near.add(0.009, now_s)
    pace.note(near, now_s)
    pace.step(now_s)
    assert pace.factor == fallen
    pace.step(pace.next_s)
    assert pace.factor > fallen


def test_however_much_burns_the_pace_falls_once_in_a_period():
    pace = Pace()
    pace.note(counted(5, 0), 0.0)
    pace.step(0.0)
    pace.note(counted(5, 0, 0.1), 0.1)
    assert pace.next_s == 0.5


def test_what_burned_but_does_so_no_longer_shrinks_nobody():
    pace = Pace()
    pace.note(counted(5, 0, 0.0), 0.0)
    pace.step(10.0)
    assert pace.factor == 1.0


VICTIM = ("victim",)
UNITS_PER_S = 1_000.0
BUDGET = Budget(requests=64, **WIDE)


def beside(other, contract, *, objective_s=0.08):
    """A tenant with an objective and, for 30 s of 60, another that floods the device with 256 KiB requests."""
    contracts = {VICTIM: ops(100, p99_s=objective_s), other: contract}
    simulation = Simulation(contracts, UNITS_PER_S, BUDGET, seed=5)
    victim = simulation.add(Source(VICTIM, 0, lambda _: 4096, burst=1, every_s=0.02))
    flood = simulation.add(Source(other, 256, lambda _: 256 << 10))
    return simulation, victim, flood


def late_p99_s(source, most=400):
    recent = sorted(source.latencies_s[-most:])
    return recent[int(len(recent) * 0.99)]


def test_background_work_shrinks_until_the_objective_is_met_and_returns_afterwards():
    simulation, victim, flood = beside(("background",), ops(share=0.05, background=True))
    simulation.run(0.1)
    assert simulation.scheduler.running == 64  # idle capacity is background's too
    simulation.run(30.0)
    assert max(victim.latencies_s[:100]) > 0.2
    assert late_p99_s(victim) <= 0.08
    assert simulation.scheduler.factor < 0.6
    assert simulation.scheduler.running < 32
    assert served(flood, 25.0, 30.0)[0] / 5 > 150  # fewer under way keep the device as busy
    victim.active = False
    simulation.run(60.0)
    assert simulation.scheduler.factor == 1.0
    assert simulation.scheduler.running == 64


def test_without_an_objective_nothing_shrinks():
    simulation, victim, _ = beside(("background",), ops(share=0.05, background=True), objective_s=None)
    simulation.run(30.0)
    assert simulation.scheduler.factor == 1.0
    assert late_p99_s(victim) > 0.2


def test_a_neighbour_shrinks_to_what_it_was_promised():
    contract = ops(50, share=5)
    simulation, victim, flood = beside(("neighbour",), contract)
    simulation.run(30.0)
    assert late_p99_s(victim) <= 0.09  # with the few that came faster than was promised
    assert simulation.scheduler.running < 40
    assert served(flood, 20.0, 30.0)[0] / 10 >= 49.9


def test_background_shrinks_before_a_neighbour_does():
    simulation, _, flood = beside(("background",), ops(share=1, background=True))
    neighbour = simulation.add(Source(("neighbour",), 256, lambda _: 256 << 10))
    simulation.run(30.0)
    assert simulation.scheduler.factor < 0.8
    assert served(flood, 20.0, 30.0)[0] < 0.5 * served(neighbour, 20.0, 30.0)[0]


def test_who_asks_for_more_than_was_promised_burns_nothing():
    """Its own queue is long because it asks too much: others must not pay for that."""
    contracts = {VICTIM: ops(10, p99_s=0.05), ("other",): Contract()}
    simulation = Simulation(contracts, UNITS_PER_S, Budget(requests=4, **WIDE))
    simulation.add(Source(VICTIM, 500, lambda _: 4096))
    simulation.add(Source(("other",), 16, lambda _: 4096))
    simulation.run(10.0)
    assert simulation.scheduler.factor == 1.0


@pytest.mark.parametrize("beside_it", [0, 16])
def test_a_transfer_counts_piece_by_piece(beside_it):
    contracts = {VICTIM: ops(20, p99_s=0.5)}
    simulation = Simulation(contracts, UNITS_PER_S, Budget(requests=4, **WIDE))
    transfers = simulation.add(Source(VICTIM, 2, lambda _: 1 << 20, pieces=100))
    simulation.add(Source(("other",), beside_it, lambda _: 65_536))
    simulation.run(20.0)
    assert max(transfers.latencies_s) > 3.0
    assert simulation.scheduler.factor == 1.0


def test_a_piece_is_late_by_its_own_wait_alone():
    qos = scheduler({VICTIM: ops(10, p99_s=0.5)}, requests=1)
    victim = qos.node(VICTIM)
    qos.complete(qos.admit(victim, 1, 10, 0.0), 0.0)
    transfer = qos.admit(victim, 1, 10, 0.05)  # more than was promised: its first piece counts for nothing
    request = qos.admit(victim, 1, 10, 1.0)
    assert not qos.charge(transfer, 10, 5.0)
    for ticket, start_s, end_s in ((request, 5.0, 5.1), (transfer, 5.1, 5.3)):
        assert qos.dispatch(start_s) == [ticket]
        qos.complete(ticket, end_s)
        assert victim.burn.rate(end_s) == 1  # the request, which waited for four seconds, and not the piece


def test_while_shares_must_wait_a_reservation_is_woken_for_when_it_is_due():
    qos = scheduler({VICTIM: ops(1_000, p99_s=0.01), ("other",): ops(10)}, requests=4)
    now_s = 0.0
    while qos.factor > LEAST:
        for _ in range(3):
            qos.complete(qos.admit(qos.node(VICTIM), 1, 0, now_s), now_s + 0.1)
            now_s += 0.2
    qos.admit(qos.node(("long",)), 1, 0, now_s)
    first, second = (qos.admit(qos.node(("other",)), 1, 0, now_s) for _ in range(2))
    assert qos.dispatch(now_s) == [first]
    assert qos.wake_s() == pytest.approx(now_s + 0.1)
    assert qos.dispatch(qos.wake_s()) == [second]


def test_an_objective_may_be_given_and_taken_while_requests_are_under_way():
    simulation, _, _ = beside(("background",), ops(background=True), objective_s=None)
    simulation.run(5.0)
    simulation.scheduler.reconfigure(VICTIM, Contract(Rates(100), p99_s=0.08), 5.0)
    simulation.run(15.0)
    assert simulation.scheduler.factor < 1.0
    simulation.scheduler.reconfigure(VICTIM, ops(100), 15.0)
    simulation.run(60.0)
    assert simulation.scheduler.factor == 1.0
