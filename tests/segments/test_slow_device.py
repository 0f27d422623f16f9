"""Writers on a device that takes its time: what is bounded, what a cancelled caller can still do, and what fails with whom."""

import asyncio
import errno
import threading

import pytest

from isotherm.devices.faulty_drive import FaultyDrive
from isotherm.devices.waiting import drive
from isotherm.errors import Closed, NoSpace, Unavailable
from isotherm.ids import SeededIds
from isotherm.testing.segments_suite import MIB, payload
from isotherm.testing.shelf import key_of
from tests.segments import rigs
from tests.segments.checks import check_accounts, check_values


class Gate(FaultyDrive):
    """Writes of payload wait until it is opened."""

    def __init__(self):
        super().__init__(SeededIds(1))
        self.opened = threading.Event()
        self.opened.set()
        self.waiting = threading.Semaphore(0)

    def pwritev(self, fd, buffers, offset):
        if not self.opened.is_set():
            self.waiting.release()
            self.opened.wait()
        return super().pwritev(fd, buffers, offset)


@pytest.fixture
def device():
    return Gate()


@pytest.fixture
def rig(tmp_path, device):
    with rigs.opened(tmp_path, device=device) as rig:
        yield rig
        device.opened.set()


def begun(rig, device):
    """A stream whose first piece is stuck in the device."""

    async def begin():
        await rig.shelf.put(b"before", payload(MIB))
        device.opened.clear()
        stream = rig.segments.stream(key_of(b"slow"))
        for at in range(0, MIB, 1 << 18):
            await stream.write(payload(MIB)[at : at + (1 << 18)])
        await asyncio.to_thread(device.waiting.acquire)
        return stream

    return begin()


def test_a_stream_takes_one_piece_ahead_and_no_more(rig, device):
    async def check():
        stream = await begun(rig, device)
        for _ in range(3):
            await asyncio.wait_for(stream.write(bytes(1 << 18)), 30)
        ahead = asyncio.ensure_future(stream.write(bytes(1 << 18)))
        for _ in range(10):
            await asyncio.sleep(0)
        assert not ahead.done()
        device.opened.set()
        await ahead
        (extent,) = await stream.finish()
        assert await rig.segments.read(extent, 0, 2 * MIB) == payload(MIB) + bytes(MIB)

    asyncio.run(check())


def test_a_stream_cancelled_while_it_waits_can_be_aborted(rig, device, tmp_path):
    async def check():
        stream = await begun(rig, device)
        ahead = asyncio.ensure_future(stream.write(bytes(MIB - 1)))
        await ahead
        waiting = asyncio.ensure_future(stream.write(bytes(10)))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        with pytest.raises(Closed):
            await stream.write(b"1")
        device.opened.set()
        await stream.abort()
        (before,) = await rig.shelf.extents(b"before")
        assert rigs.path_of(tmp_path, before.segment).stat().st_size < 2 * MIB

    asyncio.run(check())


def test_an_append_cancelled_while_it_waits_harms_nobody(rig, device):
    async def check():
        await rig.shelf.put(b"a", payload(5_000))
        device.opened.clear()
        first = asyncio.ensure_future(rig.shelf.put(b"b", payload(6_000)))
        await asyncio.to_thread(device.waiting.acquire)
        data = bytearray(payload(7_000))
        cancelled = asyncio.ensure_future(rig.segments.append(key_of(b"c"), data))
        kept = asyncio.ensure_future(rig.shelf.put(b"d", payload(8_000)))
        await asyncio.sleep(0)
        cancelled.cancel()
        data[:] = bytes(7_000)
        device.opened.set()
        await asyncio.gather(first, kept)
        assert await rig.shelf.get(b"b") == payload(6_000)
        assert await rig.shelf.get(b"d") == payload(8_000)

    asyncio.run(check())
    assert drive(rig.shelf.get(b"a")) == payload(5_000)


@pytest.mark.parametrize(
    ("call", "number"), [("fdatasync", errno.EIO), ("pwritev", errno.ENOSPC), ("pwritev", errno.EIO)]
)
def test_when_a_batch_fails_so_does_what_was_placed_behind_it(rig, device, call, number):
    async def placed(name, size):
        extent, prerequisite = await rig.segments.place(key_of(name), payload(size))
        return extent, prerequisite

    async def commit(name, extent, prerequisite):
        async def assign(txn):
            txn.after(prerequisite)
            await rig.shelf.assign(txn, name, [extent])

        await rig.meta.transact(assign)

    async def check():
        (before,) = await rig.shelf.put(b"before", payload(5_000))
        first = await placed(b"first", 6_000)
        device.opened.clear()
        device.fail(call, number, suffix=f"{before.segment:016x}.seg")
        failing = asyncio.ensure_future(commit(b"first", *first))
        await asyncio.to_thread(device.waiting.acquire)
        behind_it = await placed(b"behind", 7_000)
        assert behind_it[0].segment == first[0].segment
        device.opened.set()
        for waiting in (failing, commit(b"behind", *behind_it)):
            with pytest.raises((NoSpace, Unavailable)):
                await waiting
        await rig.shelf.put(b"after", payload(8_000))
        with pytest.raises((NoSpace, Unavailable)):
            await commit(b"behind", *behind_it)

    asyncio.run(check())
    check_values(rig, {b"before": payload(5_000), b"after": payload(8_000)})
    rig.segments.close()
    check_accounts(rig)
