"""A backup holds what was acknowledged before it began, all of it and nothing half, and a later one copies only what is new."""

import asyncio
import threading

import pytest

from isotherm.clock import SystemClock, VirtualClock
from isotherm.devices.drive import SystemDrive
from isotherm.devices.locks import KeptLock, try_lock
from isotherm.devices.waiting import drive
from isotherm.errors import Invalid, Unavailable
from isotherm.ids import SystemIds
from isotherm.movers.backup import layout
from isotherm.movers.backup.restore import restore
from isotherm.movers.backup.take import back_up, remove_old
from isotherm.movers.compaction import Compaction, CompactionSettings
from isotherm.objects import garbage
from isotherm.objects.referrer import PartReferrer, VersionReferrer
from isotherm.segments import accounting
from tests.movers.stores import change, checked_at, contents, files, kinds, opened, space_of
from tests.objects.stores import compact, payload

PROGRAM = "0.1.0"


def backed_up(path, target, **options):
    engines = opened(path, seed=11)
    try:
        return back_up(engines.opened(), target, PROGRAM, **options)
    finally:
        engines.close()


def restored(source, data, **options):
    return restore(source, data, PROGRAM, clock=SystemClock(), ids=SystemIds(), device=SystemDrive(), **options)


def read(path):
    engines = opened(path, seed=12, create=False)
    try:
        return contents(engines)
    finally:
        engines.close()


def put(path, key, data, seed=13):
    engines = opened(path, seed=seed)
    drive(space_of(engines).put("plain", key, data))
    engines.close()


def test_what_was_backed_up_comes_back(filled, held, tmp_path):
    made = backed_up(filled, tmp_path / "backup")
    assert made.manifest.generation == 1
    assert made.manifest.missing == []
    assert made.copied_segments == len(made.manifest.segments) == len(files(filled))
    report = restored(tmp_path / "backup", tmp_path / "again")
    assert kinds(report.checked) == {}
    assert read(tmp_path / "again") == held
    assert kinds(checked_at(tmp_path / "again", tmp_path)) == {}


def test_a_later_backup_copies_only_what_is_new(filled, held, tmp_path):
    first = backed_up(filled, tmp_path / "backup")
    assert backed_up(filled, tmp_path / "backup").copied_segments == 0
    put(filled, "new", b"of the third generation")
    third = backed_up(filled, tmp_path / "backup")
    assert third.manifest.generation == 3
    assert third.copied_segments == 1
    assert len(third.manifest.segments) == len(first.manifest.segments) + 1
    restored(tmp_path / "backup", tmp_path / "newest")
    restored(tmp_path / "backup", tmp_path / "first", generation=1)
    assert read(tmp_path / "first") == held
    assert set(read(tmp_path / "newest")) - set(held) == {("plain", "new", "null")}


def test_old_generations_go_with_the_segments_only_they_used(filled, tmp_path):
    target = tmp_path / "backup"
    backed_up(filled, target)
    for number in range(3):
        put(filled, "new", payload(1_000, number), seed=20 + number)
        made = backed_up(filled, target, keep=2)
    assert made.removed == [2]
    assert layout.generations(target) == [3, 4]
    used = {one.file.path for number in (3, 4) for one in layout.read_manifest(target, number).segments}
    assert {f"segments/{path.name}" for path in (target / "segments").iterdir()} == used
    assert kinds(restored(target, tmp_path / "third", generation=3).checked) == {}
    with pytest.raises(Invalid):
        remove_old(target, 0)


def test_a_linked_backup_takes_no_space_and_survives_the_store(filled, held, tmp_path):
    made = backed_up(filled, tmp_path / "backup", hardlink=True)
    assert made.copied_bytes == 0
    for file in files(filled).values():
        assert file.stat().st_nlink == 2
        file.unlink()
    restored(tmp_path / "backup", tmp_path / "again")
    assert read(tmp_path / "again") == held


def test_open_segments_are_copied_as_far_as_the_metadata_knows(tmp_path):
    """The store is in use: its segments are open, a stream is half way, and an unfinished batch lies at the end."""
    engines = opened(tmp_path / "store")
    space = space_of(engines)
    drive(space.create_bucket("plain"))
    for number in range(5):
        drive(space.put("plain", f"key {number}", payload(3_000, number)))
    stream = engines.segments.stream(b"p of nobody yet")
    drive(stream.write(payload(500_000)))
    held = contents(engines)
    made = back_up(engines.opened(), tmp_path / "backup", PROGRAM)
    drive(stream.abort())
    drive(space.put("plain", "later", b"not in it"))
    engines.close()
    assert any("/segments/" in one.file.path and "generations" in one.file.path for one in made.manifest.segments)
    assert kinds(restored(tmp_path / "backup", tmp_path / "again").checked) == {}
    assert read(tmp_path / "again") == held


def test_a_backup_among_writers_is_exactly_the_commits_up_to_its_own(tmp_path):
    """Acknowledged puts carry the stamps of their commits: those up to the manifest's are there, all others are not."""
    engines = opened(tmp_path / "store", clock=VirtualClock())
    drive(space_of(engines).create_bucket("plain"))
    acknowledged, ended = {}, threading.Event()
    thread = threading.Thread(target=lambda: asyncio.run(_write(engines, acknowledged, ended)))
    thread.start()
    manifests = []
    try:
        while len(manifests) < 2:
            assert thread.is_alive()
            if len(acknowledged) < 30 * (len(manifests) + 1):
                continue
            before = dict(acknowledged)
            manifest = back_up(engines.opened(), tmp_path / "backup", PROGRAM).manifest
            assert all(commit <= manifest.commit for commit, _ in before.values()), "acknowledged before it began"
            manifests.append(manifest)
    finally:
        ended.set()
        thread.join()
    engines.close()
    for manifest in manifests:
        report = restored(tmp_path / "backup", tmp_path / f"of {manifest.generation}", generation=manifest.generation)
        assert kinds(report.checked) == {}
        there = {
            key: data
            for (_, key, _), data in read(tmp_path / f"of {manifest.generation}").items()
            if "moving" not in key
        }
        assert there == {key: data for key, (commit, data) in acknowledged.items() if commit <= manifest.commit}
        assert kinds(checked_at(tmp_path / f"of {manifest.generation}", tmp_path)) == {}


async def _write(engines, acknowledged, ended):
    space = space_of(engines)

    async def writer(number):
        turn = 0
        while not ended.is_set():
            turn += 1
            key, data = f"{number} {turn:05d}", payload(turn * 331 % 40_000, turn)
            version = await space.put("plain", key, data, tags={"writer": str(number)})
            acknowledged[key] = (int.from_bytes(version.stamp[4:12], "big"), data)
            await space.put("plain", f"moving {number}", payload(20_000, turn))  # dead bytes for compaction

    async def mover():
        referrers = {b"o": VersionReferrer(), b"p": PartReferrer()}
        settings = CompactionSettings(dead_fraction=0.3, settle_s=0, step_bytes=100_000)
        engines.clock.advance(10)
        compaction = Compaction(engines.segments, engines.meta, referrers, clock=engines.clock, settings=settings)
        while not ended.is_set():
            await garbage.sweep(engines.meta, engines.segments, 1)
            await asyncio.sleep(0)
            if len(acknowledged) % 10 == 0:
                await compaction.step()

    try:
        await asyncio.gather(mover(), *map(writer, range(3)))
    except Unavailable:  # compaction that lets nothing settle may refuse a put: it was not acknowledged
        await _write(engines, acknowledged, ended)


def test_a_lost_segment_is_told_and_the_rest_is_backed_up(filled, held, tmp_path):
    name, file = max(files(filled).items(), key=lambda item: item[1].stat().st_size)
    file.unlink()
    made = backed_up(filled, tmp_path / "backup")
    assert made.manifest.missing == [name[:16]]
    report = restored(tmp_path / "backup", tmp_path / "again")
    assert kinds(report.checked)["segment-missing"] == 1
    survivors = {place: data for place, data in read(tmp_path / "again").items() if not isinstance(data, type)}
    assert survivors
    assert survivors.items() <= held.items()


def test_places_where_no_backup_belongs_are_refused(filled, tmp_path):
    for target in (filled, filled / "backup", tmp_path):
        with pytest.raises(Invalid, match="within the store"):
            backed_up(filled, target)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("of somebody")
    with pytest.raises(Invalid, match="not empty"):
        backed_up(filled, tmp_path / "taken")
    other = opened(tmp_path / "other", seed=55)
    other.close()
    backed_up(filled, tmp_path / "backup")
    with pytest.raises(Invalid, match="another store"):
        backed_up(tmp_path / "other", tmp_path / "backup")


def test_one_backup_at_a_time_in_a_directory(filled, tmp_path):
    backed_up(filled, tmp_path / "backup")
    held = KeptLock(SystemDrive().open(tmp_path / "backup" / layout.LOCK, 2))
    assert try_lock(held.fd)
    with pytest.raises(Unavailable, match="another backup"):
        backed_up(filled, tmp_path / "backup")
    held.close()
    assert backed_up(filled, tmp_path / "backup").manifest.generation == 2


def test_secrets_are_left_out(filled, tmp_path):
    secret = bytes(range(200, 232))
    (filled / "keys" / "root.key").write_bytes(secret)
    backed_up(filled, tmp_path / "backup")
    for path in (tmp_path / "backup").rglob("*"):
        assert not path.is_file() or secret not in path.read_bytes()


@pytest.mark.parametrize("first", ["store", "again"])
def test_a_segment_sealed_anew_by_a_restored_store_is_another_file(first, tmp_path):
    """A store and what was restored from it go on apart, and may seal the same segment at different lengths."""
    engines = opened(tmp_path / "store")
    space = space_of(engines)
    drive(space.create_bucket("plain"))
    drive(space.put("plain", "both", b"before they part"))
    back_up(engines.opened(), tmp_path / "backup", PROGRAM)
    drive(space.put("plain", "one", b"only in the first"))
    engines.close()
    restored(tmp_path / "backup", tmp_path / "again")
    put(tmp_path / "again", "two", b"only in the second")
    keys_of = {"store": {"both", "one"}, "again": {"both", "two"}}
    for name in sorted(keys_of, key=lambda name: name != first):
        manifest = backed_up(tmp_path / name, tmp_path / "backup").manifest
        place = tmp_path / f"of {manifest.generation}"
        assert kinds(restored(tmp_path / "backup", place, generation=manifest.generation).checked) == {}
        assert {key for _, key, _ in read(place)} == keys_of[name]


def test_a_shared_segment_that_has_lost_bytes_is_copied_anew(filled, held, tmp_path):
    backed_up(filled, tmp_path / "backup")
    victim = max((tmp_path / "backup" / "segments").iterdir(), key=lambda path: path.stat().st_size)
    victim.write_bytes(victim.read_bytes()[:-1])
    assert backed_up(filled, tmp_path / "backup").copied_segments == 1
    restored(tmp_path / "backup", tmp_path / "again")
    assert read(tmp_path / "again") == held


def test_emptied_segments_are_left_out_and_forgotten(filled, held, tmp_path):
    """They wait for a reader when the backup is made; what comes back has neither their files nor their rows."""
    engines = opened(filled, seed=2)

    async def back_up_while_somebody_reads():
        async with engines.segments.reading():
            await compact(engines)
            rows = await accounting.segment_rows(engines.meta)
            assert any(row.state is accounting.State.EMPTIED for _, row in rows)
            return back_up(engines.opened(), tmp_path / "backup", PROGRAM)

    made = drive(back_up_while_somebody_reads())
    engines.close()
    assert len(made.manifest.segments) < len(files(filled))
    restored(tmp_path / "backup", tmp_path / "again")
    again = opened(tmp_path / "again", seed=3)
    rows = drive(accounting.segment_rows(again.meta))
    assert {f"{segment:016x}.seg" for segment, _ in rows} == set(files(tmp_path / "again"))
    assert contents(again) == held
    again.close()


def test_a_segment_that_is_marked_empty_but_is_not_is_backed_up(filled, held, tmp_path):
    """One flipped bit of a sealed segment's row marks it as empty."""
    engines = opened(filled, seed=2)
    segment = max(drive(accounting.segment_rows(engines.meta)), key=lambda one: one[1].payload)[0]
    change(
        engines,
        {
            accounting.row_key(segment): drive(engines.meta.get(accounting.row_key(segment)))[:1]
            + b"\x03"
            + drive(engines.meta.get(accounting.row_key(segment)))[2:]
        },
    )
    made = back_up(engines.opened(), tmp_path / "backup", PROGRAM)
    engines.close()
    assert len(made.manifest.segments) == len(files(filled))
    assert f"{segment:016x}" in {one.segment for one in made.manifest.segments}
    restored(tmp_path / "backup", tmp_path / "again")
    assert read(tmp_path / "again") == held
