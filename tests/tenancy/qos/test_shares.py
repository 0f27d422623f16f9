"""What tenants get of a saturated node, against the oracle, on the virtual clock."""

from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.tenancy._fairness import simulate
from benchmarks.tenancy._oracle import Claim, allot
from benchmarks.tenancy._simulation import Simulation, Source, served
from isotherm.tenancy.qos import Budget, Contract, Rates
from tests.tenancy.qos.trees import WIDE, excess, ops

UNIT = 4096
BUDGET = Budget(requests=8, op_bytes=UNIT, **WIDE)
COST = 2.0  # units of a request of UNIT bytes


def saturated(contracts, per_s, until_s, sources=None, **more):
    """A node that serves `per_s` requests of UNIT bytes a second, with more asked of each leaf than it can get."""
    simulation = Simulation(contracts, per_s * COST, BUDGET, **more)
    leaves = [path for path in contracts if not any(other[:-1] == path for other in contracts)]
    for path in sources or leaves:
        simulation.add(Source(path, depth=32, sizes=lambda _: UNIT))
    simulation.run(until_s)
    return simulation, {source.path: source for source in simulation.sources}


def rates(sources, start_s, end_s):
    return {path: served(source, start_s, end_s)[0] / (end_s - start_s) for path, source in sources.items()}


def test_the_oracle():
    claims = [Claim(1, reservation=300), Claim(10, limit=100), Claim(2), Claim(1)]
    assert allot(1000, claims) == pytest.approx([300, 100, 400, 200])
    assert allot(1000, [Claim(1, limit=10), Claim(1, 5, 20)]) == pytest.approx([10, 20])


def test_the_shares_of_mclocks_own_kind_of_example():
    contracts = {("a",): ops(300), ("b",): ops(limit=100, share=10), ("c",): ops(share=2), ("d",): ops()}
    _, sources = saturated(contracts, 1_000, 12.0)
    got = rates(sources, 2.0, 12.0)
    for path, right in zip(contracts, (300, 100, 400, 200), strict=True):
        assert got[path] == pytest.approx(right, rel=0.01)


@st.composite
def level(draw, capacity):
    """Contracts of siblings whose reservations fit, as claims."""
    claims, left = [], 0.8 * capacity
    for _ in range(draw(st.integers(2, 4))):
        reservation = min(left, draw(st.sampled_from([0.0, 0.0, 0.1, 0.3])) * capacity)
        left -= reservation
        limit = draw(st.sampled_from([inf, inf, 0.15, 0.5]))
        claims.append(Claim(draw(st.sampled_from([1.0, 2.0, 5.0])), reservation, max(limit * capacity, reservation)))
    if sum(claim.limit for claim in claims) < capacity:
        claims[0] = Claim(claims[0].weight, claims[0].reservation)
    return claims


def contract_of(claim):
    return ops(claim.reservation, None if claim.limit == inf else claim.limit, claim.weight)


@settings(max_examples=12, deadline=None)
@given(data=st.data(), depth=st.integers(1, 3))
def test_shares_follow_the_oracle_at_every_level(data, depth):
    """Some leaf at each level has children, down to `depth` levels; each level divides what its parent gets."""
    contracts, rights = {}, {}

    def grow(path, capacity, levels):
        claims = data.draw(level(capacity))
        for number, (claim, right) in enumerate(zip(claims, allot(capacity, claims), strict=True)):
            child = (*path, str(number))
            contracts[child], rights[child] = contract_of(claim), right
            if levels > 1 and number < 2:
                grow(child, right, levels - 1)

    grow((), 1_000.0, depth)
    _, sources = saturated(contracts, 1_000, 22.0)
    got = rates(sources, 2.0, 22.0)
    for path, right in rights.items():
        below = sum(rate for leaf, rate in got.items() if leaf[: len(path)] == path)
        assert below == pytest.approx(right, rel=0.03, abs=0.3), path


@pytest.mark.parametrize("seed", [11, 12])
def test_with_bursts_mixed_sizes_and_returns_from_idling_every_window_is_near_the_oracle(seed):
    outcome = simulate(seed, window_s=8.0, windows=1)
    errors = sorted(outcome.errors)
    assert sum(errors) / len(errors) <= 0.02
    assert errors[int(len(errors) * 0.99)] <= 0.05
    assert max(outcome.shortfalls) <= 1.0


def test_a_tenant_that_returns_from_idling_has_earned_nothing_and_owes_nothing():
    contracts = {("a",): ops(), ("b",): ops(), ("c",): ops()}
    simulation, sources = saturated(contracts, 300, 5.0)
    sleeper = sources["a",]
    sleeper.active = False
    simulation.run(20.0)
    sleeper.active = True
    simulation.fill(sleeper)
    simulation.run(24.0)
    for path, rate in rates(sources, 20.0, 24.0).items():
        assert rate == pytest.approx(100, rel=0.03), path


def test_what_was_served_by_reservation_is_a_part_of_the_share_and_not_on_top_of_it():
    contracts = {("a",): ops(200), ("b",): ops()}
    _, sources = saturated(contracts, 1_000, 10.0)
    assert rates(sources, 1.0, 10.0)["a",] == pytest.approx(500, rel=0.01)


def test_a_reservation_that_was_needed_for_long_is_not_held_against_its_tenant_later():
    """Alone with its equal after a tight time, it gets its half soon, not when the other has caught up."""
    names = [(str(number),) for number in range(9)]
    contracts = {("a",): ops(900), **dict.fromkeys(names, ops())}
    simulation, sources = saturated(contracts, 1_000, 60.0)
    for name in names[1:]:
        sources[name].active = False
    simulation.scheduler.reconfigure(("a",), ops(), simulation.now_s)
    simulation.run(65.0)
    assert rates(sources, 61.0, 65.0)["a",] == pytest.approx(500, rel=0.05)


def test_a_tenant_that_was_held_by_its_limit_does_not_take_everything_when_it_is_lifted():
    contracts = {("a",): ops(limit=10, share=1), ("b",): ops(share=1)}
    simulation, sources = saturated(contracts, 1_000, 60.0)
    simulation.scheduler.reconfigure(("a",), ops(share=1), 60.0)
    simulation.run(62.0)
    assert rates(sources, 60.2, 62.0)["a",] == pytest.approx(500, rel=0.05)


@pytest.mark.parametrize("sizes", [(4096, 262_144), (1, 1 << 20)])
def test_equal_shares_are_equal_in_cost_not_in_requests(sizes):
    simulation = Simulation({}, 1_000, Budget(requests=8, **WIDE))
    small, large = (simulation.add(Source((str(size),), 32, lambda _, size=size: size)) for size in sizes)
    simulation.run(40.0)
    assert served(small, 2.0, 40.0)[1] == pytest.approx(served(large, 2.0, 40.0)[1], rel=0.03)


def test_shares_of_operations_and_of_bytes_may_differ():
    contracts = {("a",): Contract(Rates(share=1), Rates(share=4)), ("b",): Contract(Rates(share=1), Rates(share=1))}
    _, sources = saturated(contracts, 1_000, 20.0)  # a request costs one unit of each: 1 + 1/4 against 1 + 1
    got = rates(sources, 2.0, 20.0)
    assert got["a",] / got["b",] == pytest.approx(2 / 1.25, rel=0.02)


def test_a_transfer_that_flows_pays_for_all_it_moves():
    simulation = Simulation({}, 1_000, Budget(requests=8, **WIDE))
    simulation.add(Source(("small",), 32, lambda _: 4096))
    simulation.add(Source(("flows",), 4, lambda _: 256 << 10, pieces=500))
    simulation.run(30.0)
    small, flows = (served(source, 2.0, 30.0)[1] for source in simulation.sources)
    assert small == pytest.approx(flows, rel=0.03)


def test_reserved_bandwidth_and_reserved_operations_hold_both():
    reserved = Contract(Rates(100), Rates(100 * UNIT))
    contracts = {("a",): reserved, **{(str(number),): ops(share=100) for number in range(3)}}
    _, sources = saturated(contracts, 1_000, 20.0)
    assert rates(sources, 1.0, 20.0)["a",] >= 99.9


@pytest.mark.parametrize(
    ("contract", "most"),
    [
        (Contract(bandwidth=Rates(50 * 65_536)), 52),  # bytes reserved: a request without any counts as 64 KiB
        (Contract(Rates(50), Rates(1e6)), 52),
    ],
)
def test_a_reservation_of_one_resource_is_no_way_around_the_other(contract, most):
    """Requests that move nothing do not run on a reservation of bytes without end."""
    simulation = Simulation({("a",): contract, ("b",): ops(share=1_000)}, 1_000, Budget(requests=8, **WIDE))
    for path in (("a",), ("b",)):
        simulation.add(Source(path, 32, lambda _: 0))
    simulation.run(10.0)
    assert served(simulation.sources[0], 0.0, 10.0)[0] / 10 <= most


def test_pieces_of_a_transfer_do_not_run_on_a_reservation_of_operations_without_end():
    simulation = Simulation({("a",): ops(50, share=1), ("b",): ops(share=1_000)}, 2_000, Budget(requests=8, **WIDE))
    simulation.add(Source(("a",), 4, lambda _: 65_536, pieces=10**6))
    simulation.add(Source(("b",), 32, lambda _: 65_536))
    simulation.run(10.0)
    assert served(simulation.sources[0], 0.0, 10.0)[0] / 10 <= 55


@settings(max_examples=25, deadline=None)
@given(
    limits=st.lists(st.sampled_from([None, 5.0, 50.0, 300.0]), min_size=3, max_size=3),
    bandwidth=st.sampled_from([None, 1e5, 1e6]),
    budget=st.integers(1, 64),
    seed=st.integers(0, 100),
)
def test_no_window_exceeds_a_limit_by_more_than_a_burst_and_a_request(limits, bandwidth, budget, seed):
    contracts = {
        ("a",): Contract(Rates(limit=limits[0]), Rates(limit=bandwidth)),
        ("a", "x"): ops(limit=limits[1]),
        ("b",): ops(limit=limits[2]),
    }
    simulation = Simulation(contracts, 800, Budget(requests=budget, **WIDE), seed=seed)
    sizes = (1, 4096, 65_536)
    for path in (("a", "x"), ("a", "y"), ("b",)):
        simulation.add(Source(path, 16, lambda random: random.choice(sizes)))
        simulation.add(Source(path, 0, lambda random: random.choice(sizes), burst=20, every_s=1.0))
    simulation.run(5.0)
    for path, contract in contracts.items():
        log = sorted(entry for source in simulation.sources if source.path[: len(path)] == path for entry in source.log)
        if contract.iops.limit:
            assert excess([(when_s, 1) for when_s, _ in log], contract.iops.limit, 0.1) <= 1.001
        if contract.bandwidth.limit:
            moved = [(when_s, (units - 1) * simulation.budget.op_bytes) for when_s, units in log]
            assert excess(moved, contract.bandwidth.limit, 0.1) <= 65_537


def test_alone_a_tenant_runs_up_to_its_limit_and_without_one_up_to_the_device():
    for limit, right in ((None, 1_000), (400, 400)):
        _, sources = saturated({("a",): ops(limit=limit, share=0.01)}, 1_000, 10.0)
        assert rates(sources, 1.0, 10.0)["a",] == pytest.approx(right, rel=0.01)


def test_nobody_starves_however_small_its_share():
    contracts = {("tiny",): ops(share=0.01), ("huge",): ops(900, share=10_000)}
    _, sources = saturated(contracts, 1_000, 5_010.0 / 25)
    tiny = sources["tiny",]
    assert len(tiny.log) >= 1
    contracts = {("tiny",): ops(share=1), ("huge",): ops(900, share=100)}
    _, sources = saturated(contracts, 1_000, 20.0)
    assert rates(sources, 2.0, 20.0)["tiny",] == pytest.approx(1_000 / 101, rel=0.1)
