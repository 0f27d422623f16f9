"""The power goes at any sync of anything a store does, over its whole directory: nothing acknowledged is lost, fsck is clean.

What the script does is recorded once; for each cut the directory is rebuilt as it may be then (`power.py`), opened, checked,
compared, and written to.
"""

import os
import random

import pytest

from tests.faults import planted
from tests.faults.cuts import Found, just_before
from tests.faults.power import Variant, inodes_below, is_sync, lay_out
from tests.faults.recording import COMPILER, Recorder, build
from tests.faults.script import SERVED, record
from tests.faults.walk import walk_through

pytestmark = [pytest.mark.skipif(COMPILER is None, reason="needs a C compiler"), pytest.mark.timeout(300)]

LONG_SEEDS = int(os.environ.get("SEEDS", "3"))
SHARDS = len(os.sched_getaffinity(0))
SAMPLE = 24  # of some 470 points


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return build(tmp_path_factory.mktemp("library"))


def recorded(library, place, **how):
    (place / "root").mkdir(parents=True)
    recorder = Recorder(library, place / "root", place / "log")
    record(recorder, **how)
    return recorder


def test_nothing_acknowledged_is_lost_when_the_power_goes(library, tmp_path):
    found = walk_through(recorded(library, tmp_path), tmp_path, every=SAMPLE, first=9)
    print(found)
    assert not found.problems, str(found)
    assert found.points >= 15
    assert found.acknowledged > 50


def test_a_store_that_is_being_made_is_one_or_can_be_made_again(library, tmp_path):
    found = walk_through(recorded(library, tmp_path, chapters=("begin",)), tmp_path, upto=16, mixed=2)
    print(found)
    assert not found.problems, str(found)
    assert found.images > 30


@pytest.mark.torture
@pytest.mark.timeout(0)
@pytest.mark.parametrize("number", range(LONG_SEEDS))
def test_nothing_acknowledged_is_lost_whenever_the_power_goes(library, tmp_path, number):
    """Every point of another script each time, with more of what a cut may leave."""
    seed = random.randrange(1, 1 << 20) if number else 0
    found = walk_through(recorded(library, tmp_path, seed=seed), tmp_path, shards=SHARDS, seed=seed, mixed=4)
    print(f"seed {seed}: {found}")
    assert not found.problems, f"seed {seed}: {found}"
    assert found.points > 300


@pytest.mark.torture
@pytest.mark.timeout(0)
def test_nothing_acknowledged_is_lost_whenever_the_power_of_a_server_goes(library, tmp_path):
    """All of its processes are recorded."""
    found = walk_through(recorded(library, tmp_path, chapters=SERVED), tmp_path, shards=SHARDS, mixed=3)
    print(found)
    assert not found.problems, str(found)
    assert found.points > 200


def cut_again(library, tmp_path, points):
    """What a cut leaves is opened, recovered and compacted, and the power goes at any sync of that; all that is found then."""
    events = recorded(library, tmp_path / "first", chapters=("begin", "crash")).events()
    syncs = sum(map(is_sync, events))
    found = Found()
    for number in range(points):
        disk, said = just_before(events, syncs - number * (syncs // 2 // points) - 1)
        image = disk.image(Variant("anything", "any", "any", seed=number))
        for place in (root := tmp_path / f"{number}" / "root", before := tmp_path / f"{number}" / "before"):
            place.mkdir(parents=True)
            lay_out(image, place)
        initial = str(before), inodes_below(root)
        again = Recorder(library, root, root.parent / "log")
        record(again, chapters=("reopen",), seed=50 + number)
        found += walk_through(again, root.parent, initial=initial, before=said, seed=number)
    print(found)
    assert not found.problems, str(found)
    return found


def test_nothing_is_lost_when_the_power_goes_again_while_the_store_recovers(library, tmp_path):
    assert cut_again(library, tmp_path, 1).points > 10


@pytest.mark.torture
@pytest.mark.timeout(0)
def test_nothing_is_lost_when_the_power_goes_again_and_again(library, tmp_path):
    assert cut_again(library, tmp_path, 20).points > 200


@pytest.mark.parametrize("fault", planted.FAULTS)
def test_a_planted_fault_is_found(library, tmp_path, fault):
    """The same script, on a store that syncs too little or too late."""
    recorder = recorded(library, tmp_path, chapters=("begin",), fault=(fault,))
    found = walk_through(recorder, tmp_path, mixed=0, most=1)
    assert found.problems, f"{fault} was not found"


def test_without_a_fault_the_same_walk_finds_nothing(library, tmp_path):
    found = walk_through(recorded(library, tmp_path, chapters=("begin",)), tmp_path, mixed=0, most=1)
    assert not found.problems, str(found)
