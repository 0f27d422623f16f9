"""Processes die: what they acknowledged stays, and what they left open is sealed by others, once, while they work."""

import asyncio
import errno
import os
import signal
import subprocess
import sys
import threading

import pytest

from isotherm.clock import VirtualClock
from isotherm.devices.faulty_drive import FaultyDrive
from isotherm.devices.waiting import drive
from isotherm.errors import NoSpace, Unavailable
from isotherm.ids import SeededIds
from isotherm.movers.compaction import Compaction, CompactionSettings
from isotherm.segments.accounting import State
from isotherm.segments.recovery import Recovered
from isotherm.testing.segments_suite import MIB, Rig, payload
from isotherm.testing.shelf import OWNER
from tests.segments import rigs
from tests.segments.checks import check_accounts, check_values, every_row
from tests.segments.process import SETTINGS


@pytest.fixture
def meta(tmp_path):
    meta = rigs.open_meta(tmp_path)
    yield meta
    meta.close()


def dead_store(tmp_path, meta, *, values=3, cut=False):
    """A store whose process died with open segments; its values."""
    device = FaultyDrive(SeededIds(1))
    rig = Rig(rigs.open_segments(tmp_path, meta, device=device), meta, 0)
    expected = {}
    for number in range(values):
        for size in (3_000, 300_000):
            name = b"%d of %d" % (number, size)
            expected[name] = payload(size, number)
            drive(rig.shelf.put(name, expected[name]))
    if cut:
        drive(rig.segments.stream(b"xunder way").write(payload(2 * MIB)))
    device.kill()
    return expected


def test_what_a_dead_process_left_open_is_sealed(tmp_path, meta):
    expected = dead_store(tmp_path, meta, cut=True)
    rig = Rig(rigs.open_segments(tmp_path, meta), meta, 0)
    check_values(rig, expected)
    report = drive(rig.segments.recover())
    assert len(report.sealed) == 2
    assert {row.state for row in every_row(meta).values()} == {State.SEALED}
    check_values(rig, expected)
    check_accounts(rig)
    assert drive(rig.segments.recover()).sealed == []
    rig.segments.close()


@pytest.mark.parametrize("seed", range(8))
def test_a_first_write_that_cannot_be_synced_leaves_no_stranger_behind_a_power_cut(tmp_path, meta, seed):
    """Its file goes, and may come back with what was never acknowledged in it."""
    device = FaultyDrive(SeededIds(seed))
    segments = rigs.open_segments(tmp_path, meta, device=device)
    device.fail("fdatasync", errno.ENOSPC, after=1)
    with pytest.raises(NoSpace):
        drive(segments.append(b"xowner", payload(1_000)))
    segments.close()
    device.cut_power()
    segments = rigs.open_segments(tmp_path, meta)
    drive(segments.recover())
    assert drive(segments.recover()) == Recovered()
    assert every_row(meta) == {}
    assert not list(tmp_path.rglob("*.seg"))
    segments.close()


@pytest.mark.parametrize("referred", [False, True])
def test_a_row_whose_file_is_gone_goes_unless_something_refers_to_it(tmp_path, meta, referred):
    device = FaultyDrive(SeededIds(1))
    rig = Rig(rigs.open_segments(tmp_path, meta, device=device), meta, 0)
    drive(rig.shelf.put(b"a", payload(5_000)) if referred else rig.segments.append(b"xowner", payload(5_000)))
    device.kill()
    (segment,) = every_row(meta)
    rigs.path_of(tmp_path, segment).unlink()
    segments = rigs.open_segments(tmp_path, meta)
    assert drive(segments.recover()).missing == ([segment] if referred else [])
    assert list(every_row(meta)) == ([segment] if referred else [])
    segments.close()


def test_what_a_living_process_has_open_is_left_alone(tmp_path, meta):
    rig = Rig(rigs.open_segments(tmp_path, meta), meta, 0)
    other = Rig(rigs.open_segments(tmp_path, meta), meta, 0)
    drive(rig.shelf.put(b"a", payload(5_000)))
    stream = rig.segments.stream(b"xlong")
    drive(stream.write(payload(2 * MIB)))
    assert drive(other.segments.recover()).sealed == []
    drive(rig.shelf.put(b"b", payload(5_000)))
    (extent,) = drive(stream.finish())
    assert drive(other.segments.read(extent, 0, extent.length)) == payload(2 * MIB)
    rig.segments.close()
    other.segments.close()
    check_accounts(rig)


def test_a_segment_that_its_process_seals_meanwhile_keeps_its_own_row(tmp_path, meta):
    rig = Rig(rigs.open_segments(tmp_path, meta), meta, 0)
    drive(rig.shelf.put(b"a", payload(5_000)))

    class Late:
        """The metadata as a slow reader sees it: between its look at the rows and what it does, the owner seals."""

        def __getattr__(self, name):
            return getattr(meta, name)

        async def range(self, *asked):
            rows = await meta.range(*asked)
            rig.segments.close()
            self.sealed = every_row(meta)
            return rows

    late = Late()
    other = rigs.open_segments(tmp_path, late, clock=VirtualClock())
    assert drive(other.recover()).sealed == []
    assert every_row(meta) == late.sealed
    other.close()


def test_many_recover_at_once(tmp_path, meta):
    expected = dead_store(tmp_path, meta)
    stores = [rigs.open_segments(tmp_path, meta) for _ in range(4)]
    sealed, failures = [], []

    def recover(store):
        try:
            sealed.extend(drive(store.recover()).sealed)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=recover, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert sorted(sealed) == sorted(every_row(meta))
    rig = Rig(stores[0], meta, 0)
    check_values(rig, expected)
    check_accounts(rig)
    for store in stores:
        store.close()


def test_files_without_a_row_go_only_if_they_hold_nothing(tmp_path, meta):
    rig = Rig(rigs.open_segments(tmp_path, meta), meta, 0)
    empty, headed, full = (tmp_path / "fast" / f"{number:016x}.seg" for number in (1, 2, 3))
    empty.touch()
    (extent,) = drive(rig.shelf.put(b"a", payload(5_000)))
    content = rigs.path_of(tmp_path, extent.segment).read_bytes()
    headed.write_bytes(content[:32])
    full.write_bytes(content)
    report = drive(rig.segments.recover())
    assert sorted(report.removed) == [empty, headed]
    assert report.strangers == [full]
    assert full.exists()
    assert not empty.exists()
    rig.segments.close()


def test_a_file_that_is_gone_is_reported_missing(tmp_path, meta):
    dead_store(tmp_path, meta, values=1)
    rig = Rig(rigs.open_segments(tmp_path, meta), meta, 0)
    (lost, other) = every_row(meta)
    rigs.path_of(tmp_path, lost).unlink()
    report = drive(rig.segments.recover())
    assert (report.missing, report.sealed) == ([lost], [other])
    assert every_row(meta)[lost].state is State.OPEN
    rig.segments.close()


def test_an_unreadable_segment_does_not_keep_others_from_recovery(tmp_path, meta):
    expected = dead_store(tmp_path, meta)
    (first, other) = every_row(meta)
    device = FaultyDrive(SeededIds(1))
    rig = Rig(rigs.open_segments(tmp_path, meta, device=device), meta, 0)
    device.fail("pread", errno.EIO, after=1, suffix=f"{first:016x}.seg")
    report = drive(rig.segments.recover())
    assert (report.missing, report.sealed) == ([first], [other])
    assert drive(rig.segments.recover()).sealed == [first]
    check_values(rig, expected)
    check_accounts(rig)
    device.fail("list", errno.EIO)
    with pytest.raises(Unavailable):
        drive(rig.segments.recover())
    rig.segments.close()


def test_a_store_can_be_closed_where_a_loop_runs(tmp_path, meta):
    async def check():
        rig = Rig(rigs.open_segments(tmp_path, meta), meta, 0)
        await rig.shelf.put(b"a", payload(5_000))
        waiting = asyncio.ensure_future(rig.segments.append(b"xlate", payload(100)))
        await asyncio.sleep(0)
        rig.segments.close()
        assert (await waiting).length == 100

    asyncio.run(check())
    (row,) = every_row(meta).values()
    assert (row.state, row.extents) == (State.SEALED, 2)


def test_the_tail_of_a_dead_stream_is_given_back_by_compaction(tmp_path, meta):
    expected = dead_store(tmp_path, meta, cut=True)
    rig = Rig(rigs.open_segments(tmp_path, meta), meta, 0)
    before = sum(path.stat().st_size for path in tmp_path.rglob("*.seg"))
    drive(rig.segments.recover())
    mover = Compaction(
        rig.segments,
        meta,
        {OWNER: rig.shelf},
        clock=VirtualClock(1 << 50),
        settings=CompactionSettings(settle_s=0.0),
    )
    drive(mover.step())
    drive(mover.step())
    check_values(rig, expected)
    check_accounts(rig)
    after = sum(path.stat().st_size for path in tmp_path.rglob("*.seg"))
    assert before - after > MIB
    rig.segments.close()


def test_a_child_of_a_fork_does_not_keep_its_dead_parents_segments(tmp_path, meta):
    command = [sys.executable, "-m", "tests.segments.process", str(tmp_path), "1", "fork"]
    meta.close()
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    child = int(process.stdout.readline())
    try:
        process.send_signal(signal.SIGKILL)
        process.wait()
        with rigs.opened(tmp_path) as rig:
            assert len(drive(rig.segments.recover()).sealed) == 1
            check_values(rig, {b"of the parent": payload(5_000, 1)})
    finally:
        os.kill(child, signal.SIGKILL)
        process.stdout.close()


def outcomes(lines):
    """Per name: what may be there: what was acknowledged last, and what was under way then."""
    possible = {}
    for line in lines:
        name, *words = line.split()
        last = possible.setdefault(name, [None])
        if words == ["going"]:
            last.append(None)
        elif words == ["gone"]:
            possible[name] = [None]
        elif words[-1] == "soon":
            last.append((int(words[0]), int(words[1])))
        else:
            possible[name] = [(int(words[0]), int(words[1]))]
    return possible


@pytest.mark.parametrize("rounds", [3])
def test_nothing_acknowledged_is_lost_when_processes_are_killed(tmp_path, rounds):
    """Two processes write, recover and compact; both are killed in mid-work, several times over the same store."""
    lines = []
    for turn in range(rounds):
        processes = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.segments.process", str(tmp_path), str(2 * turn + number), "write"],
                stdout=subprocess.PIPE,
            )
            for number in range(2)
        ]
        said = [[process.stdout.readline().decode() for _ in range(150 + 90 * turn)] for process in processes]
        for process in processes:
            process.send_signal(signal.SIGKILL)
        for process, some in zip(processes, said, strict=True):
            some += process.stdout.read().decode().splitlines()
            assert process.wait() == -signal.SIGKILL
            lines += some
            process.stdout.close()
    with rigs.opened(tmp_path, settings=SETTINGS) as rig:
        report = drive(rig.segments.recover())
        assert not report.missing
        assert not report.strangers
        check_all(rig, outcomes(lines))
        mover = Compaction(
            rig.segments,
            rig.meta,
            {OWNER: rig.shelf},
            clock=VirtualClock(1 << 50),
            settings=CompactionSettings(settle_s=0.0),
        )
        for _ in range(4):
            report = drive(mover.step())
        assert not report.stuck
        assert not report.waiting
        check_all(rig, outcomes(lines))


def check_all(rig, possible):
    for name, allowed in possible.items():
        value = drive(rig.shelf.get(name.encode()))
        assert value in [None if one is None else payload(one[1], one[0]) for one in allowed], name
    for name in drive(rig.shelf.names()):
        assert drive(rig.shelf.get(name)) is not None
    check_accounts(rig)
