"""Small payloads in the metadata: there exactly while something refers to them, and a while longer for who reads them."""

import pytest

from isotherm.clock import VirtualClock
from isotherm.devices.waiting import drive
from isotherm.errors import NotFound
from isotherm.segments.port import Extent, unpack_extents
from isotherm.segments.remote import inline
from isotherm.testing.segments_suite import payload
from tests.segments.remote import rigs

GRACE_S = rigs.SMALL.inline_grace_s


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def rig(tmp_path, clock):
    with rigs.opened(tmp_path, clock=clock) as rig:
        yield rig


def values(rig):
    return drive(rig.meta.range(inline.VALUES, inline.VALUES + b"\xff" * 17, 10_000))


def removals(rig):
    """What a round of removing takes away now."""
    before = len(values(rig))
    drive(rig.segments.unlink_emptied())
    return before - len(values(rig))


def removed_in_time(rig, clock):
    """What goes when movers have worked for some grace periods."""
    before = len(values(rig))
    for _ in range(3):
        removals(rig)
        clock.advance(GRACE_S)
    return before - len(values(rig))


@pytest.mark.parametrize(("size", "inlined"), [(1, True), (16_384, True), (16_385, False)])
def test_payloads_up_to_the_limit_lie_in_the_metadata(rig, tmp_path, size, inlined):
    (extent,) = drive(rig.shelf.put(b"a", payload(size)))
    assert inline.is_inline(extent) == inlined
    assert [value for _, value in values(rig)] == ([payload(size)] if inlined else [])
    assert len(list((tmp_path / "bucket").rglob("*.seg"))) == (0 if inlined else 1)


def test_nothing_is_left_of_what_was_never_referred_to(rig):
    drive(rig.shelf.write(b"a", payload(100)))
    assert values(rig) == []


def test_an_extent_is_equal_to_the_one_that_was_packed(rig):
    extent = drive(rig.segments.append(b"xa", payload(100)))
    (unpacked,) = unpack_extents(extent.pack())
    assert type(unpacked) is Extent
    assert extent == unpacked
    assert unpacked == extent
    assert len({extent, unpacked}) == 1
    assert extent != unpack_extents(drive(rig.segments.append(b"xa", payload(100))).pack())[0]


def test_a_payload_outlives_its_last_reference_by_a_grace_period(rig, clock):
    drive(rig.shelf.put(b"a", payload(100)))
    (resolved,) = drive(rig.shelf.extents(b"a"))
    drive(rig.shelf.put(b"a", payload(200)))
    removals(rig)
    clock.advance(GRACE_S - 1)
    assert removals(rig) == 0
    assert drive(rig.segments.read(resolved, 0, 100)) == payload(100)
    clock.advance(GRACE_S)
    assert removals(rig) == 1
    with pytest.raises(NotFound):
        drive(rig.segments.read(resolved, 0, 100))
    assert drive(rig.shelf.get(b"a")) == payload(200)
    assert drive(inline.dropped(rig.meta, 10)) == []


def test_copies_share_a_payload_until_the_last_goes(rig, clock):
    drive(rig.shelf.put(b"a", payload(100)))
    drive(rig.shelf.copy(b"a", b"b"))
    drive(rig.shelf.delete(b"a"))
    assert removed_in_time(rig, clock) == 0
    assert drive(rig.shelf.get(b"b")) == payload(100)
    drive(rig.shelf.delete(b"b"))
    assert removed_in_time(rig, clock) == 1


def test_many_are_removed_and_none_that_is_referred_to(rig, clock):
    for number in range(1_300):
        drive(rig.shelf.put(b"%d" % (number % 700), payload(10, number)))
    assert removed_in_time(rig, clock) == 600
    assert {drive(rig.shelf.get(b"%d" % number)) for number in range(700)} == {
        payload(10, n) for n in range(600, 1_300)
    }


def test_a_transaction_that_is_run_again_writes_the_payload_once(rig):
    (extent,) = drive(rig.shelf.write(b"a", payload(100)))
    runs = []

    async def assign(txn):
        await rig.shelf.assign(txn, b"a", [extent])
        await txn.get(b"xother")
        if not runs:
            await rig.meta.transact(lambda other: rig.shelf.assign(other, b"other", []))
        runs.append(1)

    drive(rig.meta.transact(assign))
    assert len(runs) == 2
    assert len(values(rig)) == 1
    assert drive(rig.shelf.get(b"a")) == payload(100)
