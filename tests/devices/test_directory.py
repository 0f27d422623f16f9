"""The data directory: what becomes one, what is opened, what is refused and with which words."""

import json
import os
import stat
import threading

import pytest

from isotherm.clock import VirtualClock
from isotherm.devices import durable
from isotherm.devices.directory import FORMAT, MARK, open_directory
from isotherm.errors import Invalid, NotFound, VersionMismatch
from isotherm.ids import SystemIds


def opened(path, **options):
    return open_directory(path, program="0.1.0", clock=VirtualClock(1_700_000_000_000), ids=SystemIds(), **options)


def mark_of(path):
    return json.loads((path / MARK).read_text())


def test_a_new_directory_is_made_for_its_owner_alone_and_opened_again(tmp_path):
    first = opened(tmp_path / "a" / "b")
    again = opened(tmp_path / "a" / "b", create=False)
    assert again == first
    assert len(first.store_id) == 32
    assert first.created_ms == 1_700_000_000_000
    for path in (first.path, first.meta, first.performance, first.capacity, first.run, first.keys, first.log):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert mark_of(first.path) == {
        "format": 1,
        "store": first.store_id,
        "created_ms": 1_700_000_000_000,
        "written_by": "0.1.0",
    }


def test_an_empty_directory_becomes_a_store_and_so_does_a_fresh_file_system(tmp_path):
    (tmp_path / "lost+found").mkdir()
    (tmp_path / f"{durable.TEMPORARY_PREFIX}0123").write_bytes(b"left by a crash")
    assert opened(tmp_path).path == tmp_path


def test_what_is_missing_in_an_old_store_is_made(tmp_path):
    opened(tmp_path / "d")
    (tmp_path / "d" / "log").rmdir()
    assert opened(tmp_path / "d").log.is_dir()


def test_somebody_elses_directory_is_refused_and_left_as_it_is(tmp_path):
    (tmp_path / "thesis.tex").write_text("x")
    with pytest.raises(Invalid, match=r"not empty.*thesis\.tex"):
        opened(tmp_path)
    assert os.listdir(tmp_path) == ["thesis.tex"]


def test_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(Invalid, match="not a directory"):
        opened(tmp_path / "file")


def test_where_nothing_may_be_made_nothing_is(tmp_path):
    with pytest.raises(NotFound, match="no Isotherm store"):
        opened(tmp_path / "d", create=False)
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize(
    ("number", "writer", "command"),
    [(FORMAT + 1, "2.0.0", "pip install 'isotherm>=2.0.0'"), (0, "0.0.9", "pip install 'isotherm==0.0.9'")],
)
def test_another_version_is_refused_with_the_command_that_helps(tmp_path, number, writer, command):
    directory = opened(tmp_path / "d")
    changed = {**mark_of(directory.path), "format": number, "written_by": writer}
    (directory.path / MARK).write_text(json.dumps(changed))
    with pytest.raises(VersionMismatch) as refused:
        opened(directory.path)
    assert command in str(refused.value)
    assert mark_of(directory.path) == changed


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": "1"}', '{"format": 1}'])
def test_a_damaged_mark_is_refused(tmp_path, text):
    directory = opened(tmp_path / "d")
    (directory.path / MARK).write_text(text)
    with pytest.raises(Invalid, match="not readable as the mark"):
        opened(directory.path)


def test_two_who_make_a_store_at_once_open_the_same(tmp_path):
    barrier = threading.Barrier(8)
    found = []

    def make():
        barrier.wait()
        found.append(opened(tmp_path / "d").store_id)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert set(found) == {mark_of(tmp_path / "d")["store"]}
    assert not [name for name in os.listdir(tmp_path / "d") if name.startswith(durable.TEMPORARY_PREFIX)]
