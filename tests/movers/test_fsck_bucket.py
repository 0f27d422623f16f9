"""fsck of a store whose data lies in a bucket, and whose small objects lie in its metadata."""

from dataclasses import replace

import pytest

from isotherm.clock import VirtualClock
from isotherm.devices.waiting import drive
from isotherm.errors import Unsupported
from isotherm.ids import SeededIds
from isotherm.movers.backup.take import back_up
from isotherm.movers.fsck.check import check, check_in_place
from isotherm.segments.remote import inline
from isotherm.settings import Settings
from isotherm.store import compose
from tests.movers.stores import fill, kinds, space_of


@pytest.fixture
def engines(tmp_path):
    settings = replace(Settings(tmp_path / "store"), bucket=(tmp_path / "bucket").as_uri())
    engines = compose(settings, role="foreign", clock=VirtualClock(), ids=SeededIds(1))
    drive(fill(space_of(engines)))
    yield engines
    engines.close()


def changed(engines, change):
    async def act(txn):
        pairs = await txn.range(inline.VALUES, inline.VALUES + b"\xff" * 17, 10_000)
        waiting = {key for _, _, key in await inline.dropped(txn, 10_000)}
        await change(txn, [(key, value) for key, value in pairs if key not in waiting])

    drive(engines.meta.transact(act))


def report_of(engines, tmp_path):
    return check(engines.opened(), tmp_path)


def test_a_store_with_everything_in_it_is_clean(engines, tmp_path):
    report = report_of(engines, tmp_path)
    assert report.exit_code == 0, report.findings
    assert report.space.inline_bytes > 0
    assert report.space.live_bytes > 0
    assert check_in_place(engines.opened(), tmp_path).exit_code == 0


@pytest.mark.parametrize("how", ["gone", "changed"])
def test_a_payload_that_is_not_there_or_not_the_same_is_damage_of_its_object(engines, tmp_path, how):
    async def damage(txn, pairs):
        key, value = pairs[0]
        if how == "gone":
            txn.delete(key)
        else:
            txn.put(key, bytes((value[0] ^ 1,)) + value[1:])

    changed(engines, damage)
    report = report_of(engines, tmp_path)
    assert report.exit_code == 2
    assert {"extent-damaged", "object-damaged"} <= set(kinds(report))


def test_a_payload_of_no_object_is_waste(engines, tmp_path):
    async def add(txn, pairs):
        txn.put(inline.VALUES + bytes(7) + b"\1" + bytes(8), b"nobody's")

    changed(engines, add)
    report = report_of(engines, tmp_path)
    assert report.exit_code == 1
    assert set(kinds(report)) == {"leftover"}


def test_a_payload_that_is_referred_to_and_about_to_go_is_an_error_that_can_be_mended(engines, tmp_path):
    async def condemn(txn, pairs):
        txn.put_at(inline.DROPPED, txn.stamp(), pairs[0][0][len(inline.VALUES) :])

    changed(engines, condemn)
    report = report_of(engines, tmp_path)
    assert report.exit_code == 2
    assert [one.repairable for one in report.findings if one.kind == "emptied-referred"] == [True]


def test_an_object_of_the_bucket_that_is_gone_is_damage(engines, tmp_path):
    for path in (tmp_path / "bucket").rglob("*.seg"):
        path.unlink()
    report = report_of(engines, tmp_path)
    assert report.exit_code == 2
    assert "segment-missing" in kinds(report)


def test_an_object_that_nothing_knows_is_a_stranger(engines, tmp_path):
    (some, *_) = (tmp_path / "bucket").rglob("*.seg")
    some.with_name("f" * 16 + ".seg").write_bytes(b"not a segment")
    report = report_of(engines, tmp_path)
    assert report.exit_code == 1


def test_a_backup_says_that_it_does_not_know_buckets(engines, tmp_path):
    with pytest.raises(Unsupported, match="bucket"):
        back_up(engines.opened(), tmp_path / "backups", "1")


def test_a_backup_that_is_refused_leaves_its_directory_to_others(engines, tmp_path):
    with pytest.raises(Unsupported, match="lies in a bucket"):
        back_up(engines.opened(), tmp_path / "backups", "test")
    assert not (tmp_path / "backups").exists()
