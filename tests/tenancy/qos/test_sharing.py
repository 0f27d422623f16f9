"""Two gateways of a node, one scheduler each, which share through slots that each writes alone; one of them dies."""

import pytest

from benchmarks.tenancy._simulation import Simulation, Source, served
from isotherm.errors import SlowDown
from isotherm.tenancy.qos import Budget, Contract, Rates
from isotherm.tenancy.qos.sharing import HEAD_CELLS, ROW_CELLS, Peers
from tests.tenancy.qos.trees import WIDE, assert_sound, ops, scheduler

UNIT = 4096
ROWS = 64


class Board:
    """What the gateways of a node share: slots of cells, and who lives."""

    def __init__(self, count):
        self.cells = [[0] * (HEAD_CELLS + ROWS * ROW_CELLS) for _ in range(count)]
        self.living = set(range(count))
        self.rows = {}

    def of(self, slot):
        return View(self, slot)


class View:
    def __init__(self, board, own):
        self.board, self.own, self.count = board, own, len(board.cells)

    def alive(self, slot):
        return slot in self.board.living

    def get(self, slot, cell):
        return self.board.cells[slot][cell]

    def put(self, cell, value):
        assert value >= 0
        self.board.cells[self.own][cell] = value

    def row(self, path):
        return None if path[0].startswith("local") else self.board.rows.setdefault(path, len(self.board.rows))


def node_of_two(contracts, on_first, on_second, *, per_s=500, requests=8):
    """Two gateways before a device each of `per_s` requests of UNIT bytes a second."""
    board = Board(2)
    budget = Budget(requests=requests, op_bytes=UNIT, **WIDE)
    gateways = []
    for slot, paths in enumerate((on_first, on_second)):
        gateway = Simulation(contracts, 2.0 * per_s, budget, seed=slot, slots=board.of(slot))
        for path in paths:
            gateway.add(Source(path, 32, lambda _: UNIT))
        gateways.append(gateway)
    return board, gateways


def together(gateways, until_s, step_s=0.002):
    now_s = gateways[0].now_s
    while now_s < until_s:
        now_s += step_s
        for gateway in gateways:
            gateway.run(now_s)


def rate(gateways, path, start_s, end_s):
    sources = [source for gateway in gateways for source in gateway.sources if source.path == path]
    return sum(served(source, start_s, end_s)[0] for source in sources) / (end_s - start_s)


def test_a_limit_holds_for_both_together():
    contracts = {("a",): ops(limit=100), ("b",): Contract(bandwidth=Rates(limit=50 * UNIT))}
    paths = [("a",), ("b",)]
    _, gateways = node_of_two(contracts, paths, paths)
    together(gateways, 12.0)
    assert rate(gateways, ("a",), 2.0, 12.0) == pytest.approx(100, rel=0.03)
    assert rate(gateways, ("b",), 2.0, 12.0) == pytest.approx(50, rel=0.05)


def test_a_limit_holds_for_sub_tenants_on_different_gateways():
    _, gateways = node_of_two({("a",): ops(limit=100)}, [("a", "x")], [("a", "y")])
    together(gateways, 12.0)
    both = rate(gateways, ("a", "x"), 2.0, 12.0) + rate(gateways, ("a", "y"), 2.0, 12.0)
    assert both == pytest.approx(100, rel=0.03)


def test_without_sharing_each_would_give_the_whole_limit():
    _, gateways = node_of_two({("local",): ops(limit=100)}, [("local",)], [("local",)])
    together(gateways, 7.0)
    assert rate(gateways, ("local",), 2.0, 7.0) == pytest.approx(200, rel=0.02)


def test_a_share_counts_what_the_other_gateway_served():
    _, gateways = node_of_two({}, [("a",), ("b",)], [("a",), ("c",)])
    together(gateways, 12.0)
    for name in "abc":
        assert rate(gateways, (name,), 2.0, 12.0) == pytest.approx(1_000 / 3, rel=0.05), name


def test_a_reservation_is_given_once():
    others = [(str(number),) for number in range(9)]
    contracts = {("a",): ops(200, share=0.01)} | dict.fromkeys(others, ops(share=100))
    _, gateways = node_of_two(contracts, [("a",), *others], [("a",), *others])
    together(gateways, 12.0)
    assert rate(gateways, ("a",), 2.0, 12.0) == pytest.approx(200, rel=0.05)


def test_a_tenant_that_is_busy_elsewhere_does_not_starve_here():
    """Nearly all that it gets, it gets from the other gateway, which is far faster: a little remains here."""
    _, gateways = node_of_two({}, [("a",), ("b",)], [("a",)], per_s=300)
    gateways[1].units_per_s = 8_000.0
    gateways[1].add(Source(("c",), 32, lambda _: UNIT))
    together(gateways, 8.0)
    here = next(source for source in gateways[0].sources if source.path == ("a",))
    assert served(here, 2.0, 8.0)[0] >= 3


def test_one_that_is_alone_has_the_whole_budget_and_gives_half_back_when_the_other_wakes():
    _, gateways = node_of_two({}, [("a",)], [], requests=8)
    together(gateways, 1.0)
    first, second = (gateway.scheduler for gateway in gateways)
    assert (first.running, second.running) == (8, 0)
    gateways[1].add(Source(("b",), 32, lambda _: UNIT))
    together(gateways, 1.5)
    assert first.running + second.running <= 9
    assert min(first.running, second.running) >= 3


def test_the_part_of_a_dead_gateway_returns():
    board, gateways = node_of_two({}, [("a",)], [("b",)], requests=8)
    together(gateways, 1.0)
    assert gateways[1].scheduler.running >= 3
    board.living.discard(1)  # with requests in flight
    together(gateways[:1], 1.5)
    assert gateways[0].scheduler.running == 8


def test_a_death_charges_nobody_and_a_successor_counts_on():
    contracts = {("a",): ops(limit=100)}
    board, gateways = node_of_two(contracts, [("a",)], [("a",)])
    together(gateways, 5.0)
    board.living.discard(1)
    together(gateways[:1], 10.0)
    assert rate(gateways[:1], ("a",), 6.0, 10.0) == pytest.approx(100, rel=0.03)
    before = list(board.cells[1])
    successor = Simulation(contracts, 1_000, Budget(requests=8, op_bytes=UNIT, **WIDE), slots=board.of(1))
    board.living.add(1)
    successor.now_s = 10.0
    successor.add(Source(("a",), 32, lambda _: UNIT))
    assert all(now >= was for now, was in zip(board.cells[1][HEAD_CELLS:], before[HEAD_CELLS:], strict=True))
    together([gateways[0], successor], 20.0)
    assert rate([gateways[0], successor], ("a",), 11.0, 20.0) == pytest.approx(100, rel=0.03)
    for gateway in (gateways[0], successor):
        assert_sound(gateway.scheduler)


def test_what_a_dead_predecessor_had_in_flight_is_not_in_flight_any_more():
    board = Board(2)
    first = Peers(board.of(0))
    dead = Peers(board.of(1))
    dead.started(5, 500)
    assert first.allowance(8, 1_000) == (4, 500)  # its equal part, though less is left
    dead.started(0, 0)
    Peers(board.of(1))
    assert first.allowance(8, 1_000) == (8, 1_000)


def test_what_another_gateway_serves_opens_no_tenant_that_was_closed_here():
    board = Board(2)
    here, there = (scheduler({("a",): ops(limit=1_000)}, board.of(slot), requests=2) for slot in (0, 1))
    running = [here.admit(here.node(("a",)), 1, 0, 0.0) for _ in range(3)]
    here.reconfigure(("a",), ops(limit=0), 0.0)
    there.complete(there.admit(there.node(("a",)), 1, 0, 0.0), 0.0)  # which has not heard of it yet
    with pytest.raises(SlowDown):
        here.admit(here.node(("a",)), 1, 0, 0.0)
    here.complete(running[0], 0.0)
    assert here.dispatch(0.0) == []


def test_each_writes_its_own_slot_alone():
    board = Board(3)
    schedulers = [scheduler({("a",): ops(5, 10)}, board.of(slot), requests=2) for slot in (0, 2)]
    for qos in schedulers:
        node = qos.node(("a", "b"))
        tickets = [qos.admit(node, 1, UNIT, 0.0) for _ in range(3)]
        qos.complete(tickets[0], 0.5)
        qos.dispatch(0.5)
    assert not any(board.cells[1])
    assert any(board.cells[0][HEAD_CELLS:])
    assert any(board.cells[2][HEAD_CELLS:])


def test_the_whole_node_shrinks_for_an_objective_that_one_gateway_sees_missed():
    contracts = {("victim",): ops(100, p99_s=0.02), ("background",): ops(share=0.1, background=True)}
    board, gateways = node_of_two(contracts, [("victim",), ("flood",)], [("background",)], requests=64)
    together(gateways, 6.0)
    assert gateways[0].scheduler.factor < 0.5
    assert gateways[1].scheduler.factor == 1.0  # its own tenants miss nothing
    assert gateways[1].scheduler.running <= 16
    board.living.discard(0)
    together(gateways[1:], 7.0)
    assert gateways[1].scheduler.running == 32
