"""Full and failing devices: what is acknowledged stays, what is not is said so, and writing goes on where it may."""

import errno

import pytest

from isotherm.devices.faulty_drive import FaultyDrive
from isotherm.devices.waiting import drive
from isotherm.errors import NoSpace, Unavailable
from isotherm.ids import SeededIds
from isotherm.segments.port import BLOCK_BYTES, Media
from isotherm.testing.segments_suite import MIB, payload
from isotherm.testing.shelf import key_of
from tests.segments import rigs
from tests.segments.checks import check_accounts, check_values

LONG = 3 * MIB


@pytest.fixture
def device():
    return FaultyDrive(SeededIds(1))


@pytest.fixture
def rig(tmp_path, device):
    with rigs.opened(tmp_path, device=device) as rig:
        yield rig


def name_of(extent):
    return f"{extent.segment:016x}.seg"


@pytest.mark.parametrize("size", [5_000, LONG])
@pytest.mark.parametrize("room", [0, 100, 4_000])
def test_a_full_medium_is_said_and_writing_resumes_when_there_is_room(rig, device, tmp_path, size, room):
    (before,) = drive(rig.shelf.put(b"before", payload(size, 1)))
    device.fill(room)
    for _ in range(3):
        with pytest.raises(NoSpace):
            drive(rig.shelf.put(b"refused", payload(size, 2)))
        assert drive(rig.shelf.get(b"before")) == payload(size, 1)
    # What the refused writes took is given back, so that a smaller one may fit.
    assert rigs.path_of(tmp_path, before.segment).stat().st_size < 2 * size
    device.fill(None)
    (after,) = drive(rig.shelf.put(b"after", payload(size, 3)))
    if room:  # else it was sealed, so that compaction may take what is dead in it
        assert after.segment == before.segment
    check_values(rig, {b"before": payload(size, 1), b"after": payload(size, 3)})
    rig.segments.close()
    check_accounts(rig)


def test_a_full_medium_in_mid_stream_leaves_nothing_behind(rig, device, tmp_path):
    async def check():
        (before,) = await rig.shelf.put(b"before", payload(LONG))
        size = rigs.path_of(tmp_path, before.segment).stat().st_size
        device.fill(5 * MIB)
        stream = rig.segments.stream(key_of(b"refused"))
        with pytest.raises(NoSpace):
            await stream.write(payload(20 * MIB))
        await stream.abort()
        assert rigs.path_of(tmp_path, before.segment).stat().st_size == size

    drive(check())


def test_no_segment_can_be_made_on_a_full_medium(rig, device):
    device.fill(0)
    with pytest.raises(NoSpace):
        drive(rig.shelf.put(b"a", b"1"))
    device.fill(None)
    device.fail("open", errno.ENOSPC, suffix=".seg")
    with pytest.raises(NoSpace):
        drive(rig.shelf.put(b"a", b"1"))
    assert drive(rig.shelf.put(b"a", b"1"))


@pytest.mark.parametrize("size", [5_000, LONG])
@pytest.mark.parametrize(
    ("call", "number", "error"),
    [
        ("fdatasync", errno.EIO, Unavailable),
        ("fdatasync", errno.ENOSPC, NoSpace),
        ("pwritev", errno.EIO, Unavailable),
        ("pwritev", errno.EROFS, Unavailable),
    ],
)
def test_after_a_device_error_a_segment_is_never_written_again(rig, device, size, call, number, error):
    (before,) = drive(rig.shelf.put(b"before", payload(size, 1)))
    device.fail(call, number, suffix=name_of(before))
    with pytest.raises(error):
        drive(rig.shelf.put(b"refused", payload(size, 2)))
    seen = len(device.calls)
    for number in range(5):
        (after,) = drive(rig.shelf.put(b"after%d" % number, payload(size, 3)))
        assert after.segment != before.segment
    rig.segments.close()
    writing = {"pwritev", "fdatasync", "truncate"}
    assert not [call for call, name in device.calls[seen:] if name == name_of(before) and call in writing]
    assert drive(rig.shelf.get(b"refused")) is None
    assert drive(rig.shelf.get(b"before")) == payload(size, 1)
    check_accounts(rig)


@pytest.mark.parametrize("size", [5_000, LONG])
@pytest.mark.parametrize("call", ["open", "pwritev", "fdatasync", "sync_directory"])
def test_a_segment_that_could_not_be_made_is_not_used(rig, device, size, call):
    device.fail(call, errno.EIO, suffix="" if call == "sync_directory" else ".seg")
    with pytest.raises(Unavailable):
        drive(rig.shelf.put(b"refused", payload(size)))
    assert drive(rig.shelf.put(b"after", payload(size)))
    rig.segments.close()
    check_accounts(rig)
    check_values(rig, {b"after": payload(size)})


@pytest.mark.parametrize("call", ["open", "pwritev", "sync_directory"])
def test_a_failing_directory_is_passed_over(rig, device, tmp_path, call):
    device.fail(call, errno.EIO, suffix="0" if call == "sync_directory" else ".seg")
    (extent,) = drive(rig.shelf.put(b"a", payload(5_000), Media.CAPACITY))
    device.fail("fdatasync", errno.EIO, suffix=name_of(extent))
    with pytest.raises(Unavailable):
        drive(rig.shelf.put(b"refused", payload(5_000), Media.CAPACITY))
    drive(rig.shelf.put(b"b", payload(5_000), Media.CAPACITY))
    check_values(rig, {b"a": payload(5_000), b"b": payload(5_000)})


def test_short_writes_lose_nothing(rig, device):
    device.write_at_most(1_021)
    values = {b"%d" % size: payload(size) for size in (1, 5_000, BLOCK_BYTES + 1, MIB + 5)}
    for name, value in values.items():
        drive(rig.shelf.put(name, value))
    check_values(rig, values)
    rig.segments.close()
    check_accounts(rig)


@pytest.mark.parametrize(("size", "passing"), [(5_000, 0), (5_000, 1), (LONG, 0), (LONG, 1), (LONG, 2)])
def test_an_unreadable_medium_is_not_taken_for_damage(rig, device, size, passing):
    drive(rig.shelf.put(b"a", payload(size)))
    device.fail("pread", errno.EIO, after=passing)
    with pytest.raises(Unavailable):
        drive(rig.shelf.get(b"a"))
    assert drive(rig.shelf.get(b"a")) == payload(size)


def test_a_read_that_must_not_wait_leaves_device_errors_to_one_that_may(rig, device):
    (extent,) = drive(rig.shelf.put(b"a", payload(5_000)))
    drive(rig.shelf.get(b"a"))
    device.fail("preadv", errno.EIO)
    assert rig.segments.read_now(extent, 0, 5_000) is None
    assert drive(rig.segments.read(extent, 0, 5_000)) == payload(5_000)


@pytest.mark.parametrize("seed", range(25))
def test_what_was_acknowledged_outlives_a_power_cut(tmp_path, seed):
    ids = SeededIds(seed)
    device = FaultyDrive(ids)
    meta = rigs.open_meta(tmp_path)
    rig = rigs.Rig(rigs.open_segments(tmp_path, meta, device=device, ids=ids), meta, 0)
    expected = {}

    def some(most):
        return int.from_bytes(ids.token(4), "big") % most

    async def work():
        for number in range(12):
            name = b"%d" % some(8)
            value = payload(1 + some([300, 20_000, LONG][some(3)]), number)
            await rig.shelf.put(name, value)
            expected[name] = value
            await rig.shelf.write(b"never referred to", payload(1 + some(9_000), number))
        stream = rig.segments.stream(key_of(b"under way"))
        await stream.write(payload(some(LONG)))
        # A second one at the same time begins a segment of its own.
        await rig.segments.stream(key_of(b"under way too")).write(payload(2 * MIB))
        if some(2):
            await stream.abort()
        if some(2):
            device.fail("fdatasync", errno.EIO, suffix=".seg")
            with pytest.raises(Unavailable):
                await rig.shelf.put(b"refused", payload(9_000))

    drive(work())
    device.cut_power()
    for _ in range(2):
        rig = rigs.Rig(rigs.open_segments(tmp_path, meta), meta, 0)
        report = drive(rig.segments.recover())
        assert not report.missing
        assert not report.strangers
        check_values(rig, expected)
        check_accounts(rig, power_was_cut=True)
        drive(rig.shelf.put(b"after", payload(LONG)))
        expected[b"after"] = payload(LONG)
        rig.segments.close()
        check_accounts(rig, power_was_cut=True)
    meta.close()
