"""Compaction, recovery and writing are killed before and after everything they do: nothing is lost, nothing wasted for ever."""

import pytest

from isotherm.clock import VirtualClock
from isotherm.devices.waiting import drive
from isotherm.ids import SeededIds
from isotherm.movers.compaction import Compaction, CompactionSettings
from isotherm.segments.settings import SegmentSettings
from isotherm.testing.segments_suite import Rig, payload
from isotherm.testing.shelf import OWNER
from tests.segments import rigs
from tests.segments.checks import check_accounts, check_values, every_row
from tests.segments.mortal import Death, Life, MortalDrive, MortalMeta

SETTINGS = SegmentSettings(segment_bytes=20_000, extent_bytes_most=100_000, idle_lanes=1)
STRIDE = 3
"""Which steps are tried: every third, from three starting points."""


def opened(tmp_path, meta, life, seed=1):
    device = MortalDrive(SeededIds(seed), life)
    mortal = MortalMeta(meta, life)
    segments = rigs.open_segments(tmp_path, mortal, device=device, settings=SETTINGS)
    return Rig(segments, mortal, 0), device


def mover(rig):
    settings = CompactionSettings(settle_s=0.0, batch_extents=3)
    return Compaction(rig.segments, rig.meta, {OWNER: rig.shelf}, clock=VirtualClock(1 << 50), settings=settings)


def fill(rig):
    """Values small, large and shared, most of what was written dead."""
    expected = {}
    for number in range(12):
        for size in (1_500, 280_000 if number < 4 else 900):
            name = b"%d of %d" % (number, size)
            drive(rig.shelf.put(name, payload(size, number)))
            if number % 3 == 0:
                expected[name] = payload(size, number)
            else:
                drive(rig.shelf.delete(name))
    for number in (0, 3, 6):
        drive(rig.shelf.copy(b"%d of 1500" % number, b"copy %d" % number))
        expected[b"copy %d" % number] = expected[b"%d of 1500" % number]
    drive(rig.shelf.delete(b"0 of 1500"))
    del expected[b"0 of 1500"]
    return expected


def settle(rig):
    """What a server does after a start, until nothing is left to do."""
    drive(rig.segments.recover())
    work = mover(rig)
    for _ in range(50):
        report = drive(work.step())
        if not (report.more or report.moved or report.unlinked):
            break
    assert not report.stuck
    assert not report.waiting


def files_and_rows(tmp_path, rig):
    return {int(path.stem, 16) for path in tmp_path.rglob("*.seg")}, set(every_row(rig.meta))


@pytest.mark.parametrize("start", range(STRIDE))
def test_compaction_killed_at_any_step(tmp_path, start):
    died = 0
    for steps in range(start, 10_000, STRIDE):
        directory = tmp_path / str(steps)
        meta = rigs.open_meta(directory)
        rig, device = opened(directory, meta, Life(None), seed=1)
        expected = fill(rig)
        device.kill()
        life = Life(steps)
        rig, device = opened(directory, meta, life, seed=2)
        try:
            settle(rig)
        except Death:
            died += 1
        device.kill()
        rig, device = opened(directory, meta, Life(None), seed=3)
        check_values(rig, expected)
        settle(rig)
        check_values(rig, expected)
        check_accounts(rig)
        files, rows = files_and_rows(directory, rig)
        assert files == rows
        live = sum(map(len, set(expected.values())))
        assert sum(path.stat().st_size for path in directory.rglob("*.seg")) < 2 * live + 40_000
        rig.segments.close()
        meta.close()
        if not life.over:
            break
    assert died > 20


@pytest.mark.parametrize("start", range(STRIDE))
def test_writing_killed_at_any_step(tmp_path, start):
    died = 0
    for steps in range(start, 10_000, STRIDE):
        directory = tmp_path / str(steps)
        meta = rigs.open_meta(directory)
        life = Life(steps)
        rig, device = opened(directory, meta, life, seed=1)
        expected = {}
        under_way = None
        try:
            for number in range(6):
                for size in (9_000, 280_000):
                    under_way = (b"%d" % (number % 4), payload(size, number))
                    drive(rig.shelf.put(*under_way))
                    expected[under_way[0]] = under_way[1]
            rig.segments.close()
        except Death:
            died += 1
        device.kill()
        rig, device = opened(directory, meta, Life(None), seed=3)
        settle(rig)
        # A commit may have been made and nobody told; either is right.
        if drive(rig.shelf.get(under_way[0])) == under_way[1]:
            expected[under_way[0]] = under_way[1]
        check_values(rig, expected)
        check_accounts(rig)
        files, rows = files_and_rows(directory, rig)
        assert files == rows
        rig.segments.close()
        meta.close()
        if not life.over:
            break
    assert died > 20
