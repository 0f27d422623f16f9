"""Several clients at once that send, read, stop, close and vanish at random while time passes: everything comes to an end."""

import asyncio
import contextlib
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import given, settings

from isotherm.errors import Corrupt, NotFound
from isotherm.protocols.s3.limits import S3Settings
from isotherm.protocols.s3.wire import Ranged, Reply
from tests.s3.wire.harness import Wire, run, sign
from tests.s3.wire.readings import FileReading

SETTINGS = S3Settings(
    body_bytes_ahead=100_000, drain_bytes_most=50_000, pipelined_bytes_most=3_000, write_bytes_ahead=100_000
)
CLIENTS = 3
SIZE = 3_000_000

puts = [sign("PUT", f"/b/{key}", body=b"x" * size) for key in ("take", "leave", "slow") for size in (0, 10, 400_000)]
gets = [sign("GET", f"/b/{key}") for key in ("file", "spoilt", "pieces", "gone", "slow", "large", "bug")]
expecting = sign("PUT", "/b/take", body=b"hello").replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n")
words = st.sampled_from([*puts, *gets, expecting, expecting[:-5], gets[0][:50], b"nonsense\r\n\r\n", puts[2][:100_000]])
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
                wire.roster.sweep(now)
    for _, writer in clients:
        writer.transport.abort()
    while len(wire.roster):
        now += 100.0
        wire.roster.sweep(now)
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
    open_readings = []
    wire = Wire(settings=SETTINGS)
    wire.endpoint.dispatch = dispatch_over(stored, open_readings)
    run(act(wire, steps))
    assert all(reading.closed for reading in open_readings)
    assert all("ZeroDivisionError" in line or "spoilt" in line for line in wire.said)
    asked = sum(row.requests[4] + sum(row.requests[:4]) for row in wire.counters.rows())
    assert len(wire.logged()) == asked
