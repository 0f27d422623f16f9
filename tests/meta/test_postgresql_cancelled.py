"""A caller that goes away in the midst of a query leaves nothing behind that the next one would stumble over."""

import asyncio
import contextlib

import pytest

from isotherm.clock import SystemClock
from isotherm.devices.waiting import start_eagerly
from isotherm.ids import SystemIds
from isotherm.meta.postgresql import PostgresMeta
from isotherm.testing.postgres import TemporaryPostgres, programs

pytestmark = pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed")


@pytest.fixture(scope="module")
def dsn():
    with TemporaryPostgres() as server:
        yield server.database()


async def taken_up(read):
    """What `read` gives, begun as a gateway begins a request: its first step belongs to no task."""
    found = []

    async def run():
        found.append(await read())

    task = start_eagerly(run())
    if task is not None:
        await task
    return found[0]


async def given_up(read):
    """Begun in the same way, and cancelled while the database works."""
    task = start_eagerly(read())
    assert task is not None
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task


def reads(meta):
    async def get():
        return await meta.get(b"key")

    async def scan():
        return await meta.range(b"a", b"z", 10)

    async def snapshot():
        with meta.snapshot() as seen:
            return await seen.get(b"key"), await seen.range(b"a", b"z", 10)

    async def transact():
        async def bump(txn):
            value = await txn.get(b"key")
            txn.put(b"counter", b"1")
            return value

        return (await meta.transact(bump))[0]

    return {get: b"value", scan: [(b"key", b"value")], snapshot: (b"value", [(b"key", b"value")]), transact: b"value"}


def test_a_read_that_was_cancelled_disturbs_no_other(dsn):
    async def run():
        meta = await PostgresMeta.open(dsn, clock=SystemClock(), ids=SystemIds())

        async def write(txn):
            txn.put(b"key", b"value")
            txn.delete(b"counter")

        try:
            for read, expected in reads(meta).items():
                await meta.transact(write)
                await taken_up(read)
                for _ in range(3):
                    await meta.transact(write)
                    await given_up(read)
                    assert await taken_up(read) == expected
        finally:
            meta.close()

    asyncio.run(run())


def test_an_error_of_the_event_loop_is_told_as_it_is(dsn):
    async def run():
        meta = await PostgresMeta.open(dsn, clock=SystemClock(), ids=SystemIds())

        async def fails():
            raise RuntimeError("of a transport")

        try:
            with pytest.raises(RuntimeError, match="of a transport"):
                await meta._home.run(fails())
        finally:
            meta.close()

    asyncio.run(run())
