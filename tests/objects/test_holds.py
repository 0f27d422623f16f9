"""A reader's hold ends when the reader says so, or is forgotten: by whatever thread, and at whatever moment."""

import gc
import os
import threading

import pytest

from isotherm.clock import VirtualClock
from isotherm.devices.drive import SystemDrive
from isotherm.devices.waiting import drive
from isotherm.errors import Closed
from isotherm.ids import SeededIds
from isotherm.meta.lmdb.engine import LmdbMeta
from isotherm.segments.epochs import ReaderEpochs
from tests.objects.stores import MIB, get, payload, sweep

HANGS_S = 20


class CollectingDrive(SystemDrive):
    """Every write lets the garbage collector run, as any allocation may."""

    @staticmethod
    def pwritev(fd, buffers, offset):
        gc.collect()
        return os.pwritev(fd, buffers, offset)


class Cycle:
    """Something forgotten, which only the collector finds."""

    def __init__(self, hold):
        self.hold = hold
        self.me = self

    def __del__(self):
        self.hold.release()


def commit(meta):
    async def put(txn):
        txn.put(b"\0\0\0\1key", b"")

    drive(meta.transact(put))


def test_a_finalizer_in_the_middle_of_a_release(tmp_path):
    meta = LmdbMeta.open(tmp_path / "meta", clock=VirtualClock(), ids=SeededIds(1), role="foreign")
    epochs = ReaderEpochs(tmp_path / "readers", meta, CollectingDrive())
    first = drive(epochs.hold())
    commit(meta)
    gc.disable()
    try:
        Cycle(drive(epochs.hold()))
        assert epochs.oldest() is not None
        releasing = threading.Thread(target=first.release, daemon=True)
        releasing.start()
        releasing.join(HANGS_S)
        assert not releasing.is_alive()
    finally:
        gc.enable()
    assert epochs.oldest() is None
    epochs.close()
    meta.close()


def test_a_reading_that_was_dropped_holds_nothing(space, engines):
    drive(space.put("box", "key", payload(2 * MIB)))
    reading = drive(space.open("box", "key"))
    drive(space.delete("box", "key"))
    assert sweep(engines) == 0
    del reading
    assert sweep(engines) == 1


def test_a_reading_closed_twice_or_after_its_store(space, engines):
    drive(space.put("box", "key", payload(2 * MIB)))
    one, two = drive(space.open("box", "key")), drive(space.open("box", "key"))
    one.close()
    one.close()
    drive(space.delete("box", "key"))
    assert sweep(engines) == 0
    engines.close()
    two.close()
    with pytest.raises(Closed):
        drive(engines.segments.hold())


def test_a_forked_child_that_forgets_a_reading_does_not_end_its_parents_hold(space, engines):
    drive(space.put("box", "key", payload(2 * MIB)))
    reading = drive(space.open("box", "key"))
    child = os.fork()
    if child == 0:
        reading.close()
        del reading
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    drive(space.delete("box", "key"))
    assert sweep(engines) == 0
    assert drive(reading.read(0, 2 * MIB)) == payload(2 * MIB)
    reading.close()
    assert sweep(engines) == 1
    drive(space.put("box", "key", b"x"))
    assert get(space, "box", "key") == b"x"
