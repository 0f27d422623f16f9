"""Reading: what is kept open, what counts as verified, and what happens when files go."""

import os
import threading

import pytest

from isotherm.clock import VirtualClock
from isotherm.devices.waiting import drive
from isotherm.errors import NotFound
from isotherm.segments.port import BLOCK_BYTES
from isotherm.segments.settings import SegmentSettings
from isotherm.testing.segments_suite import payload
from tests.segments import rigs

FEW = SegmentSettings(segment_bytes=1, extent_bytes_most=1 << 20, descriptors=3, known_bytes=1_300)


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def rig(tmp_path, clock):
    with rigs.opened(tmp_path, settings=FEW, clock=clock) as rig:
        yield rig


def open_files(below):
    """Segment files under a directory that this process has open; other tests' may not have been collected yet."""
    paths = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            paths.append(os.readlink(f"/proc/self/fd/{fd}"))
        except FileNotFoundError:
            continue
    return [path for path in paths if ".seg" in path and path.startswith(f"{below}/")]


def test_a_verified_block_counts_for_the_interval(rig, clock):
    (extent,) = drive(rig.shelf.put(b"a", payload(4 * BLOCK_BYTES + 1)))
    drive(rig.segments.read(extent, 0, extent.length))
    fd, offset = rig.segments.sendable(extent, BLOCK_BYTES + 7, 1_000)
    assert os.pread(fd, 1_000, offset) == payload(extent.length)[BLOCK_BYTES + 7 :][:1_000]
    clock.advance(599.0)
    assert rig.segments.sendable(extent, 0, extent.length) is not None
    drive(rig.segments.read(extent, 0, 10))
    clock.advance(1.0)
    assert rig.segments.sendable(extent, 0, extent.length) is None
    drive(rig.segments.read(extent, 0, 10))
    assert rig.segments.sendable(extent, 0, BLOCK_BYTES) is not None
    assert rig.segments.sendable(extent, 0, BLOCK_BYTES + 1) is None


def test_damage_is_never_remembered_as_verified(rig, tmp_path):
    (extent,) = drive(rig.shelf.put(b"a", payload(4 * BLOCK_BYTES + 1)))
    rigs.flip(rigs.path_of(tmp_path, extent.segment), extent.offset + BLOCK_BYTES)
    with pytest.raises(Exception, match="checksum"):
        drive(rig.segments.read(extent, 0, extent.length))
    assert rig.segments.sendable(extent, BLOCK_BYTES, 1) is None


def test_what_is_remembered_is_bounded(rig, tmp_path):
    extents = [drive(rig.shelf.put(b"%d" % number, payload(300_000, number)))[0] for number in range(8)]
    for _ in range(3):
        for number, extent in enumerate(extents):
            assert drive(rig.segments.read(extent, 0, extent.length)) == payload(300_000, number)
    assert len([extent for extent in extents if rig.segments.sendable(extent, 0, 10)]) <= 2
    reading = open_files(tmp_path)
    assert len(set(reading)) <= 3 + 1  # kept, and one that is lent


def test_a_sweep_lets_go_of_what_was_unlinked(rig, tmp_path):
    extents = [drive(rig.shelf.put(b"%d" % number, payload(5_000, number)))[0] for number in range(3)]
    for extent in extents:
        drive(rig.segments.read(extent, 0, 10))
    gone = extents[0]
    rigs.path_of(tmp_path, gone.segment).unlink()
    assert drive(rig.segments.read(gone, 0, 5_000)) == payload(5_000, 0)
    assert rig.segments.sweep() == 1
    assert not [path for path in open_files(tmp_path) if "deleted" in path]
    with pytest.raises(NotFound):
        drive(rig.segments.read(gone, 0, 5_000))
    assert rig.segments.read_now(gone, 0, 5_000) is None
    assert drive(rig.segments.read(extents[1], 0, 5_000)) == payload(5_000, 1)


def test_evictions_never_pull_a_file_from_under_a_reader(rig):
    """Many more files than may be open, read by several threads: a descriptor reused too early would read other bytes."""
    extents = [drive(rig.shelf.put(b"%d" % number, payload(70_000, number)))[0] for number in range(12)]
    failures = []

    def read(start):
        try:
            for turn in range(300):
                number = (start * 5 + turn * 7) % len(extents)
                assert drive(rig.segments.read(extents[number], 0, 70_000)) == payload(70_000, number)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=read, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_a_second_store_of_the_same_process_reads_the_first_ones_segments(tmp_path, rig):
    (extent,) = drive(rig.shelf.put(b"a", payload(5_000)))
    other = rigs.open_segments(tmp_path, rig.meta, settings=FEW)
    assert drive(other.read(extent, 0, 5_000)) == payload(5_000)
    other.close()
    assert drive(rig.shelf.get(b"a")) == payload(5_000)
