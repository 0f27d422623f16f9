"""A backup directory that has lost bytes: the next backup is made all the same, says what is lost, and mends what it can."""

import shutil

import msgspec
import pytest

from isotherm.errors import Corrupt
from isotherm.movers.backup import layout
from isotherm.movers.backup.take import remove_old
from tests.movers.stores import flip, kinds
from tests.movers.test_backup import backed_up, put, read, restored
from tests.movers.test_commands import isotherm  # noqa: F401
from tests.objects.stores import payload


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def flipped(path):
    flip(path, path.stat().st_size // 2)


def removed(path):
    path.unlink()


@pytest.fixture
def target(filled, tmp_path):
    """Three generations, each with a segment that the one before has not."""
    for number in range(3):
        put(filled, "new", payload(1_000, number), seed=20 + number)
        backed_up(filled, tmp_path / "backup")
    return tmp_path / "backup"


def shared(target):
    return {path.name for path in (target / "segments").iterdir()}


@pytest.mark.parametrize("damage", [cut, flipped, removed])
@pytest.mark.parametrize("generation", [1, 3])
def test_a_manifest_that_cannot_be_read_stops_no_backup(generation, damage, target, filled, tmp_path):
    damage(layout.manifest_path(target, generation))
    made = backed_up(filled, target)
    assert made.manifest.generation == 4
    assert [one.generation for one in made.unreadable] == [generation]
    assert str(layout.manifest_path(target, generation)) in made.unreadable[0].why
    assert not made.is_whole
    restored(target, tmp_path / "again")
    assert read(tmp_path / "again") == read(filled)


def test_no_segment_goes_while_a_manifest_that_stays_cannot_be_read(target, filled, tmp_path):
    """It may be one that only this generation uses: its manifest may come back from another copy."""
    manifest = layout.manifest_path(target, 3)
    whole = manifest.read_bytes()
    flipped(manifest)
    before = shared(target)
    assert backed_up(filled, target, keep=3).removed == [], "three that can be read are not too many"
    assert backed_up(filled, target, keep=3).removed == [1]
    assert before <= shared(target)
    manifest.write_bytes(whole)
    assert kinds(restored(target, tmp_path / "third", generation=3).checked) == {}
    shutil.rmtree(manifest.parent)
    assert backed_up(filled, target, keep=9).removed == []
    used = {
        one.file.path for number in layout.generations(target) for one in layout.read_manifest(target, number).segments
    }
    assert {f"segments/{name}" for name in shared(target)} == {path for path in used if path.startswith("segments/")}


def test_damaged_generations_count_for_none_and_go_when_they_are_old(target):
    flipped(layout.manifest_path(target, 3))
    assert remove_old(target, 2) == []
    assert remove_old(target, 1) == [1]
    assert layout.numbers(target) == [2, 3]
    flipped(layout.manifest_path(target, 2))
    assert remove_old(target, 1) == [], "the last ones stay, whatever has become of them"


def test_an_old_damaged_generation_goes_with_its_segments(target, filled):
    flipped(layout.manifest_path(target, 1))
    made = backed_up(filled, target, keep=2)
    assert (made.removed, made.unreadable) == ([1, 2], [])
    used = {one.file.path for number in (3, 4) for one in layout.read_manifest(target, number).segments}
    assert {f"segments/{name}" for name in shared(target)} == used


@pytest.mark.parametrize("damage", [cut, flipped, removed])
def test_rot_is_found_and_mended_from_the_store(damage, target, filled, tmp_path):
    victim = max((target / "segments").iterdir(), key=lambda path: path.stat().st_size)
    damage(victim)
    made = backed_up(filled, target, verified=True)
    assert made.mended == [f"segments/{victim.name}"]
    assert made.is_whole
    assert made.copied_segments == 1
    assert made.verified_bytes > made.manifest.size
    for number in (1, 4):
        restored(target, tmp_path / f"of {number}", generation=number)
    assert read(tmp_path / "of 4") == read(filled)
    again = backed_up(filled, target, verified=True)
    assert (again.mended, again.rotten) == ([], [])


def test_rot_that_the_store_has_no_more_is_told(target, filled):
    newest = layout.read_manifest(target, 3)
    victim = max(newest.segments, key=lambda one: one.file.size)
    (source,) = filled.glob(f"*/{victim.segment}.seg")
    flipped(target / victim.file.path)
    flip(source, 5_000)
    made = backed_up(filled, target, verified=True)
    assert [(one.path, one.generations) for one in made.rotten] == [(victim.file.path, [1, 2, 3])]
    assert not made.is_whole
    flipped(target / layout.read_manifest(target, 2).meta.path)
    told = {one.path: one.generations for one in backed_up(filled, target, verified=True).rotten}
    assert told == {victim.file.path: [1, 2, 3], "generations/000002/meta/data.mdb": [2]}


def test_the_command_says_what_to_do(isotherm, target, filled):  # noqa: F811
    manifest = layout.manifest_path(target, 2)
    flipped(manifest)
    code, out, err = isotherm("backup", target, "--data", filled, "--keep", 3)
    assert code == 2
    assert "generation 4" in out
    assert f"{manifest} " in err
    assert f"rm -r {manifest.parent}" in err
    shutil.rmtree(manifest.parent)
    victim = next((target / "segments").iterdir())
    flipped(victim)
    code, out, _ = isotherm("backup", target, "--data", filled, "--verify")
    assert code == 0
    assert f"{victim} was damaged and has been copied again or removed" in out
    flipped(target / "generations" / "000004" / "meta" / "data.mdb")
    code, _, err = isotherm("backup", target, "--data", filled, "--verify")
    assert code == 2
    assert "generations 4 cannot be restored whole" in err


def test_restoring_names_the_generations_that_may_be_whole(target, tmp_path):
    flipped(layout.manifest_path(target, 3))
    with pytest.raises(Corrupt, match="--generation: 1, 2"):
        restored(target, tmp_path / "again")


def named(manifest, **changes):
    """The manifest with its first segment changed, sealed."""
    first = manifest.segments[0]
    file = msgspec.structs.replace(first.file, **{name: value for name, value in changes.items() if name == "path"})
    first = msgspec.structs.replace(first, file=file, **{k: value for k, value in changes.items() if k != "path"})
    return layout.encode_manifest(msgspec.structs.replace(manifest, segments=[first, *manifest.segments[1:]]))


@pytest.mark.parametrize(
    "changes",
    [
        {"segment": "../../outside/0000001"},
        {"segment": "/tmp/outside"},
        {"segment": "12"},
        {"segment": "0000000000000000\n"},
        {"segment": "000000000000000G"},
        {"media": "../performance"},
        {"path": "/etc/passwd"},
        {"path": "segments/../../secret"},
        {"path": ".."},
        {"path": ""},
        {"path": "segments/\0"},
    ],
    ids=str,
)
def test_a_manifest_names_nothing_outside(changes, target, tmp_path):
    """Its checksum proves that it is as somebody wrote it, not who."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"not of the backup")
    path = layout.manifest_path(target, 3)
    path.write_bytes(named(layout.decode_manifest(path.read_bytes(), path), **changes))
    before = {path for path in tmp_path.rglob("*") if "again" not in path.parts}
    with pytest.raises(Corrupt, match="names"):
        restored(target, tmp_path / "again")
    assert {path for path in tmp_path.rglob("*") if "again" not in path.parts} == before
    assert not (tmp_path / "again").exists()
