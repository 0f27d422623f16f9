"""Several clients at once that send, read, stop, close and vanish at random while time passes: everything comes to an end."""

import asyncio
import contextlib
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from isotherm.clock import VirtualClock
from isotherm.errors import Corrupt, NotFound
from isotherm.protocols.s3.limits import S3Settings
from isotherm.protocols.s3.wire import Ranged, Reply
from isotherm.tenancy.gate import Gate
from isotherm.tenancy.qos import Budget, Contract, Rates
from tests.s3.wire.harness import OTHER_ACCESS, Promises, Wire, run, sign
from tests.s3.wire.readings import FileReading

SETTINGS = S3Settings(
    body_bytes_ahead=100_000, drain_bytes_most=50_000, pipelined_bytes_most=3_000, write_bytes_ahead=100_000
)
CLIENTS = 3
SIZE = 3_000_000

puts = [sign("PUT", f"/b/{key}", body=b"x" * size) for key in ("take", "leave", "slow") for size in (0, 10, 400_000)]
gets = [sign("GET", f"/b/{key}") for key in ("file", "spoilt", "pieces", "gone", "slow", "large", "bug")]
expecting = sign("PUT", "/b/take", body=b"hello").replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
others = [
    sign(method, "/b/slow", body=body, access=OTHER_ACCESS) for method, body in (("GET", b""), ("PUT", b"x" * 90_000))
]
words = st.sampled_from(
    [*puts, *gets, *others, expecting, expecting[:-5], gets[0][:50], b"nonsense\r\n\r\n", puts[2][:100_000]]
)
which = st.integers(0, CLIENTS - 1)
actions = st.one_of(
    st.tuples(st.just("send"), which, words),
    st.tuples(st.just("read"), which, st.integers(1, 1_000_000)),
    st.tuples(st.just("end"), which, st.none()),
    st.tuples(st.just("vanish"), which, st.none()),
    st.tuples(st.just("yield"), which, st.integers(1, 30)),
    st.tuples(st.just("pass"), which, st.sampled_from([1.0, 3.0, 25.0, 70.0])),
)


def dispatch_over(path, open_readings):
    async def dispatch(request):
        key = request.key
        if key == "gone":
            raise NotFound("no such key")
        if key == "bug":
            raise ZeroDivisionError
        if key in ("file", "spoilt"):
            how = {"verified": True} if key == "file" else {"spoilt_at": 2_000_000, "error": Corrupt("spoilt")}
            reading = FileReading(path, **how)
            open_readings.append(reading)
            return Reply(200, [], Ranged(reading, 0, SIZE))
        if key == "slow":
            await asyncio.sleep(0.001)
        if key == "large":
            return Reply(200, [], bytes(500_000))
        if key == "pieces":

            async def pieces():
                for _ in range(20):
                    await asyncio.sleep(0)
                    yield bytes(50_000)

            return Reply(200, [], pieces())
        if key != "leave":
            async for _ in request.body.pieces:
                pass
        return Reply()

    return dispatch


async def pass_time(wire, now, seconds):
    wire.clock.advance(seconds)
    wire.roster.sweep(now)
    if wire.gate is not None:
        await wire.gate.refresh()


def gate_of(clock, promises):
    """One with little room and tight limits, so that every kind of waiting happens."""
    return Gate(Budget(2, 300_000, queue_node=3), promises, clock, start_most=1)


async def act(wire, steps):
    now = 0.0
    clients = [await wire.connect() for _ in range(CLIENTS)]
    for kind, index, what in steps:
        reader, writer = clients[index]
        with contextlib.suppress(ConnectionError, TimeoutError, RuntimeError):
            if kind == "send":
                writer.write(what)
            elif kind == "read":
                await asyncio.wait_for(reader.read(what), 0.002)
            elif kind == "end":
                writer.write_eof()
            elif kind == "vanish":
                writer.transport.abort()
            elif kind == "yield":
                for _ in range(what):
                    await asyncio.sleep(0)
            else:
                now += what
                await pass_time(wire, now, what)
    for _, writer in clients:
        writer.transport.abort()
    while len(wire.roster):
        now += 100.0
        await pass_time(wire, now, 100.0)
        await asyncio.sleep(0)
    while len(asyncio.all_tasks()) > 2:  # noqa: ASYNC110  # this one, and the one that watches for hangs
        await asyncio.sleep(0)


@pytest.fixture(scope="module")
def stored():
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "object"
        path.write_bytes(bytes(SIZE))
        yield path


@settings(deadline=None, max_examples=100)
@given(st.lists(actions, max_size=25))
def test_everything_comes_to_an_end(stored, steps):
    come_to_an_end(stored, steps, Wire(settings=SETTINGS))


@settings(deadline=None, max_examples=200)
@given(st.lists(actions, max_size=25))
def test_behind_a_gate_everything_comes_to_an_end_and_is_given_back(stored, steps):
    limited = Contract(Rates(limit=2), Rates(limit=100_000))
    clock, promises = VirtualClock(), Promises(t7=limited, t9=Contract(Rates(1), p99_s=0.1))
    wire = Wire(settings=SETTINGS, clock=clock, gate=gate_of(clock, promises))
    come_to_an_end(stored, steps, wire)
    scheduler = wire.gate.scheduler
    assert (scheduler.running, scheduler.running_bytes, scheduler.waiting) == (0, 0, 0)
    assert not any(lane.open for lane in wire.gate.lanes())


def come_to_an_end(stored, steps, wire):
    open_readings = []
    wire.endpoint.dispatch = dispatch_over(stored, open_readings)
    run(act(wire, steps))
    assert all(reading.closed for reading in open_readings)
    assert all("ZeroDivisionError" in line or "spoilt" in line for line in wire.said)
    asked = sum(row.requests[4] + sum(row.requests[:4]) for row in wire.counters.rows())
    assert len(wire.logged()) == asked
