"""A directory that took the place of the one that was opened holds another store's files under the same numbers."""

import shutil

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import Unavailable
from isotherm.testing.segments_suite import MIB, payload
from tests.segments import rigs
from tests.segments.checks import check_accounts, check_values
from tests.segments.movers import SETTINGS, compaction, files_of, filled, to_the_end


def test_nothing_is_made_or_removed_in_it_and_all_goes_on_when_the_right_one_is_back(tmp_path):
    with rigs.opened(tmp_path, settings=SETTINGS) as rig:
        expected = filled(rig)
        (directory,) = {path.parent for path in files_of(tmp_path).values()}
        moved = directory.with_name("moved")
        directory.rename(moved)
        shutil.copytree(moved, directory)
        before = files_of(directory)

        with pytest.raises(Unavailable):
            drive(compaction(rig).step())
        with pytest.raises(Unavailable):
            drive(rig.segments.recover())
        with pytest.raises(Unavailable):
            drive(rig.shelf.put(b"large", payload(MIB, 1)))
        assert files_of(directory) == before
        assert files_of(moved).keys() == before.keys()

        shutil.rmtree(directory)
        moved.rename(directory)
        drive(rig.shelf.put(b"large", payload(MIB, 1)))
        to_the_end(compaction(rig))
        check_values(rig, expected | {b"large": payload(MIB, 1)})
        check_accounts(rig)


def test_a_directory_that_is_gone_is_named(tmp_path):
    with rigs.opened(tmp_path, settings=SETTINGS) as rig:
        drive(rig.shelf.put(b"kept", payload(100, 1)))
        (directory,) = {path.parent for path in files_of(tmp_path).values()}
        moved = directory.rename(directory.with_name("moved"))
        with pytest.raises(Unavailable, match=directory.name):
            drive(rig.shelf.put(b"large", payload(MIB, 1)))
        moved.rename(directory)
