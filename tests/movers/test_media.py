"""Media that run full or fail: no maintenance crashes, lies, or leaves something half that looks whole."""

import errno
from dataclasses import replace

import pytest

from isotherm.clock import SystemClock
from isotherm.devices.faulty_drive import FaultyDrive
from isotherm.errors import IsothermError, NoSpace, NotFound, Unavailable
from isotherm.ids import SeededIds, SystemIds
from isotherm.movers.backup import layout
from isotherm.movers.backup.restore import restore
from isotherm.movers.backup.take import back_up
from isotherm.movers.fsck.check import check
from isotherm.movers.fsck.findings import Kind
from isotherm.movers.fsck.spill import Spill
from isotherm.segments.local import LocalSegments
from tests.movers.damages import segment_with
from tests.movers.stores import SMALL_SEGMENTS, contents, kinds
from tests.movers.test_backup import PROGRAM, read, restored
from tests.movers.test_restore import is_store


@pytest.fixture
def device():
    return FaultyDrive(SeededIds(1))


@pytest.fixture
def store(engines, device):
    """The store, whose files maintenance reaches through a drive that fails on request."""
    opened = engines.opened()
    segments = LocalSegments.open(
        opened.directories, opened.meta, clock=opened.clock, ids=opened.ids, drive=device, settings=SMALL_SEGMENTS
    )
    yield replace(opened, segments=segments, device=device)
    segments.close()


def test_a_segment_that_cannot_be_read_is_damage_and_the_check_goes_on(store, engines, device, tmp_path):
    segment = segment_with(engines).segment
    device.fail("pread", errno.EIO, after=2, times=10**6, suffix=f"{segment:016x}.seg")
    report = check(store, tmp_path)
    assert report.exit_code == 2
    named = {(one.bucket, one.key) for one in report.findings if one.kind is Kind.OBJECT_DAMAGED}
    assert ("plain", "key 0010") in named
    assert len(named) < len(contents(engines))
    assert "live-too-low" not in kinds(report)
    assert "live-too-high" not in kinds(report), "what cannot be read is referred to all the same"


@pytest.mark.parametrize("after", range(0, 60, 7))
def test_a_medium_that_fails_once_never_fails_the_check(store, device, tmp_path, after):
    device.fail("pread", errno.EIO, after=after, suffix=".seg")
    report = check(store, tmp_path)
    assert report.exit_code in (0, 2)


def test_no_room_for_scratch_is_told(device, tmp_path):
    spill = Spill(tmp_path, "test", device, held_bytes=100)
    device.fill(0)
    with pytest.raises(NoSpace):
        spill.add(bytes(200))


def test_a_backup_to_a_full_medium_is_none_and_the_next_is_whole(store, device, held, tmp_path):
    target = tmp_path / "backup"
    for room in (0, 5_000, 500_000):
        device.fill(room)
        with pytest.raises(NoSpace):
            back_up(store, target, PROGRAM)
        assert layout.generations(target) == []
        assert not list(target.rglob("*.partial"))
    device.fill(None)
    back_up(store, target, PROGRAM)
    restored(target, tmp_path / "again")
    assert read(tmp_path / "again") == held


@pytest.mark.parametrize("after", [0, 3])
def test_a_backup_whose_sync_fails_is_none(store, device, after, tmp_path):
    device.fail("fdatasync", errno.EIO, after=after)
    with pytest.raises(Unavailable):
        back_up(store, tmp_path / "backup", PROGRAM)
    assert layout.generations(tmp_path / "backup") == []
    assert back_up(store, tmp_path / "backup", PROGRAM).manifest.generation == 1


def test_sectors_that_are_lost_cost_only_what_lay_in_them(store, engines, device, held, tmp_path):
    extent = segment_with(engines)
    name = f"{extent.segment:016x}.seg"
    device.fail("pread", errno.EIO, after=1, suffix=name)  # the first piece, but for the header
    device.fail("pread", errno.EIO, after=4, suffix=name)  # and its third sector
    manifest = back_up(store, tmp_path / "backup", PROGRAM).manifest
    assert manifest.damaged == [name[:16]]
    report = restored(tmp_path / "backup", tmp_path / "again")
    assert report.manifest.damaged
    survivors = {place: data for place, data in read(tmp_path / "again").items() if not isinstance(data, type)}
    assert survivors.items() <= held.items()
    assert 0 < len(held) - len(survivors) < len(held) // 2


@pytest.mark.parametrize(
    ("call", "number"), [("pwritev", errno.ENOSPC), ("fdatasync", errno.EIO), ("pread", errno.EIO)]
)
@pytest.mark.parametrize("after", [0, 2])
def test_a_restore_that_fails_makes_no_store(store, device, call, number, after, tmp_path):
    back_up(store, tmp_path / "backup", PROGRAM)
    device.fail(call, number, after=after, times=10**6 if call == "pread" else 1)
    with pytest.raises(IsothermError):
        restore(tmp_path / "backup", tmp_path / "again", PROGRAM, clock=SystemClock(), ids=SystemIds(), device=device)
    assert not is_store(tmp_path / "again")
    with pytest.raises((IsothermError, NotFound)):
        restored(tmp_path / "backup", tmp_path / "again")
