"""What died on its way is found by how long it has been seen there, and a wrong guess loses nothing."""

import pytest

from isotherm.clock import VirtualClock
from isotherm.devices.waiting import drive
from isotherm.errors import Invalid, NotFound, Unavailable, VersionMismatch
from isotherm.segments.accounting import State
from isotherm.segments.format import encode_file_header
from isotherm.segments.port import Media
from isotherm.segments.remote.anchor import MARK
from isotherm.testing.segments_suite import MIB, payload
from isotherm.testing.shelf import key_of
from tests.segments.checks import check_accounts, check_values, every_row
from tests.segments.movers import AT_ONCE, compaction, to_the_end
from tests.segments.remote import rigs
from tests.segments.rigs import open_meta

SETTINGS = rigs.SMALL


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def rig(tmp_path, clock):
    with rigs.opened(tmp_path, clock=clock) as rig:
        yield rig


def objects(tmp_path):
    return {int(path.stem, 16) for path in (tmp_path / "bucket").rglob("*.seg")}


def recovered(rig, clock, after_s):
    """What a mover finishes that has been looking for `after_s`."""
    drive(rig.segments.recover())
    clock.advance(after_s)
    return drive(rig.segments.recover())


def begun(rig):
    """A stream that has sent some bytes, as a process that dies leaves it."""
    stream = rig.segments.stream(key_of(b"late"), Media.CAPACITY)
    drive(stream.write(payload(5 * MIB)))
    (segment,) = [number for number, row in every_row(rig.meta).items() if row.state is State.OPEN]
    return stream, segment


def test_a_young_upload_is_left_alone(rig, clock):
    stream, _ = begun(rig)
    assert recovered(rig, clock, SETTINGS.abandoned_s - 1).sealed == []
    extents = drive(stream.finish())
    drive(rig.meta.transact(lambda txn: rig.shelf.assign(txn, b"late", extents)))
    check_values(rig, {b"late": payload(5 * MIB)})
    check_accounts(rig)


def test_an_upload_that_never_ended_is_given_up_and_its_writer_told(rig, clock, tmp_path):
    stream, segment = begun(rig)
    recovered(rig, clock, SETTINGS.abandoned_s)
    assert every_row(rig.meta)[segment].state is State.EMPTIED
    with pytest.raises(Unavailable):
        drive(stream.finish())
    for _ in range(3):
        clock.advance(SETTINGS.grace_s)
        drive(rig.segments.unlink_emptied())
    assert every_row(rig.meta) == {}
    assert objects(tmp_path) == set()


def test_an_object_that_was_never_sealed_is_sealed_by_what_it_holds(rig, clock, tmp_path):
    """Its process died between the end of the upload and the commit that seals it."""
    extents = drive(rig.shelf.put(b"a", payload(5 * MIB)))
    (segment,) = {extent.segment for extent in extents}
    before = every_row(rig.meta)[segment]

    async def reopen(txn):
        from isotherm.segments.accounting import SegmentRow, row_key

        txn.put(row_key(segment), SegmentRow(before.media).pack())

    drive(rig.meta.transact(reopen))
    assert recovered(rig, clock, SETTINGS.abandoned_s).sealed == [segment]
    after = every_row(rig.meta)[segment]
    assert (after.payload, after.extents, after.end, after.size) == (
        before.payload,
        before.extents,
        before.end,
        before.size,
    )
    check_accounts(rig)


def test_a_stranger_goes_when_it_has_been_seen_for_long(rig, clock, tmp_path):
    drive(rig.shelf.put(b"mine", payload(20_000)))
    mine = objects(tmp_path)
    stranger = (1 << 63) + 5
    path = tmp_path / "bucket" / "segments" / f"{stranger:016x}.seg"
    path.write_bytes(encode_file_header(stranger, Media.PERFORMANCE))
    other = tmp_path / "bucket" / "segments" / "notes.txt"
    other.write_bytes(b"somebody's")
    assert recovered(rig, clock, SETTINGS.stranger_s - 1).removed == []
    clock.step_wall(10**12)
    assert objects(tmp_path) == {*mine, stranger}
    clock.advance(SETTINGS.survey_s)
    assert len(drive(rig.segments.recover()).removed) == 1
    assert objects(tmp_path) == mine
    assert other.exists()
    check_values(rig, {b"mine": payload(20_000)})


def test_what_was_put_and_never_referred_to_is_removed(rig, clock, tmp_path):
    drive(rig.shelf.write(b"a", payload(20_000)))
    drive(rig.shelf.write(b"b", payload(5 * MIB)))
    assert len(objects(tmp_path)) == 2
    mover = compaction(rig, AT_ONCE, clock)
    for _ in range(4):
        drive(mover.step())
        clock.advance(SETTINGS.grace_s)
    assert objects(tmp_path) == set()
    assert every_row(rig.meta) == {}


def test_a_reference_to_what_was_given_up_meanwhile_is_refused(rig, clock):
    (extent,) = drive(rig.shelf.write(b"a", payload(20_000)))
    drive(compaction(rig, AT_ONCE, clock).step())
    with pytest.raises(Unavailable):
        drive(rig.meta.transact(lambda txn: rig.shelf.assign(txn, b"a", [extent])))
    assert drive(rig.shelf.get(b"a")) is None


def test_another_store_s_bucket_is_refused(rig, tmp_path):
    drive(rig.shelf.put(b"a", payload(20_000)))
    (tmp_path / "second").mkdir()
    meta = open_meta(tmp_path / "second")
    with pytest.raises(Invalid, match="another store"):
        rigs.open_segments(rigs.open_bucket(tmp_path), meta)
    meta.close()


def test_an_empty_bucket_is_refused_by_a_store_that_has_segments(rig, tmp_path):
    drive(rig.shelf.put(b"a", payload(20_000)))
    with pytest.raises(Invalid, match="not where"):
        rigs.open_segments(rigs.open_bucket(tmp_path / "elsewhere"), rig.meta)
    rigs.open_segments(rigs.open_bucket(tmp_path), rig.meta).close()


@pytest.mark.parametrize(
    ("mark", "error"), [(b"", Invalid), (b"{}", Invalid), (b'{"format":2,"segments_of":"00"}', VersionMismatch)]
)
def test_a_mark_that_is_not_ours_is_refused(rig, tmp_path, mark, error):
    (tmp_path / "bucket" / MARK).write_bytes(mark)
    with pytest.raises(error):
        rigs.open_segments(rigs.open_bucket(tmp_path), rig.meta)


def test_a_missing_object_is_not_found_and_stays_for_a_person_to_look_at(rig, clock, tmp_path):
    (extent,) = drive(rig.shelf.put(b"a", payload(20_000)))
    (tmp_path / "bucket" / "segments" / f"{extent.segment:016x}.seg").unlink()
    with pytest.raises(NotFound):
        drive(rig.segments.read(extent, 0, 10))
    reports = to_the_end(compaction(rig, AT_ONCE, clock))
    assert reports[-1].unlinked == []
    assert every_row(rig.meta)[extent.segment].state is State.SEALED
