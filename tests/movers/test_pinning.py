"""What a check or a backup has seen stays until it has read it, whatever compaction does right after the copy was made."""

import os
from dataclasses import replace

import pytest

from isotherm.devices.locks import KeptLock, try_lock
from isotherm.devices.waiting import drive
from isotherm.movers.backup.take import back_up
from isotherm.movers.fsck.check import check
from tests.movers.stores import checked, contents, files, kinds, opened
from tests.movers.test_backup import PROGRAM, read, restored
from tests.objects.stores import compact


class Meddled:
    """The metadata, but for an event right after its copy was made and before anybody has looked at it."""

    def __init__(self, meta, event):
        self._meta = meta
        self._event = event

    def __getattr__(self, name):
        return getattr(self._meta, name)

    async def backup(self, target):
        info = await self._meta.backup(target)
        await self._event()
        return info


@pytest.fixture
def meddled(engines, filled):
    """(the store, names of the files it had): every extent moves and every old segment is emptied behind its back."""
    store = engines.opened()
    before = set(files(filled))

    async def move_everything():
        await compact(engines)

    return replace(store, meta=Meddled(store.meta, move_everything)), before


def test_a_check(meddled, engines, filled, tmp_path):
    store, before = meddled
    report = check(store, tmp_path)
    assert kinds(report) == {}
    assert report.space.verified_bytes > 0
    assert set(files(filled)) > before, "everything has moved, and nothing has gone"
    drive(compact(engines))
    assert not set(files(filled)) & before, "now nobody looks any more"
    assert kinds(checked(engines, tmp_path)) == {}


def test_a_backup(meddled, filled, held, tmp_path):
    store, _ = meddled
    made = back_up(store, tmp_path / "backup", PROGRAM)
    assert made.manifest.missing == []
    assert kinds(restored(tmp_path / "backup", tmp_path / "again").checked) == {}
    assert read(tmp_path / "again") == held


def test_scratch_of_killed_checks_goes_and_of_living_ones_stays(filled, tmp_path):
    for name in ("fsck-dead", "fsck-alive"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "lock").touch()
    engines = opened(filled, seed=2)
    held = KeptLock(os.open(tmp_path / "fsck-alive" / "lock", os.O_RDWR))
    assert try_lock(held.fd)
    checked(engines, tmp_path)
    assert [path.name for path in tmp_path.glob("fsck-*")] == ["fsck-alive"]
    held.close()
    checked(engines, tmp_path)
    assert not list(tmp_path.glob("fsck-*"))
    assert contents(engines)
    engines.close()
