"""What tenants were promised, as their clients see it over connections: counted, on a clock that moves when told."""

import asyncio

import pytest

from isotherm.clock import VirtualClock
from isotherm.protocols.s3.wire import Ranged, Reply
from isotherm.tenancy.gate import FORGOTTEN_AFTER_S, WAIT_MOST_S, Gate
from isotherm.tenancy.identity import Credential
from isotherm.tenancy.qos import Budget, Contract, Rates
from isotherm.tenancy.roles import ROOT_TENANT
from isotherm.tenancy.tree import TenantState
from tests.s3.wire.harness import ACCESS, OTHER, OTHER_ACCESS, SECRET, TENANT, Promises, Wire, answers, run, sign
from tests.s3.wire.readings import FileReading

GET = sign("GET", "/b/k")
OTHERS = sign("GET", "/b/other", access=OTHER_ACCESS)
FREE = Contract()


class Site(Wire):
    """A server behind a gate, which counts what reaches its verbs."""

    def __init__(self, budget=None, start_most=4, **contracts):
        self.served = []
        self.promises = Promises(**contracts)
        clock = VirtualClock()
        gate = Gate(budget or Budget(), self.promises, clock, start_most=start_most)
        super().__init__(self.serve, clock=clock, gate=gate)

    async def serve(self, request):
        self.served.append(request.key)
        return Reply()

    async def ask(self, *requests):
        """One connection for each."""
        clients = [await self.connect() for _ in requests]
        for (_, writer), request in zip(clients, requests, strict=True):
            writer.write(request)
        await turns()
        return clients

    async def later(self, seconds):
        self.clock.advance(seconds)
        await self.gate.refresh()
        await turns()

    async def leave(self, clients):
        for _, writer in clients:
            writer.transport.abort()
        await turns()
        self.roster.sweep(100.0)  # who stopped sending may still read, for a while
        await turns()
        scheduler = self.gate.scheduler
        assert (scheduler.running, scheduler.running_bytes, scheduler.waiting) == (0, 0, 0)
        assert not any(lane.open for lane in self.gate.lanes())


async def turns(count=60):
    for _ in range(count):
        await asyncio.sleep(0)


async def told(client):
    client[1].write_eof()
    [answer] = answers(await client[0].read())
    return answer


def limited(iops=None, bytes_s=None):
    return Contract(Rates(limit=iops), Rates(limit=bytes_s))


def test_a_limit_is_never_exceeded_and_all_of_it_can_be_had():
    async def story():
        site = Site(t7=limited(iops=10))
        clients = await site.ask(*[GET] * 40)
        counts = [len(site.served)]
        for _ in range(40):
            await site.later(0.05)
            counts.append(len(site.served))
        burst = 2  # a tenth of a second's, and the one that finds the bucket empty
        assert all(count <= 10 * 0.05 * step + burst for step, count in enumerate(counts))
        assert counts[-1] >= 20
        await site.leave(clients)

    run(story())


def test_a_limit_that_is_lifted_lets_go_of_all_that_waited():
    async def story():
        site = Site(t7=limited(iops=1))
        clients = await site.ask(*[GET] * 10)
        assert len(site.served) < 3
        site.promises.promise(TENANT, FREE)
        await site.later(0.0)
        assert len(site.served) == 10
        site.promises.promise(TENANT, limited(iops=1))
        clients += await site.ask(*[GET] * 10)
        assert len(site.served) < 13
        await site.leave(clients)

    run(story())


@pytest.mark.parametrize("state", [TenantState.SUSPENDED, TenantState.ERASED])
def test_whoever_waits_when_his_tenant_is_suspended_or_deleted_is_told(state):
    async def story():
        site = Site(t7=limited(iops=1))
        clients = await site.ask(*[GET] * 5)
        before = len(site.served)
        site.promises.states[TENANT] = state
        await site.later(0.0)
        assert [(await told(client)).code for client in clients[before:]] == ["AccountProblem"] * (5 - before)
        assert len(site.served) == before
        await site.leave(clients)
        await site.later(FORGOTTEN_AFTER_S + 1)
        assert site.gate.lanes() == []
        assert site.gate.scheduler.node((str(TENANT),)).limited_s < 0, "made anew: the old one was forgotten"

    run(story())


def test_a_moved_tenant_is_held_by_its_new_parents_limit():
    async def story():
        site = Site(t7=FREE)
        clients = await site.ask(*[GET] * 5)
        assert len(site.served) == 5
        site.promises.promise(TENANT, FREE, above=(("30", limited(iops=1)),))
        await site.later(0.0)
        clients += await site.ask(*[GET] * 5)
        assert len(site.served) < 8
        site.promises.promise(TENANT, FREE, above=(("31", FREE),))
        clients += await site.ask(*[GET] * 5)
        for _ in range(5):  # those that queued before the move stay where they are
            await site.later(1.0)
        assert len(site.served) == 15
        await site.leave(clients)

    run(story())


def test_too_many_that_wait_and_a_limit_of_nothing_are_told_to_slow_down():
    async def story():
        site = Site(Budget(queue_node=3), t7=limited(iops=1), t9=limited(iops=0))
        clients = await site.ask(*[GET] * 8)
        refused = await told(clients[-1])
        assert (refused.status, refused.code) == (503, "SlowDown")
        [nothing] = await site.ask(OTHERS)
        assert (await told(nothing)).code == "SlowDown"
        await site.later(WAIT_MOST_S + 1)
        waited_long = [(await told(client)).status for client in clients[:-1]]
        assert 503 in waited_long
        assert 200 in waited_long
        await site.leave(clients)

    run(story())


def test_within_its_reservation_a_tenant_passes_a_flood():
    async def story(gate):
        site = Site(start_most=2, t7=Contract(Rates(1_000)), t9=FREE)
        if not gate:
            site.endpoint.gate = None
        flood = await site.ask(*[OTHERS] * 50)
        quiet = await site.ask(GET)
        site.served.clear()
        for _ in range(10):
            for _, writer in flood:
                writer.write(OTHERS)
            quiet[0][1].write(GET)
            site.clock.advance(0.01)
            await turns(80)
        first = site.served.index("k")
        at = [number for number, key in enumerate(site.served) if key == "k"]
        assert len(at) == 10
        assert len(site.served) == 510
        await site.leave(flood + quiet)
        return first

    assert run(story(gate=True)) <= 10
    assert run(story(gate=False)) >= 40


def test_a_large_body_flows_as_fast_as_its_tenant_may_and_is_not_read_ahead_meanwhile():
    async def story():
        site = Site(t7=limited(bytes_s=1_000_000))
        taken = []

        async def take(request):
            async for piece in request.body.pieces:
                taken.append(len(piece))
            return Reply()

        site.endpoint.dispatch = take
        connection = site.connection()
        site.connection = lambda: connection
        clients = await site.ask(sign("PUT", "/b/k", body=bytes(6_000_000)))
        for tenth in range(80):
            assert sum(taken) <= 100_000 * tenth + 100_000 + 2 * (1 << 20)
            if sum(taken) < 3_000_000:
                assert not connection._reading
                assert connection._receiving.ahead <= 3 << 20
            await site.later(0.1)
        assert sum(taken) == 6_000_000
        assert (await told(clients[0])).status == 200
        await site.leave(clients)

    run(story())


def test_a_range_flows_as_fast_as_its_tenant_may(tmp_path):
    (tmp_path / "object").write_bytes(bytes(8 << 20))

    async def story():
        site = Site(t7=limited(bytes_s=1_000_000))

        async def give(request):
            return Reply(200, [], Ranged(FileReading(tmp_path / "object", verified=True), 0, 8 << 20))

        site.endpoint.dispatch = give
        [(reader, writer)] = clients = await site.ask(GET)
        received = []

        async def collect():
            while data := await reader.read(1 << 20):
                received.append(len(data))

        collecting = asyncio.create_task(collect())
        for tenth in range(120):
            await turns()
            assert sum(received) <= 100_000 * tenth + 100_000 + (2 << 20)
            await site.later(0.1)
        writer.write_eof()
        await collecting
        assert sum(received) > 8 << 20
        await site.leave(clients)

    run(story())


def test_small_bodies_count_against_a_limit_of_bytes():
    async def story():
        site = Site(t7=limited(bytes_s=100_000))

        async def give(request):
            site.served.append(request.key)
            return Reply(200, [], bytes(10_000))

        site.endpoint.dispatch = give
        clients = await site.ask(*[GET] * 40)
        for tenth in range(30):
            assert len(site.served) <= tenth + 3
            await site.later(0.1)
        assert len(site.served) >= 28
        await site.leave(clients)

    run(story())


def test_a_client_that_does_not_send_its_body_holds_nothing_up():
    async def story():
        site = Site(Budget(requests=1), t7=FREE, t9=FREE)

        async def take(request):
            async for _ in request.body.pieces:
                pass
            site.served.append(request.key)
            return Reply()

        site.endpoint.dispatch = take
        clients = await site.ask(*[sign("PUT", "/b/k", body=bytes(1_000))[:-500]] * 5, OTHERS)
        assert site.served == ["other"]
        assert site.gate.scheduler.running == 0
        for _, writer in clients[:3]:
            writer.write(bytes(500))
        await turns()
        assert site.served == ["other", "k", "k", "k"]
        await site.leave(clients)

    run(story())


def test_the_root_alone_asks_nobody():
    async def story():
        site = Site(t9=limited(iops=1))
        site.keys.active[ACCESS] = Credential(ACCESS, SECRET, ROOT_TENANT)
        clients = await site.ask(*[GET] * 30)
        assert len(site.served) == 30
        assert site.gate.lanes() == []
        clients += await site.ask(OTHERS, GET)
        assert {lane.tenant for lane in site.gate.lanes()} == {OTHER, ROOT_TENANT}
        assert len(site.served) == 32
        await site.leave(clients)

    run(story())
