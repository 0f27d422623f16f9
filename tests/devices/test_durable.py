"""Small files are replaced whole, or not at all."""

import os
import stat

import pytest

from isotherm.devices import durable
from isotherm.ids import SeededIds

IDS = SeededIds(1)


def test_a_file_is_replaced_with_its_mode(tmp_path):
    path = tmp_path / "f"
    durable.replace(path, b"one", IDS)
    durable.replace(path, b"two", IDS, mode=0o640)
    assert durable.read_small(path) == b"two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert os.listdir(tmp_path) == ["f"]


def test_create_lets_the_first_win(tmp_path):
    path = tmp_path / "f"
    assert durable.create(path, b"one", IDS)
    assert not durable.create(path, b"two", IDS)
    assert durable.read_small(path) == b"one"
    assert os.listdir(tmp_path) == ["f"]


def test_a_replacement_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "f"
    path.mkdir()
    (path / "inside").write_text("x")
    with pytest.raises(OSError, match="directory"):
        durable.replace(path, b"two", IDS)
    assert os.listdir(tmp_path) == ["f"]


def test_a_missing_file_reads_as_none(tmp_path):
    assert durable.read_small(tmp_path / "f") is None
