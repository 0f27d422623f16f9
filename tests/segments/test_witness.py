"""A stream's witness in the local engine: on which threads it is called, and what becomes of what it refuses."""

import asyncio
import threading

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import Closed, Invalid
from isotherm.testing.segments_suite import MIB, payload
from isotherm.testing.segments_suite_witness import Recorder
from isotherm.testing.shelf import key_of
from tests.segments import rigs


class Noting(Recorder):
    """Notes the threads it is called on."""

    def __init__(self):
        super().__init__()
        self.threads = set()

    def update(self, data):
        super().update(data)
        self.threads.add(threading.current_thread())


@pytest.fixture
def rig(tmp_path):
    with rigs.opened(tmp_path) as rig:
        yield rig


@pytest.mark.parametrize("piece", [70_001, 3 * MIB])
def test_it_is_called_off_the_event_loop(rig, piece):
    data = payload(20 * MIB + 77)
    witness = Noting()

    async def check():
        stream = rig.segments.stream(key_of(b"a"), witness=witness)
        for at in range(0, len(data), piece):
            await stream.write(data[at : at + piece])
        await stream.finish()

    asyncio.run(check())
    assert witness.seen == data
    assert threading.main_thread() not in witness.threads


def test_what_it_objects_to_is_given_up_with_its_space(rig, tmp_path):
    (before,) = drive(rig.shelf.put(b"before", payload(MIB)))
    path = rigs.path_of(tmp_path, before.segment)
    size = path.stat().st_size

    async def check():
        stream = rig.segments.stream(key_of(b"a"), witness=Recorder(Invalid("not what was signed")))
        await stream.write(payload(2 * MIB))
        assert path.stat().st_size > size
        with pytest.raises(Invalid):
            await stream.finish()
        await stream.abort()
        with pytest.raises(Closed):
            await stream.finish()

    drive(check())
    assert path.stat().st_size == size
    (after,) = drive(rig.shelf.put(b"after", payload(MIB)))
    assert after.segment == before.segment
