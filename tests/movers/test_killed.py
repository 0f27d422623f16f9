"""Killed between any two things it does, no maintenance loses anything, and what it leaves behind never looks complete.

Each work is first run to its end in a child that is never killed; then again and again, killed a little later each time.
"""

import shutil

import pytest

from isotherm.clock import SystemClock
from isotherm.devices.directory import open_directory
from isotherm.devices.waiting import drive
from isotherm.errors import NotFound
from isotherm.ids import SystemIds
from isotherm.movers.backup import layout
from isotherm.movers.compaction import CompactionSettings
from isotherm.movers.fsck.findings import Kind
from isotherm.movers.round import Rounds
from tests.movers import damages
from tests.movers.stores import change, checked_at, contents, killed, kinds, opened, repaired_at
from tests.movers.test_backup import PROGRAM, backed_up, put, read, restored
from tests.objects.stores import rows_of

DEATHS = 8
HARMLESS = {Kind.SEGMENT_CRASHED.value}


def deaths(events):
    """Where to die: spread over the whole length, closer together towards the end, where things become final."""
    return sorted({events * (DEATHS * DEATHS - left * left) // (DEATHS * DEATHS) for left in range(DEATHS)})


def counted(work, fresh):
    """About how many events `work` has, on a path that `fresh` makes anew each time: the least at which it is not killed."""

    def dies(at):
        path = fresh()
        return killed(lambda: work(path), at=at)

    low, high = 0, 64
    while dies(high):
        low, high = high, high * 2
    while high - low > high // 32:
        middle = (low + high) // 2
        low, high = (middle, high) if dies(middle) else (low, middle)
    return high


@pytest.fixture
def fresh(filled, tmp_path):
    """Makes a copy of the store, a new one each time."""
    made = []

    def make():
        path = tmp_path / f"copy {len(made)}"
        shutil.copytree(filled, path)
        made.append(path)
        return path

    return make


def test_a_killed_backup_is_no_backup_and_hinders_no_later_one(filled, held, tmp_path):
    put(filled, "new", b"in the second generation")
    expected = read(filled)
    target = tmp_path / "backup"

    def work(path):
        backed_up(filled, path)

    numbers = iter(range(1_000))
    events = counted(work, lambda: tmp_path / f"counting {next(numbers)}")
    backed_up(filled, target)
    complete = 1
    for at in deaths(events):
        put(filled, "new", b"in a later generation", seed=100 + at)
        killed(lambda: backed_up(filled, target), at=at)
        assert layout.generations(target)[:complete] == list(range(1, complete + 1))
        complete = len(layout.generations(target))
        layout.read_manifest(target, complete)
    backed_up(filled, target)
    assert not list(target.rglob("*.partial"))
    restored(target, tmp_path / "again")
    assert read(tmp_path / "again") == {**expected, ("plain", "new", "null"): b"in a later generation"}
    assert kinds(restored(target, tmp_path / "first", generation=1).checked) == {}


def test_a_killed_restore_is_no_store(filled, held, tmp_path):
    backed_up(filled, tmp_path / "backup")
    numbers = iter(range(1_000))

    def fresh():
        return tmp_path / f"counting {next(numbers)}"

    events = counted(lambda path: restored(tmp_path / "backup", path), fresh)
    for at in deaths(events):
        path = fresh()
        killed(lambda path=path: restored(tmp_path / "backup", path), at=at)
        try:
            open_directory(path, program=PROGRAM, clock=SystemClock(), ids=SystemIds(), create=False)
        except NotFound:
            continue
        assert read(path) == held, "it says that it is a store, so it is one"


def test_a_killed_repair_is_taken_up_by_the_next(filled, held, fresh, tmp_path):
    for damage in (
        damages.manifest_orphan,
        damages.tag_index_stale,
        damages.tag_set_orphan,
        damages.live_too_low,
        damages.extent_unprotected,
        damages.segment_stranger,
    ):
        engines = opened(filled, seed=2)
        later = damage(engines, filled)
        engines.close()
        if later is not None:
            later()
    repaired_at(whole := fresh(), tmp_path)
    assert kinds(checked_at(whole, tmp_path)) == {}
    events = counted(lambda path: repaired_at(path, tmp_path), fresh)
    for at in deaths(events):
        path = fresh()
        killed(lambda path=path: repaired_at(path, tmp_path), at=at)
        assert read(path) == held
        _, after = repaired_at(path, tmp_path)
        assert kinds(after) == {}
        assert read(path) == held


def test_a_killed_round_of_background_work_loses_nothing(filled, held, fresh, tmp_path):
    engines = opened(filled, seed=2)
    change(engines, dict.fromkeys(sorted(rows_of(engines)["U"])[:1]))  # parts that fsck calls orphans
    engines.close()
    expected = kinds(checked_at(filled, tmp_path))

    def work(path):
        engines = opened(path, seed=6)
        settings = CompactionSettings(dead_fraction=0.05, settle_s=0)
        rounds = Rounds(engines.meta, engines.segments, clock=engines.clock, feed_retained=50, compaction=settings)
        while drive(rounds.run()).more:
            continue
        engines.close()

    events = counted(work, fresh)
    for at in deaths(events):
        path = fresh()
        killed(lambda path=path: work(path), at=at)
        report = kinds(checked_at(path, tmp_path))
        assert {kind: count for kind, count in report.items() if kind not in HARMLESS} == expected
        work(path)
        engines = opened(path, seed=7)
        assert contents(engines) == held
        engines.close()
        assert kinds(checked_at(path, tmp_path)) == expected
