"""Gateways of one node share what was promised, through a ledger; one that dies gives back its share."""

import asyncio
import os

import pytest

from isotherm.clock import VirtualClock
from isotherm.devices.ledger import ROWS_MOST, Ledger, create_ledger
from isotherm.devices.waiting import drive
from isotherm.errors import Denied, SlowDown, Unavailable
from isotherm.tenancy.gate import Gate
from isotherm.tenancy.passage import COUNTED, Free
from isotherm.tenancy.qos import Budget, Contract, Rates
from isotherm.tenancy.roles import OWNER
from isotherm.tenancy.tree import TenantState
from tests.s3.wire.harness import Promises


@pytest.fixture
def memory():
    descriptor = create_ledger(2)
    yield descriptor
    os.close(descriptor)


class Node:
    """Two gateways that share a ledger, on one clock."""

    def __init__(self, memory, budget=None, **contracts):
        self.memory = memory
        self.budget = budget or Budget()
        self.clock = VirtualClock()
        self.promises = Promises(**contracts)
        self.living = {0, 1}
        self.gates = [self.gateway(own) for own in (0, 1)]

    def gateway(self, own):
        ledger = self.ledger(own)
        return Gate(
            self.budget,
            self.promises,
            self.clock,
            ledger,
            counters=lambda tenant: ledger.counted(own, ledger.row_of(tenant)),
        )

    def ledger(self, own=0):
        return Ledger(self.memory, 2, own, self.living.__contains__)


def run(coroutine):
    with asyncio.Runner() as runner:
        return runner.run(coroutine)


def running(passages):
    return sum(passage.running for passage in passages)


def test_a_limit_holds_over_all_gateways_together(memory):
    async def story():
        node = Node(memory, t7=Contract(Rates(limit=100)))
        passages = []
        for step in range(200):
            gate = node.gates[step % 2]
            passages.append(gate.admit(7, 0, reads=False))
            for passage in passages:
                if passage.running:
                    passage.end()
            for each in node.gates:
                each.pump()
            done = sum(not passage.waiting for passage in passages)
            assert done <= 100 * 0.005 * step + 10 + 4, "a burst of a tenth of a second, and about a request a gateway"
            node.clock.advance(0.005)
        assert done >= 95
        for passage in passages:
            passage.end()

    run(story())


def test_what_a_dead_gateway_had_under_way_is_the_others_again(memory):
    async def story():
        node = Node(memory, Budget(requests=10), t7=Contract(), t8=Contract())
        first, second = node.gates
        lost = [first.admit(7, 0, reads=False) for _ in range(10)]
        assert running(lost) == 10
        kept = [second.admit(8, 0, reads=False) for _ in range(10)]
        assert running(kept) == 5, "its equal part, which it always has"
        node.living.remove(0)
        for _ in range(5):
            await asyncio.sleep(0)
            second.pump()
        assert running(kept) == 10
        node.living.add(0)
        node.gateway(0)
        assert node.ledger().get(0, 0) == node.ledger().get(0, 1), "its successor has nothing under way"
        for passage in kept:
            passage.end()
        assert (second.scheduler.running, second.scheduler.waiting) == (0, 0)

    run(story())


def test_gateways_agree_on_rows_and_those_that_come_when_all_are_taken_have_none(memory):
    one, other = Ledger(memory, 2, 0, bool), Ledger(memory, 2, 1, bool)
    tenants = list(range(2, ROWS_MOST + 4))
    rows = [(one if tenant % 3 else other).row_of(tenant) for tenant in tenants]
    assert rows == [*range(ROWS_MOST), None, None]
    assert [other.row((str(tenant),)) for tenant in tenants] == rows
    assert other.row(("2", "")) is None
    assert one.tenants() == tenants[:ROWS_MOST]
    for own, ledger in enumerate((one, other)):
        ledger.counted(own, ROWS_MOST - 1)[3] = 7
        ledger.counted(own, None)[3] = 8
    assert [one.counted(slot, row)[3] for slot in (0, 1) for row in (ROWS_MOST - 1, None)] == [7, 8, 7, 8]
    assert one.get(1, 0) == 0


def test_each_tenants_requests_are_counted(memory):
    async def story():
        node = Node(memory, Budget(requests=10), t7=Contract(Rates(limit=1)), t8=Contract(Rates(limit=0)))
        gate = node.gates[1]
        passages = [gate.admit(7, 100, reads=False) for _ in range(4)]
        with pytest.raises(SlowDown):
            gate.admit(8, 0, reads=False)
        counts = {
            tenant: dict(zip(COUNTED, node.ledger().counted(1, node.ledger().row_of(tenant)), strict=True))
            for tenant in (7, 8)
        }
        assert counts[7]["waited"] == 4 - running(passages)
        assert counts[8] == {"admitted": 0, "waited": 0, "refused": 1, "bytes": 0}
        for passage in passages:
            passage.end()

    run(story())


def test_contracts_are_those_of_the_tree_and_are_read_again(forest):
    forest.make("a", iops_limit=1)
    forest.make("a/b", iops_reservation=1, latency_p99_ms=5.0)

    standings = forest.credentials.standings
    parent, child = (forest.show(path).node.id for path in ("a", "a/b"))
    drive(standings.of(child))
    line = standings.lines[child]
    assert [name for name, _ in line] == [str(parent), str(child)]
    assert line[0][1] == Contract(Rates(1.0, 1.0, 1.0), Rates(share=1.0))
    assert line[1][1] == Contract(Rates(1.0, None, 1.0), Rates(share=1.0), p99_s=0.005)
    drive(standings.of(child))
    assert standings.lines[child] is line
    drive(forest.tenants.update(OWNER, "a", {"iops_limit": 1_000}))
    forest.clock.advance(0.3)

    async def story():
        gate = Gate(Budget(), standings, forest.clock)
        held = [gate.admit(child, 0, reads=False) for _ in range(5)]
        assert running(held) < 3
        await gate.refresh()
        forest.clock.advance(0.01)
        gate.pump()
        assert running(held) == 5
        for passage in held:
            passage.end()

    run(story())


def test_a_tenant_that_is_alone_asks_by_the_batch_and_its_limit_holds_all_the_same(memory):
    async def story():
        node = Node(memory, t7=Contract(Rates(limit=1_000)), t8=Contract())
        gate = node.gates[0]
        let_in, freely, waiting = 0, 0, []
        for step in range(200):
            while not waiting:
                passage = gate.admit(7, 0, reads=True, short=True)
                if not passage.running:
                    waiting.append(passage)
                    break
                let_in += 1
                freely += isinstance(passage, Free)
                passage.end()
            gate.pump()
            for passage in [passage for passage in waiting if passage.running]:
                let_in += 1
                passage.end()
                waiting.remove(passage)
            assert let_in <= 1_000 * 0.005 * step + 100 + 20, "a burst, and a batch or two"
            node.clock.advance(0.005)
        assert let_in >= 900
        assert freely > let_in / 2
        gate.admit(8, 0, reads=True, short=True).end()
        assert not isinstance(gate.admit(7, 0, reads=True, short=True), Free), "it is not alone any more"
        for passage in waiting:
            passage.end()

    run(story())


def test_of_many_tenants_each_begins_one_request_a_turn_and_none_of_them_waits():
    async def scenario():
        gate = Gate(Budget(requests=1_000), Promises(), VirtualClock(), start_most=4)

        async def turn(asking):
            passages = [gate.admit(tenant, 0, reads=False) for tenant in asking]
            began = running(passages)
            for passage in passages:
                passage.end()
            await asyncio.sleep(0)
            return began

        each = range(2, 34)
        for _ in range(2):  # how many there are is known from the turn before
            await turn(each)
        assert await turn(each) == 32
        flood = [2] * 64
        assert await turn([*flood, 3]) == 32
        assert await turn([*flood, 3]) == 4

    run(scenario())


class Told:
    """Standings whose answers a test gives, and which fail when it says so."""

    def __init__(self):
        self.lines, self.state, self.failing = {}, TenantState.ACTIVE, False
        self.generation = self
        self.number = 0

    async def renew(self):
        return self.number

    async def of(self, tenant):
        if self.failing:
            raise Unavailable("the store does not answer")
        return self.state, 0.0

    def change(self, state):
        self.state = state
        self.number += 1


@pytest.mark.parametrize("hindered", [False, True])
def test_whoever_waits_while_its_tenant_is_suspended_is_told_so_whenever_it_began_to_wait(hindered):
    """Also where the rows could not be read when the counter moved, and for those let in by an answer of before."""

    async def scenario():
        told = Told()
        gate = Gate(Budget(requests=1), told, VirtualClock())
        running = gate.admit(2, 0, reads=False)
        early = asyncio.ensure_future(gate.admit(2, 0, reads=False).wait())
        await asyncio.sleep(0)
        told.change(TenantState.SUSPENDED)
        if hindered:
            told.failing = True
            await gate.refresh()
            told.failing = False
        await gate.refresh()
        late = asyncio.ensure_future(gate.admit(2, 0, reads=False).wait())
        await asyncio.sleep(0)
        await gate.refresh()
        for waiter in (early, late):
            with pytest.raises(Denied, match="suspended"):
                await waiter
        running.end()

    run(scenario())
