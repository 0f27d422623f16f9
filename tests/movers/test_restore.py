"""A restore brings back what the checksums say, or nothing that anybody takes for a store."""

import random

import pytest

from isotherm.clock import SystemClock
from isotherm.devices.directory import open_directory
from isotherm.devices.waiting import drive
from isotherm.errors import Corrupt, CursorExpired, Invalid, IsothermError, NotFound, VersionMismatch
from isotherm.ids import SeededIds, SystemIds
from isotherm.movers.backup import layout
from isotherm.movers.backup.restore import UNFINISHED
from isotherm.movers.fsck import feeds
from isotherm.movers.fsck.check import DEEP
from isotherm.tenancy.identity import Credentials, State
from isotherm.tenancy.keystore import FileKeys
from tests.movers.stores import checked, contents, flip, kinds, opened, space_of
from tests.movers.test_backup import PROGRAM, backed_up, read, restored


def is_store(path):
    try:
        open_directory(path, program=PROGRAM, clock=SystemClock(), ids=SystemIds(), create=False)
    except NotFound:
        return False
    return True


@pytest.fixture
def backup(filled, tmp_path):
    """A backup directory with one generation."""
    backed_up(filled, tmp_path / "backup")
    return tmp_path / "backup"


def backup_files(backup):
    return sorted(path for path in backup.rglob("*") if path.is_file() and path.stat().st_size)


def test_the_store_is_the_same_and_its_epoch_another(filled, backup, tmp_path):
    engines = opened(filled, seed=3)
    epoch, store = engines.meta.epoch, engines.directory.store_id
    _, cursor = drive(space_of(engines).changes(None))
    engines.close()
    report = restored(backup, tmp_path / "again")
    again = opened(tmp_path / "again", seed=4)
    assert again.directory.store_id == store
    assert again.directory.created_ms == report.manifest.store_created_ms
    assert again.meta.epoch == report.epoch > epoch
    with pytest.raises(CursorExpired):
        drive(space_of(again).changes(cursor))
    drive(space_of(again).put("plain", "it goes on", b"being written"))
    again.close()
    assert not (tmp_path / "again" / UNFINISHED).exists()


def test_a_feed_of_many_pages_is_checked_to_its_end(filled, backup, tmp_path, monkeypatch):
    """Its records are of an epoch in which no cursor is good any more, and new ones follow them."""
    monkeypatch.setattr(feeds, "_PAGE", 10)

    def bounded(stage, done, total):
        assert stage != "feed" or not seen or done > seen[-1]
        seen.extend([done] * (stage == "feed"))

    seen = []
    before = restored(backup, tmp_path / "again", progress=bounded).checked.objects.feed_records
    assert before > 3 * 10
    again = opened(tmp_path / "again", seed=4)
    drive(space_of(again).put("plain", "one more", b"record"))
    seen = []
    assert checked(again, tmp_path, progress=bounded).objects.feed_records == before + 1
    again.close()


def test_it_can_be_checked_to_the_last_byte(backup, tmp_path):
    report = restored(backup, tmp_path / "again", depth=DEEP)
    assert report.checked.space.verified_bytes == report.checked.space.live_bytes > 0
    assert kinds(report.checked) == {}


@pytest.mark.parametrize("seed", range(8))
def test_a_damaged_backup_is_refused(seed, backup, tmp_path):
    """One flipped bit, a truncated file or a missing one, anywhere but in what no restore reads."""
    choice = random.Random(seed)
    victims = [path for path in backup_files(backup) if path.name not in (layout.LOCK, layout.MARK)]
    victim = choice.choice(victims)
    match seed % 4:
        case 0 | 1:
            flip(victim, choice.randrange(victim.stat().st_size), 1 << choice.randrange(8))
        case 2:
            victim.write_bytes(victim.read_bytes()[:-1])
        case 3:
            victim.unlink()
    with pytest.raises((Corrupt, NotFound)):
        restored(backup, tmp_path / "again")
    assert not is_store(tmp_path / "again")


def test_a_manifest_is_proof_against_every_flipped_bit(backup, tmp_path):
    manifest = backup / "generations" / "000001" / layout.MANIFEST
    data = manifest.read_bytes()
    original = layout.decode_manifest(data, manifest)
    for at in range(0, len(data), 7):
        changed = bytearray(data)
        changed[at] ^= 4
        try:
            assert layout.decode_manifest(bytes(changed), manifest) == original
        except (Corrupt, VersionMismatch):
            continue


def test_another_format_is_refused(backup, tmp_path):
    mark = backup / layout.MARK
    mark.write_bytes(mark.read_bytes().replace(b'"format":1', b'"format":2'))
    with pytest.raises(VersionMismatch):
        restored(backup, tmp_path / "again")


def test_targets_that_are_not_empty_are_refused(backup, filled, tmp_path):
    with pytest.raises(Invalid, match="not empty"):
        restored(backup, filled)
    (tmp_path / "half" / UNFINISHED).mkdir(parents=True)
    with pytest.raises(Invalid, match="did not come to its end"):
        restored(backup, tmp_path / "half")
    (tmp_path / "empty").mkdir()
    restored(backup, tmp_path / "empty")
    assert is_store(tmp_path / "empty")


def test_what_is_not_there_is_not_found(backup, tmp_path):
    for source, generation in ((tmp_path / "nowhere", None), (backup, 7)):
        with pytest.raises(NotFound):
            restored(source, tmp_path / "again", generation=generation)


def test_access_keys_work_again_with_the_root_key_and_only_with_it(filled, tmp_path):
    engines = opened(filled, seed=3)
    keys = FileKeys(engines.directory.keys, SeededIds(5))
    pair = drive(Credentials(engines.meta, keys, engines.clock, SeededIds(6)).create("a robot"))
    engines.close()
    backed_up(filled, tmp_path / "backup")
    root_key = (filled / "keys" / "root.key").read_bytes()

    with_key = restored(tmp_path / "backup", tmp_path / "with", root_key=root_key)
    without = restored(tmp_path / "backup", tmp_path / "without")
    assert (with_key.credentials, with_key.readable) == (1, 1)
    assert (without.credentials, without.readable) == (1, 0)
    assert found(tmp_path / "with", pair.access_key) == [(State.ACTIVE, pair.secret)]
    assert found(tmp_path / "without", pair.access_key) == [(State.UNREADABLE, None)]
    for wrong in (b"k" * 32, b"short"):
        with pytest.raises(Invalid, match="root key"):
            restored(tmp_path / "backup", tmp_path / f"wrong {len(wrong)}", root_key=wrong)
        assert not is_store(tmp_path / f"wrong {len(wrong)}")


def found(path, access_key):
    engines = opened(path, seed=8)
    try:
        credentials = Credentials(
            engines.meta, FileKeys(engines.directory.keys, SeededIds(7)), engines.clock, SeededIds(9)
        )
        pair = drive(credentials.look_up(access_key))
        return [(one.state, pair and pair.secret) for one in drive(credentials.list())]
    finally:
        engines.close()


def test_restoring_changes_nothing_in_the_backup(backup, tmp_path):
    def state():
        return {path: path.read_bytes() for path in backup_files(backup)}

    before = state()
    restored(backup, tmp_path / "again")
    assert state() == before


def test_two_stores_of_one_backup_go_on_apart(backup, held, tmp_path):
    restored(backup, tmp_path / "one")
    restored(backup, tmp_path / "two")
    one, two = opened(tmp_path / "one", seed=3), opened(tmp_path / "two", seed=4)
    assert one.meta.epoch != two.meta.epoch, "cursors of one are no cursors of the other"
    drive(space_of(one).delete("plain", "key 0010"))
    assert contents(two) == held
    one.close()
    two.close()


def test_a_full_disk_is_told_before_anything_is_written(backup, tmp_path):
    from isotherm.devices.drive import SystemDrive
    from isotherm.movers.backup.restore import restore

    class Full(SystemDrive):
        def free_bytes(self, path):
            return 1_000

    with pytest.raises(IsothermError, match="room"):
        restore(backup, tmp_path / "again", PROGRAM, clock=SystemClock(), ids=SystemIds(), device=Full())
    assert not is_store(tmp_path / "again")
    assert read_nothing(tmp_path / "again")


def read_nothing(path):
    return not path.exists() or not any(path.iterdir())


__all__ = ["read"]
