"""Grace periods, long readers and leases: by the time of who looks, whatever wall clocks say."""

import pytest

from isotherm.clock import VirtualClock
from isotherm.devices.waiting import drive
from isotherm.errors import NotFound
from isotherm.segments.remote.horizon import READERS, LongReaders
from isotherm.segments.remote.leases import Leases
from isotherm.testing.segments_suite import payload
from tests.segments.movers import AT_ONCE, compaction
from tests.segments.remote import rigs

GRACE_S = rigs.SMALL.grace_s


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def rig(tmp_path, clock):
    with rigs.opened(tmp_path, clock=clock) as rig:
        yield rig


def emptied(rig):
    """An extent that was read once, in a segment that has been emptied since."""
    drive(rig.shelf.put(b"a", payload(20_000)))
    (extent,) = drive(rig.shelf.extents(b"a"))
    drive(rig.shelf.delete(b"a"))
    assert drive(rig.segments.empty(extent.segment))
    return extent


def removed(rig):
    return drive(rig.segments.unlink_emptied())[0]


def test_an_emptied_segment_stays_for_a_grace_period(rig, clock):
    extent = emptied(rig)
    assert removed(rig) == []
    clock.advance(GRACE_S - 1)
    assert removed(rig) == []
    assert drive(rig.segments.read(extent, 0, 10)) == payload(20_000)[:10]
    clock.advance(GRACE_S)
    assert removed(rig) == [extent.segment]
    with pytest.raises(NotFound):
        drive(rig.segments.read(extent, 0, 10))


def test_a_wall_clock_that_steps_removes_nothing_early_and_holds_nothing_up(rig, clock):
    emptied(rig)
    removed(rig)
    clock.step_wall(+10 * 365 * 86_400_000)
    assert removed(rig) == []
    clock.step_wall(-20 * 365 * 86_400_000)
    clock.advance(GRACE_S)
    removed(rig)
    clock.advance(GRACE_S)
    assert removed(rig) or drive(rig.segments.unlink_emptied()) == ([], 0)


def test_a_new_mover_waits_a_whole_grace_period(rig, tmp_path, clock):
    emptied(rig)
    clock.advance(10 * GRACE_S)
    other = rigs.open_segments(rigs.open_bucket(tmp_path), rig.meta, clock=clock)
    assert drive(other.unlink_emptied())[0] == []
    clock.advance(GRACE_S)
    assert len(drive(other.unlink_emptied())[0]) == 1
    other.close()


def test_a_reader_that_was_published_holds_up_removal_until_its_row_goes_stale(rig, clock):
    readers = LongReaders(rig.meta, clock, b"s" * 16, GRACE_S)
    stamp = drive(rig.meta.readable_since())
    readers._publish(stamp)
    emptied(rig)
    removed(rig)
    for beat in range(8):
        clock.advance(GRACE_S / 2)
        readers._publish(stamp)
        assert removed(rig) == [], beat
    clock.advance(GRACE_S / 2)
    assert removed(rig) == []
    clock.advance(GRACE_S)
    assert len(removed(rig)) == 1
    assert drive(rig.meta.range(READERS, READERS + b"\xff", 10)) == []


def test_a_reader_that_lasts_is_published_and_withdrawn(rig, tmp_path):
    other = rigs.open_segments(rigs.open_bucket(tmp_path), rig.meta, grace_s=0.08)
    hold = drive(other.hold())
    while not (rows := drive(rig.meta.range(READERS, READERS + b"\xff", 10))):
        pass
    assert rows[0][1][8:] <= drive(rig.meta.readable_since())
    hold.release()
    while drive(rig.meta.range(READERS, READERS + b"\xff", 10)):
        pass
    other.close()


def test_a_lease_is_kept_by_taking_it_and_lost_by_not_doing_so(rig, clock):
    one, two = (Leases(rig.meta, clock, name * 16, 30.0) for name in (b"1", b"2"))
    assert drive(one.take("work"))
    assert drive(two.take("other"))
    for _ in range(10):
        assert not drive(two.take("work"))
        clock.advance(20)
        assert drive(one.take("work"))
    assert not drive(two.take("work"))
    clock.advance(29)
    assert not drive(two.take("work"))
    clock.advance(1)
    assert drive(two.take("work"))
    assert not drive(one.take("work"))


def test_one_mover_works_at_a_time(rig, tmp_path, clock):
    other = rigs.open_segments(rigs.open_bucket(tmp_path), rig.meta, clock=clock)
    drive(rig.shelf.put(b"a", payload(20_000)))
    mine, theirs = compaction(rig, AT_ONCE, clock), compaction(rigs.Rig(other, rig.meta, 0), AT_ONCE, clock)
    assert not drive(mine.step()).busy
    assert drive(theirs.step()).busy
    clock.advance(rigs.SMALL.lease_s)
    assert not drive(theirs.step()).busy
    assert drive(mine.step()).busy
    other.close()
