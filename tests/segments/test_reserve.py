"""A medium that has run full keeps room for what frees it: clients stop before its end, removals and compaction do not."""

from dataclasses import replace
from pathlib import Path

import pytest

from isotherm.devices.drive import SystemDrive
from isotherm.devices.faulty_drive import FaultyDrive
from isotherm.devices.waiting import drive
from isotherm.errors import NoSpace
from isotherm.ids import SeededIds
from isotherm.segments.port import Media
from isotherm.testing.segments_suite import MIB, payload
from tests.segments import rigs
from tests.segments.checks import check_accounts, check_values
from tests.segments.movers import AT_ONCE, compaction, files_of, to_the_end

RESERVE = 4 * MIB
SETTINGS = replace(rigs.SMALL, reserve_bytes=RESERVE)
SHORT, LONG = 5_000, 2 * MIB


@pytest.fixture
def device():
    return FaultyDrive(SeededIds(1))


@pytest.fixture
def rig(tmp_path, device):
    with rigs.opened(tmp_path, device=device, settings=SETTINGS) as rig:
        yield rig


@pytest.mark.parametrize("size", [SHORT, LONG])
def test_clients_are_refused_at_the_reserve_and_what_they_remove_comes_back(rig, device, tmp_path, size):
    kept = payload(size, 1)
    drive(rig.shelf.put(b"kept", kept))
    drive(rig.shelf.put(b"gone", payload(3 * size, 2)))
    before = set(files_of(tmp_path))
    device.fill(RESERVE)
    with pytest.raises(NoSpace):
        drive(rig.shelf.put(b"refused", payload(size, 3)))
    drive(rig.shelf.delete(b"gone"))
    to_the_end(compaction(rig, AT_ONCE))
    assert not before & set(files_of(tmp_path))
    check_values(rig, {b"kept": kept})
    check_accounts(rig)
    device.fill(None)
    drive(rig.shelf.put(b"new", payload(size, 4)))
    check_values(rig, {b"kept": kept, b"new": payload(size, 4)})


def test_compaction_leaves_half_of_the_reserve_and_takes_first_what_is_dead_as_a_whole(rig, device, tmp_path):
    drive(rig.shelf.put(b"kept", payload(LONG, 1)))
    drive(rig.shelf.put(b"gone", payload(3 * LONG, 2)))
    drive(rig.shelf.put(b"gone too", payload(SHORT, 3)))
    device.fill(RESERVE // 2)
    for size in (SHORT, LONG):
        with pytest.raises(NoSpace):
            drive(rig.shelf.put(b"refused", payload(size, 4)))
    drive(rig.shelf.delete(b"gone"))
    drive(rig.shelf.delete(b"gone too"))
    (report, *_) = to_the_end(compaction(rig, AT_ONCE))
    assert (report.moved, len(report.unlinked)) == (0, 1)
    device.fill(RESERVE // 2 + LONG)
    (report, *_) = to_the_end(compaction(rig, AT_ONCE))
    assert (report.moved, len(report.unlinked)) == (1, 1)
    check_values(rig, {b"kept": payload(LONG, 1)})


def test_a_stream_ends_at_the_reserve_and_gives_back_what_it_took(rig, device, tmp_path):
    room = RESERVE + 5 * MIB
    device.fill(room)
    with pytest.raises(NoSpace):
        drive(rig.shelf.put(b"refused", b"".join(payload(MIB, seed) for seed in range(12))))
    assert device.free_bytes(tmp_path) >= room - MIB
    assert drive(rig.shelf.put(b"a", payload(LONG)))


class Crowded(SystemDrive):
    """A drive on which some directories are full."""

    def __init__(self):
        self.full = set()

    def free_bytes(self, path: Path) -> int:
        return 0 if path in self.full else super().free_bytes(path)


@pytest.mark.parametrize("size", [SHORT, LONG])
def test_writing_goes_on_in_another_directory_when_one_is_full(tmp_path, size):
    device = Crowded()
    with rigs.opened(tmp_path, device=device) as rig:
        (first,) = drive(rig.shelf.put(b"first", payload(size, 1), Media.CAPACITY))
        device.full.add(rigs.path_of(tmp_path, first.segment).parent)
        places = set()
        for seed in (2, 3):
            (extent,) = drive(rig.shelf.put(b"%d" % seed, payload(size, seed), Media.CAPACITY))
            places.add(rigs.path_of(tmp_path, extent.segment))
        (place,) = places
        assert place.parent not in device.full
        device.full.add(place.parent)
        with pytest.raises(NoSpace):
            drive(rig.shelf.put(b"refused", payload(size, 4), Media.CAPACITY))
        check_values(rig, {b"first": payload(size, 1), b"2": payload(size, 2), b"3": payload(size, 3)})
