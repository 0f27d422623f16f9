"""Compaction in a bucket: space returns, many objects become few, and readers elsewhere go on."""

import asyncio

import pytest

from isotherm.clock import VirtualClock
from isotherm.devices.waiting import drive
from isotherm.errors import NotFound
from isotherm.movers.compaction import CompactionSettings
from isotherm.testing.segments_suite import payload
from tests.segments.checks import check_accounts, check_values, every_row
from tests.segments.movers import AT_ONCE, compaction, filled, to_the_end
from tests.segments.remote import rigs

# What has just been copied has not settled, so that it is not copied again at once.
EVERYTHING = CompactionSettings(settle_s=1.0, dead_fraction=0.0)
MERGING = CompactionSettings(settle_s=0.0, dead_fraction=2.0, merge_segments=20)


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def rig(tmp_path, clock):
    with rigs.opened(tmp_path, clock=clock) as rig:
        yield rig


def sizes(tmp_path):
    return [path.stat().st_size for path in (tmp_path / "bucket").rglob("*.seg")]


def compacted(rig, clock, settings=AT_ONCE):
    """All steps, and what a grace period lets go."""
    mover = compaction(rig, settings, clock)
    clock.advance(settings.settle_s)
    reports = to_the_end(mover)
    for _ in range(3):
        clock.advance(rigs.SMALL.grace_s)
        reports += to_the_end(mover)
    return reports


@pytest.mark.parametrize("size", [30_000, 300_000])
def test_space_returns_and_values_stay(rig, tmp_path, clock, size):
    expected = filled(rig, size=size)
    before = sum(sizes(tmp_path))
    reports = compacted(rig, clock)
    assert reports[-1].stuck == []
    assert reports[-1].waiting == 0
    check_values(rig, expected)
    check_accounts(rig)
    assert sum(sizes(tmp_path)) <= before / 4
    assert len(sizes(tmp_path)) == len(every_row(rig.meta))


def test_many_small_objects_become_few(rig, tmp_path, clock):
    expected = filled(rig, count=60, size=20_000, keep=1)
    assert len(sizes(tmp_path)) == 60
    compacted(rig, clock, MERGING)
    assert len(sizes(tmp_path)) == 1
    check_values(rig, expected)
    check_accounts(rig)
    assert [report.moved for report in compacted(rig, clock, MERGING) if report.moved] == []


def test_a_batch_of_small_objects_is_bounded(rig, tmp_path, clock):
    expected = filled(rig, count=60, size=20_000, keep=1)
    compacted(rig, clock, CompactionSettings(settle_s=0.0, dead_fraction=2.0, merge_segments=20, batch_bytes=200_000))
    assert 6 <= len(sizes(tmp_path)) <= 8
    assert max(sizes(tmp_path)) < 220_000
    check_values(rig, expected)


def test_copies_follow_to_one_place(rig, clock):
    drive(rig.shelf.put(b"a", payload(20_000)))
    for number in range(5):
        drive(rig.shelf.copy(b"a", b"copy %d" % number))
    compacted(rig, clock, EVERYTHING)
    check_values(rig, {name: payload(20_000) for name in (b"a", *(b"copy %d" % number for number in range(5)))})
    check_accounts(rig)


def test_damage_stays_where_it_is_and_the_rest_moves(rig, tmp_path, clock):
    expected = filled(rig, count=10, size=30_000, keep=1)
    (bad,) = drive(rig.shelf.extents(b"3"))
    rigs.flip(tmp_path, rig, bad, 100)
    reports = compacted(rig, clock, EVERYTHING)
    assert {extent for report in reports for extent in report.damaged} == {bad}
    assert reports[-1].stuck == [bad.segment]
    del expected[b"3"]
    for name, value in expected.items():
        assert drive(rig.shelf.get(name)) == value
    check_accounts(rig)


def test_a_reader_elsewhere_finishes_within_the_grace_period_and_resolves_again_after_it(rig, tmp_path, clock):
    value = payload(12_000_000)
    drive(rig.shelf.put(b"a", value))
    other = rigs.open_segments(rigs.open_bucket(tmp_path), rig.meta, clock=clock, read_bytes=1 << 20)
    (first, *_) = old = drive(rig.shelf.extents(b"a"))

    async def check():
        reading = other.chunks(first, 0, first.length)
        got = [await anext(reading)]
        clock.advance(1.0)
        await asyncio.to_thread(to_the_end, compaction(rig, EVERYTHING, clock))
        assert await rig.shelf.extents(b"a") != old
        got += [piece async for piece in reading]
        assert b"".join(got) == value[: first.length]

    asyncio.run(check())
    compacted(rig, clock)
    with pytest.raises(NotFound):
        drive(other.read(first, 0, 10))
    check_values(rig, {b"a": value})
    other.close()
