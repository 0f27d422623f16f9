"""A spill gives back what was put into it, sorted, whatever fits in memory."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotherm.devices.drive import SystemDrive
from isotherm.errors import Unavailable
from isotherm.movers.fsck.spill import Spill


@pytest.mark.parametrize("held_bytes", [1, 500, 20_000, 10**9])
def test_everything_comes_back_in_order(tmp_path, held_bytes):
    choice = random.Random(1)
    entries = [choice.randbytes(choice.choice((0, 1, 20, 300))) for _ in range(400)]
    spill = Spill(tmp_path, "test", SystemDrive(), held_bytes=held_bytes)
    for entry in entries:
        spill.add(entry)
    assert list(spill.sorted()) == sorted(entries)
    assert list(spill.sorted()) == sorted(entries), "a second time as well"


@given(st.lists(st.binary(max_size=40), max_size=60), st.integers(1, 400))
def test_any_entries(entries, held_bytes):
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory(prefix="movers-spill-") as directory:
        spill = Spill(Path(directory), "test", SystemDrive(), held_bytes=held_bytes)
        for entry in entries:
            spill.add(entry)
        assert list(spill.sorted()) == sorted(entries)


def test_entries_longer_than_a_window(tmp_path):
    entries = [bytes([number]) * 600_000 for number in (3, 1, 2)]
    spill = Spill(tmp_path, "test", SystemDrive(), held_bytes=1)
    for entry in entries:
        spill.add(entry)
    assert list(spill.sorted()) == sorted(entries)


def test_scratch_that_is_gone_is_an_error_of_the_platform(tmp_path):
    spill = Spill(tmp_path / "nowhere", "test", SystemDrive(), held_bytes=1)
    with pytest.raises(Unavailable):
        spill.add(b"entry")
