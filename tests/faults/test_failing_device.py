"""A device that fails: what it did not take is not acknowledged, and the process does not go on as if it had."""

import asyncio
import errno

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import Corrupt, NotFound, Unavailable
from tests.faults.rigs import faulty, store_on
from tests.objects.stores import MIB, get, live_bytes, payload

SIZES = {"small": 1_000, "streamed": 3 * MIB}


@pytest.fixture
def rig(tmp_path):
    device = faulty()
    with store_on(device, tmp_path / "store") as engines:
        space = engines.space()
        drive(space.create_bucket("box"))
        for kind, size in SIZES.items():
            drive(space.put("box", f"old-{kind}", payload(size)))
        yield device, engines, space


def segments_of(space, key):
    """The segments an object lies in: by its extents, or by those of its only part."""
    reading = drive(space.open("box", key))
    with reading:
        extents = reading.version.extents or reading._parts[0]
        return {extent.segment for extent in extents}


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize("call", ["fdatasync", "pwritev"])
def test_a_failed_write_or_sync_is_not_acknowledged_and_ends_the_segment(rig, kind, call):
    device, engines, space = rig
    before, touched = live_bytes(engines), segments_of(space, f"old-{kind}")
    device.fail(call, errno.EIO, suffix=".seg")
    with pytest.raises(Unavailable):
        drive(space.put("box", "new", payload(SIZES[kind], 1)))
    with pytest.raises(NotFound):
        drive(space.head("box", "new"))
    assert live_bytes(engines) == before
    drive(space.put("box", "new", payload(SIZES[kind], 2)))
    assert not segments_of(space, "new") & touched
    assert get(space, "box", "new") == payload(SIZES[kind], 2)
    for other, size in SIZES.items():
        assert get(space, "box", f"old-{other}") == payload(size)
    assert live_bytes(engines) == before + SIZES[kind]


def test_a_failed_sync_fails_all_that_shared_it(rig):
    device, _, space = rig

    async def put_all():
        puts = [space.put("box", f"{n:02}", payload(500, n)) for n in range(50)]
        return await asyncio.gather(*puts, return_exceptions=True)

    device.fail("fdatasync", errno.EIO, suffix=".seg")
    outcomes = asyncio.run(put_all())
    failed = {f"{n:02}" for n, outcome in enumerate(outcomes) if isinstance(outcome, Unavailable)}
    assert failed
    listed = {entry.key for entry in drive(space.list("box", prefix="")).entries if entry.key[0] != "o"}
    assert listed == {f"{n:02}" for n in range(50)} - failed
    assert not [outcome for outcome in asyncio.run(put_all()) if isinstance(outcome, Exception)]


def put(space, key, data):
    try:
        drive(space.put("box", key, data))
    except Unavailable:
        return "failed"
    return "done"


@pytest.mark.parametrize("call", ["open", "fdatasync", "sync_directory"])
def test_a_segment_that_cannot_be_made(tmp_path, call):
    device = faulty()
    with store_on(device, tmp_path / "store") as engines:
        space = engines.space()
        drive(space.create_bucket("box"))
        for size in SIZES.values():
            device.fail(call, errno.EIO, times=2)
            outcomes = [put(space, "key", payload(size)) for _ in range(6)]
            assert "failed" in outcomes
            assert outcomes[-1] == "done"
            assert get(space, "box", "key") == payload(size)


@pytest.mark.parametrize("kind", SIZES)
def test_a_read_that_fails_is_an_error_and_never_other_bytes(tmp_path, kind):
    with store_on(faulty(), tmp_path / "store") as engines:
        drive(engines.space().create_bucket("box"))
        drive(engines.space().put("box", "key", payload(SIZES[kind])))
    device = faulty()
    with store_on(device, tmp_path / "store", seed=2) as engines:
        for call in ("pread", "preadv"):
            device.fail(call, errno.EIO, suffix=".seg", times=1_000)
        with pytest.raises((Corrupt, Unavailable)):
            get(engines.space(), "box", "key")


def test_power_is_cut_at_any_moment(tmp_path):
    """What was acknowledged is there when the machine comes back, whatever of the rest the medium kept."""
    acknowledged = {}
    for life in range(1, 9):
        device = faulty()
        with store_on(device, tmp_path / "store", seed=life) as engines:
            space = engines.space()
            if life == 1:
                drive(space.create_bucket("box"))
            drive(engines.segments.recover())
            for key, data in acknowledged.items():
                assert get(space, "box", key) == data
            for number in range(6):
                key, data = f"{number}", payload([300, 90_000, 2 * MIB][number % 3], life * 100 + number)
                drive(space.put("box", key, data))
                acknowledged[key] = data
            stream = engines.segments.stream(b"x")
            drive(stream.write(payload(MIB)))
            device.cut_power()
