"""Compaction gives space back and nothing else away: copies, damage, merging, power cuts, bounded steps."""

import pytest

from isotherm.clock import VirtualClock
from isotherm.devices.faulty_drive import FaultyDrive
from isotherm.devices.waiting import drive
from isotherm.ids import SeededIds
from isotherm.movers.compaction import Compaction, CompactionSettings
from isotherm.segments.accounting import State
from isotherm.segments.format import EXTENT_HEADER_BYTES
from isotherm.segments.port import Media
from isotherm.testing.segments_rig import sealed
from isotherm.testing.segments_suite import MIB, Rig, payload
from tests.segments import rigs
from tests.segments.checks import check_accounts, check_values, every_row
from tests.segments.movers import AT_ONCE, EVERYTHING, SETTINGS, compaction, files_of, filled, to_the_end

SMALL_BATCHES = CompactionSettings(settle_s=0.0, batch_extents=4)


@pytest.fixture
def rig(tmp_path):
    with rigs.opened(tmp_path, settings=SETTINGS) as rig:
        yield rig


@pytest.mark.parametrize("size", [3_000, 300_000])
def test_space_returns_and_values_stay(rig, tmp_path, size):
    expected = filled(rig, size=size)
    before = sum(path.stat().st_size for path in files_of(tmp_path).values())
    reports = to_the_end(compaction(rig))
    assert sum(len(report.unlinked) for report in reports) > 2
    assert reports[-1].stuck == []
    check_values(rig, expected)
    check_accounts(rig)
    assert sum(path.stat().st_size for path in files_of(tmp_path).values()) < before / 2
    assert set(files_of(tmp_path)) == set(every_row(rig.meta))


class Asked:
    """A `Turn` that lets everything go on, and remembers what it was asked for."""

    def __init__(self):
        self.pieces = []

    async def take(self, ops, size_bytes):
        self.pieces.append((ops, size_bytes))


def test_whatever_is_moved_was_asked_for_piece_by_piece(rig):
    filled(rig)
    asked = Asked()
    reports = to_the_end(compaction(rig, SMALL_BATCHES, turn=asked))
    assert 0 < sum(report.moved for report in reports) <= sum(ops for ops, _ in asked.pieces)
    assert sum(report.moved_bytes for report in reports) <= sum(size for _, size in asked.pieces)
    assert max(ops for ops, _ in asked.pieces) <= SMALL_BATCHES.batch_extents < sum(ops for ops, _ in asked.pieces)


def test_a_segment_that_lives_is_left_alone(rig):
    filled(rig, keep=1)
    assert to_the_end(compaction(rig)) == [drive(compaction(rig).step())]


def test_what_was_sealed_just_now_is_left_to_settle(tmp_path):
    clock = VirtualClock()
    with rigs.opened(tmp_path, settings=SETTINGS, clock=clock) as rig:
        filled(rig)
        mover = compaction(rig, CompactionSettings(settle_s=60.0), clock)
        assert drive(mover.step()).moved == 0
        clock.advance(60.0)
        assert drive(mover.step()).moved > 0


def test_a_clock_that_is_set_back_does_not_stop_compaction(tmp_path):
    clock = VirtualClock()
    with rigs.opened(tmp_path, settings=SETTINGS, clock=clock) as rig:
        filled(rig)
        clock.step_wall(-365 * 86_400_000)
        assert drive(compaction(rig, CompactionSettings(settle_s=60.0), clock).step()).moved > 0


def test_a_dead_segment_goes_without_being_read(rig, tmp_path):
    filled(rig, keep=1_000)
    drive(rig.shelf.delete(b"0"))
    paths = files_of(tmp_path)
    for segment, row in every_row(rig.meta).items():
        if row.state is State.SEALED:
            rigs.flip(paths[segment], 40)
    gone = [segment for report in to_the_end(compaction(rig)) for segment in report.unlinked]
    assert len(gone) > 2
    check_accounts(rig)


def test_a_step_is_bounded_and_the_next_goes_on(rig):
    expected = filled(rig, keep=3)
    mover = compaction(rig, CompactionSettings(settle_s=0.0, step_bytes=10_000, batch_extents=4))
    reports = to_the_end(mover)
    assert max(report.moved for report in reports) <= 4
    assert sum(report.moved for report in reports) > 8
    check_values(rig, expected)
    check_accounts(rig)


def test_media_class_and_alignment_are_kept(rig, tmp_path):
    big = payload(700_000)
    drive(rig.shelf.put(b"kept", big, Media.CAPACITY))
    rig.segments.close()
    rig.segments = rigs.open_segments(tmp_path, rig.meta, settings=SETTINGS)
    before = drive(rig.shelf.extents(b"kept"))
    assert drive(compaction(rig, EVERYTHING).step()).moved_bytes >= 700_000
    after = drive(rig.shelf.extents(b"kept"))
    assert {extent.segment for extent in before}.isdisjoint({extent.segment for extent in after})
    assert all(extent.offset % 4_096 == 0 for extent in after)
    assert all("slow" in str(rigs.path_of(tmp_path, extent.segment)) for extent in after)
    check_values(rig, {b"kept": big})
    rig.segments.close()


def test_every_owner_of_a_shared_extent_follows(rig):
    expected = filled(rig)
    for number in range(0, 60, 10):
        for copy in range(5):
            drive(rig.shelf.copy(b"%d" % number, b"copy %d of %d" % (copy, number)))
            expected[b"copy %d of %d" % (copy, number)] = expected[b"%d" % number]
        drive(rig.shelf.delete(b"%d" % number))
        del expected[b"%d" % number]
    to_the_end(compaction(rig))
    check_values(rig, expected)
    check_accounts(rig)
    for number in range(0, 60, 10):
        places = {tuple(drive(rig.shelf.extents(b"copy %d of %d" % (copy, number)))) for copy in range(5)}
        assert len(places) == 1
    for name in expected:
        drive(rig.shelf.delete(name))
    check_accounts(rig)


def test_more_owners_than_a_page_still_share_one_extent(rig):
    expected = filled(rig, count=40, keep=40)
    for number in range(1_203):
        drive(rig.shelf.copy(b"0", b"copy %d" % number))
    to_the_end(compaction(rig))
    assert len({tuple(drive(rig.shelf.extents(b"copy %d" % number))) for number in range(1_203)}) == 1
    assert drive(rig.shelf.get(b"copy 77")) == expected[b"0"]
    check_accounts(rig)


@pytest.mark.parametrize("seed", range(6))
def test_what_was_moved_outlives_a_power_cut(tmp_path, seed):
    device = FaultyDrive(SeededIds(seed))
    meta = rigs.open_meta(tmp_path)
    rig = Rig(rigs.open_segments(tmp_path, meta, device=device, settings=SETTINGS), meta, 0)
    expected = filled(rig)
    assert drive(compaction(rig).step()).moved > 5
    device.cut_power()
    rig = Rig(rigs.open_segments(tmp_path, meta, settings=SETTINGS), meta, 0)
    assert not drive(rig.segments.recover()).missing
    check_values(rig, expected)
    check_accounts(rig, power_was_cut=True)
    rig.segments.close()
    meta.close()


def test_a_segment_that_cannot_be_emptied_is_not_walked_again(tmp_path):
    device = FaultyDrive(SeededIds(1))
    with rigs.opened(tmp_path, settings=SETTINGS, device=device) as rig:
        filled(rig)
        (hit,) = drive(rig.shelf.extents(b"0"))
        rigs.flip(rigs.path_of(tmp_path, hit.segment), hit.offset)
        mover = compaction(rig)
        to_the_end(mover)
        seen = len(device.calls)
        assert drive(mover.step()).stuck == [hit.segment]
        assert f"{hit.segment:016x}.seg" not in [name for _, name in device.calls[seen:]]
        drive(rig.shelf.delete(b"0"))
        assert hit.segment in drive(mover.step()).unlinked
        assert drive(mover.step()).stuck == []


def test_damage_stays_where_it_is_and_is_reported(rig, tmp_path):
    expected = filled(rig)
    extents = {name: drive(rig.shelf.extents(name))[0] for name in expected}
    payload_hit, header_hit = extents[b"0"], extents[b"20"]
    rigs.flip(rigs.path_of(tmp_path, payload_hit.segment), payload_hit.offset + 5)
    owner = b"x20"
    rigs.flip(rigs.path_of(tmp_path, header_hit.segment), header_hit.offset - len(owner) - EXTENT_HEADER_BYTES + 6)
    reports = to_the_end(compaction(rig))
    assert payload_hit in [extent for report in reports for extent in report.damaged]
    assert set(reports[-1].stuck) == {payload_hit.segment, header_hit.segment}
    # A damaged header hides the extent from the walk; its payload can still be read.
    assert drive(rig.shelf.get(b"20")) == expected[b"20"]
    del expected[b"0"]
    assert {name: drive(rig.shelf.get(name)) for name in expected} == expected
    # Later passes do not try again until something changes.
    assert drive(compaction(rig).step()).moved == 0
    drive(rig.shelf.delete(b"0"))
    drive(rig.shelf.delete(b"20"))
    mover = compaction(rig)
    to_the_end(mover)
    assert drive(mover.step()).stuck == []
    check_accounts(rig)


def test_many_small_segments_become_few(tmp_path):
    """As programs leave them that open the store, write a little and close it."""
    expected = {}
    for number in range(12):
        with rigs.opened(tmp_path, settings=SETTINGS) as rig:
            for name, size, media in ((b"%d", 700, Media.PERFORMANCE), (b"%d long", 300_000, Media.CAPACITY)):
                expected[name % number] = payload(size, number)
                drive(rig.shelf.put(name % number, expected[name % number], media))
    some = CompactionSettings(settle_s=0.0, merge_bytes=10_000, merge_segments=13)
    many = CompactionSettings(settle_s=0.0, merge_bytes=10_000, merge_segments=12)
    with rigs.opened(tmp_path, settings=SETTINGS) as rig:
        assert drive(compaction(rig, some).step()).moved == 0
        assert drive(compaction(rig, many).step()).moved == 12
        # Those of the other media class are not small.
        assert len(files_of(tmp_path / "fast")) == 1
        assert len(files_of(tmp_path / "slow")) > 12
        assert drive(compaction(rig, many).step()).moved == 0
        check_values(rig, expected)
        check_accounts(rig)


def test_one_mover_works_at_a_time(tmp_path):
    with rigs.opened(tmp_path, settings=SETTINGS) as rig:
        filled(rig)
        lease = rig.segments.lease("compaction")
        assert drive(compaction(rig).step()).busy
        lease.close()
        assert drive(compaction(rig).step()).moved > 0


def test_an_owner_nobody_answers_for_keeps_its_bytes(rig):
    (kept,) = drive(rig.shelf.put(b"0", payload(3_000)))
    filled(rig, keep=60)
    mover = Compaction(rig.segments, rig.meta, {}, clock=VirtualClock(1 << 50), settings=AT_ONCE)
    to_the_end(mover)
    assert drive(rig.segments.read(drive(rig.shelf.extents(b"0"))[0], 0, 3_000)) == payload(3_000, 0)
    assert kept.length == 3_000


def test_compacting_long_streams_keeps_their_cuts(rig):
    value = payload(3 * MIB + 5)
    before = drive(rig.shelf.put(b"kept", value))
    assert drive(compaction(rig, EVERYTHING).step()).moved > 5
    after = drive(rig.shelf.extents(b"kept"))
    assert [(extent.length, extent.check) for extent in before] == [(extent.length, extent.check) for extent in after]
    check_values(rig, {b"kept": value})
    check_accounts(rig)


@pytest.mark.parametrize("size", [3_000, 30_000, 300_000])
def test_sealed_values_are_moved_without_a_key_and_stay(rig, tmp_path, size):
    view = sealed(rig)
    expected = filled(view, size=size)
    before = {name: drive(view.shelf.extents(name)) for name in expected}
    reports = to_the_end(compaction(rig, shelf=view.shelf))
    assert sum(len(report.unlinked) for report in reports) > 2
    assert reports[-1].stuck == []
    check_values(view, expected)
    check_accounts(rig)
    after = {name: drive(view.shelf.extents(name)) for name in expected}
    assert all(extent.sealed for extents in after.values() for extent in extents)
    assert before != after
