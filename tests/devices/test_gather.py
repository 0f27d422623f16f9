"""A batcher that gathers waits for those it has just answered, and for nobody else."""

import threading

from isotherm.devices.batching import Batcher
from isotherm.devices.waiting import drive

FOR_EVER_S = 3_600.0


class Gate:
    """A flush that records its batches and lets each pass when told."""

    def __init__(self):
        self.batches = []
        self.entered = threading.Semaphore(0)
        self.passes = threading.Semaphore(0)

    def flush(self, batch):
        self.batches.append(list(batch))
        self.entered.release()
        self.passes.acquire()
        return list(batch)


async def _result(completion):
    return await completion


def test_a_batch_waits_until_as_many_are_there_as_last_time():
    gate = Gate()
    batcher = Batcher(gate.flush, name="test", gather_s=FOR_EVER_S)
    first = batcher.submit(1)
    gate.entered.acquire()
    others = [batcher.submit(2), batcher.submit(3)]
    gate.passes.release()
    assert drive(_result(first)) == 1
    again = batcher.submit(4)  # who was answered comes again
    gate.entered.acquire()
    assert gate.batches == [[1], [2, 3, 4]]
    gate.passes.release()
    assert [drive(_result(completion)) for completion in (*others, again)] == [2, 3, 4]
    last = batcher.submit(5)  # two others stay away; closing does not wait for them
    gate.passes.release()
    batcher.close()
    assert drive(_result(last)) == 5


def test_a_caller_on_its_own_is_never_held():
    gate = Gate()
    batcher = Batcher(gate.flush, name="test", gather_s=FOR_EVER_S)
    for number in range(5):
        gate.passes.release()
        assert drive(_result(batcher.submit(number))) == number
    batcher.close()
    assert gate.batches == [[0], [1], [2], [3], [4]]


def test_without_gathering_a_batch_goes_as_soon_as_anything_is_there():
    gate = Gate()
    batcher = Batcher(gate.flush, name="test")
    first = batcher.submit(1)
    gate.entered.acquire()
    others = [batcher.submit(2), batcher.submit(3)]
    gate.passes.release()
    drive(_result(first))
    gate.entered.acquire()
    assert gate.batches == [[1], [2, 3]]
    gate.passes.release()
    assert [drive(_result(completion)) for completion in others] == [2, 3]
    batcher.close()
