"""A full medium: writes are refused with an error that says to try again, reads go on, writing resumes with space."""

import asyncio
import subprocess
from pathlib import Path

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import NoSpace, NotFound
from isotherm.objects.model import Digests
from tests.faults.rigs import faulty, store_on
from tests.objects.stores import MIB, body, get, live_bytes, open_engines, payload, rows_of, sweep

SIZES = [1, 1_000, 70_000, 3 * MIB]


@pytest.fixture
def rig(tmp_path):
    device = faulty()
    with store_on(device, tmp_path / "store") as engines:
        space = engines.space()
        drive(space.create_bucket("box"))
        for size in SIZES:
            drive(space.put("box", f"old-{size}", payload(size)))
        yield device, engines, space


def assert_readable(space):
    for size in SIZES:
        assert get(space, "box", f"old-{size}") == payload(size)


@pytest.mark.parametrize("room", [0, 1, 100, 60_000, 2 * MIB])
def test_a_put_that_finds_no_space(rig, room):
    device, engines, space = rig
    before, rows = live_bytes(engines), rows_of(engines)
    device.fill(room)
    for size in SIZES:
        if size > room:
            for sent in (payload(size), body(payload(size), declared=False)):
                with pytest.raises(NoSpace):
                    drive(space.put("box", "new", sent))
    assert_readable(space)
    assert (live_bytes(engines), rows_of(engines)) == (before, rows)
    with pytest.raises(NotFound):
        drive(space.head("box", "new"))
    device.fill(None)
    for size in SIZES:
        drive(space.put("box", f"new-{size}", payload(size, 1)))
        assert get(space, "box", f"new-{size}") == payload(size, 1)
    assert_readable(space)
    assert live_bytes(engines) == 2 * before


def test_what_needs_no_space_goes_on(rig):
    device, engines, space = rig
    device.fill(0)
    drive(space.copy("box", "old-1000", "box", "copy"))
    drive(space.set_tags("box", "copy", {"a": "1"}))
    drive(space.put("box", "empty", b""))
    drive(space.delete("box", f"old-{3 * MIB}"))
    assert get(space, "box", "copy") == payload(1_000)
    assert sweep(engines) == 1
    assert live_bytes(engines) == sum(SIZES) - 3 * MIB


def test_parts_that_find_no_space_can_be_sent_again(rig):
    device, _, space = rig
    upload = drive(space.create_upload("box", "key")).id
    one = drive(space.put_part("box", "key", upload, 1, payload(5 * MIB)))
    device.fill(100_000)
    with pytest.raises(NoSpace):
        drive(space.put_part("box", "key", upload, 2, payload(2 * MIB)))
    with pytest.raises(NoSpace):
        drive(space.put_part("box", "key", upload, 1, payload(2 * MIB)))
    device.fill(None)
    two = drive(space.put_part("box", "key", upload, 2, payload(2 * MIB, 2)))
    drive(space.complete_upload("box", "key", upload, [(1, one.etag, None), (2, two.etag, None)]))
    assert get(space, "box", "key") == payload(5 * MIB) + payload(2 * MIB, 2)


def test_of_concurrent_puts_those_that_fit_are_kept_whole(rig):
    device, engines, space = rig
    before = live_bytes(engines)

    async def put_all():
        puts = [space.put("box", f"{n:03}", payload(20_000, n), digests=Digests()) for n in range(100)]
        return await asyncio.gather(*puts, return_exceptions=True)

    device.fill(1_000_000)
    outcomes = asyncio.run(put_all())
    assert {type(outcome) for outcome in outcomes if isinstance(outcome, Exception)} <= {NoSpace}
    kept = [n for n, outcome in enumerate(outcomes) if not isinstance(outcome, Exception)]
    assert [entry.key for entry in drive(space.list("box", prefix="0")).entries] == [f"{n:03}" for n in kept]
    for n in kept:
        assert get(space, "box", f"{n:03}") == payload(20_000, n)
    assert live_bytes(engines) == before + 20_000 * len(kept)
    device.fill(None)
    assert not [o for o in asyncio.run(put_all()) if isinstance(o, Exception)]


def fits(space, key):
    try:
        drive(space.put("box", key, b"x", tags={"t": "v" * 1_000}))
    except NoSpace:
        return False
    return True


def test_full_metadata(tmp_path):
    """The map of LMDB is full: the bytes of a put had space, what is said of them had not."""
    with store_on(faulty(), tmp_path / "store", map_bytes=1 << 20) as engines:
        space = engines.space()
        drive(space.create_bucket("box"))
        number = next(n for n in range(10_000) if not fits(space, f"{n:05}"))
        assert number > 10
        for kept in range(number):
            assert get(space, "box", f"{kept:05}") == b"x"
        with pytest.raises(NotFound):
            drive(space.head("box", f"{number:05}"))
        assert live_bytes(engines) == number
    with store_on(faulty(), tmp_path / "store", map_bytes=8 << 20) as engines:
        space = engines.space()
        drive(space.put("box", f"{number:05}", b"y"))
        assert len(drive(space.list("box", limit=10_000)).entries) == number + 1


@pytest.fixture
def small_disk(tmp_path):
    """A real file system of 24 MiB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "isotherm-test", str(place)]
    try:
        mounted = subprocess.run(mount, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("may not mount a file system here")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_disk_that_is_really_full(small_disk: Path):
    """Payload and metadata share it: whatever meets the end first, what was acknowledged stays readable."""
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(8 * MIB))
    engines = open_engines(small_disk / "store")
    space = engines.space()
    drive(space.create_bucket("box"))
    kept = {}
    refused = 0
    for number in range(2_000):
        size = [3_000, 200_000, 1_500_000][number % 3] if refused < 10 else 50
        try:
            drive(space.put("box", f"{number:04}", payload(size, number), tags={"n": str(number)}))
            kept[f"{number:04}"] = payload(size, number)
        except NoSpace:
            refused += 1
            if refused > 60:
                break
    assert refused > 60
    assert len(kept) > 5
    for key, data in kept.items():
        assert get(space, "box", key) == data
    assert [entry.key for entry in drive(space.list("box", limit=5_000)).entries] == sorted(kept)
    ballast.unlink()
    for number in range(20):
        drive(space.put("box", f"again-{number}", payload(100_000, number)))
        assert get(space, "box", f"again-{number}") == payload(100_000, number)
    assert live_bytes(engines) == sum(map(len, kept.values())) + 20 * 100_000
    engines.close()
    engines = open_engines(small_disk / "store", seed=2)
    for key, data in kept.items():
        assert get(engines.space(), "box", key) == data
    engines.close()
