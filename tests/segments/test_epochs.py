"""Reader epochs across processes: who counts, who does not, and what an unreadable slot means."""

import os
import subprocess
import sys
from contextlib import AsyncExitStack

import pytest

from isotherm.devices import locks
from isotherm.devices.drive import SystemDrive
from isotherm.devices.waiting import drive
from isotherm.errors import Closed, Unavailable
from isotherm.meta.port import NO_STAMP
from isotherm.segments.epochs import ReaderEpochs

READER = """
import asyncio, sys
from tests.segments.test_epochs import Stamps, epochs_at
async def main():
    async with epochs_at(sys.argv[1], Stamps(int(sys.argv[2]))).reading():
        print("reading", flush=True)
        sys.stdin.read()
asyncio.run(main())
"""


class Stamps:
    """All that epochs ask of the metadata: what is visible to everybody now."""

    def __init__(self, now):
        self.now = now

    async def readable_since(self):
        return stamp(self.now)


def stamp(number):
    return number.to_bytes(16, "big")


def epochs_at(path, stamps):
    return ReaderEpochs(path, stamps, SystemDrive())


def reader(path, number):
    process = subprocess.Popen(
        [sys.executable, "-c", READER, str(path), str(number)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b"reading\n"
    return process


@pytest.fixture
def path(tmp_path):
    return tmp_path / "readers"


def test_the_oldest_reader_of_a_process_counts(path):
    stamps = Stamps(5)
    epochs = epochs_at(path, stamps)

    async def check():
        assert epochs.oldest() is None
        async with AsyncExitStack() as readers:
            old = AsyncExitStack()
            await old.enter_async_context(epochs.reading())
            stamps.now = 7
            await readers.enter_async_context(epochs.reading())
            assert epochs.oldest() == stamp(5)
            await old.aclose()
            assert epochs.oldest() == stamp(7)
            stamps.now = 9
            await readers.enter_async_context(epochs.reading())
            assert epochs.oldest() == stamp(7)
        assert epochs.oldest() is None

    drive(check())
    epochs.close()


def test_readers_of_other_processes_count_until_they_die(path):
    epochs = epochs_at(path, Stamps(100))
    first, second = reader(path, 30), reader(path, 20)
    try:
        assert epochs.oldest() == stamp(20)
        second.kill()
        second.wait()
        assert epochs.oldest() == stamp(30)
        # The dead one's slot serves the next.
        third = reader(path, 25)
        assert epochs.oldest() == stamp(25)
        assert path.stat().st_size == 2 * 32
        third.communicate()
        first.communicate()
        assert epochs.oldest() is None
    finally:
        for process in (first, second):
            process.kill()
            process.communicate()


def test_a_reader_that_fails_leaves(path):
    epochs = epochs_at(path, Stamps(5))

    async def check():
        with pytest.raises(ZeroDivisionError):
            async with epochs.reading():
                raise ZeroDivisionError

    drive(check())
    assert epochs.oldest() is None


def test_a_slot_that_cannot_be_read_counts_as_infinitely_old(path):
    path.write_bytes(b"\xff" * 32 + bytes(20))
    epochs = epochs_at(path, Stamps(5))
    assert epochs.oldest() is None  # nobody holds it
    device = SystemDrive()
    fd = device.open(path, os.O_RDWR)
    assert locks.try_lock(fd, 0, 32)
    assert epochs.oldest() == NO_STAMP
    device.close(fd)


def test_a_reader_that_cannot_be_published_does_not_read(tmp_path):
    epochs = epochs_at(tmp_path / "no" / "such" / "directory", Stamps(5))

    async def check():
        async with epochs.reading():
            raise AssertionError

    with pytest.raises(Unavailable):
        drive(check())
    with pytest.raises(Unavailable):
        epochs.oldest()


def test_after_a_close_nobody_reads(path):
    epochs = epochs_at(path, Stamps(5))
    held = drive(epochs.hold())
    assert epochs.oldest() == stamp(5)
    epochs.close()
    epochs.close()
    assert epochs.oldest() is None
    held.release()
    with pytest.raises(Closed):
        drive(epochs.hold())


def test_a_hold_ends_once(path):
    epochs = epochs_at(path, Stamps(5))
    first, second = drive(epochs.hold()), drive(epochs.hold())
    first.release()
    first.release()
    assert epochs.oldest() == stamp(5)
    second.release()
    assert epochs.oldest() is None
    epochs.close()
