"""What a stream tells the file system beforehand: it changes no byte, takes no room for good, and may fail."""

import errno
import os

import pytest

from isotherm.devices import hints
from isotherm.devices.drive import SystemDrive
from isotherm.devices.faulty_drive import FaultyDrive
from isotherm.devices.waiting import drive
from isotherm.ids import SeededIds
from isotherm.testing.segments_suite import MIB, payload
from isotherm.testing.shelf import key_of
from tests.segments import rigs
from tests.segments.checks import check_accounts, check_values


class Recorder(SystemDrive):
    """Notes the hints, and gives them to the system."""

    def __init__(self):
        self.noted = []

    def allocate(self, fd, offset, length):
        self.noted.append("allocate")
        hints.allocate(fd, offset, length)

    def write_back(self, fd, offset, length):
        self.noted.append("write_back")
        hints.write_back(fd, offset, length)


def spare_bytes(path):
    """What a file has been given beyond its size."""
    state = path.stat()
    return state.st_blocks * 512 - state.st_size


def test_room_made_beforehand_does_not_lengthen_a_file_and_goes_with_the_next_truncation(tmp_path):
    fd = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT)
    os.pwrite(fd, b"abc", 0)
    hints.allocate(fd, 3, 4 * MIB)
    hints.write_back(fd, 0, MIB)
    assert os.pread(fd, 10, 0) == b"abc"
    assert os.fstat(fd).st_size == 3
    assert spare_bytes(tmp_path / "f") >= 4 * MIB
    os.ftruncate(fd, 3)
    os.close(fd)
    assert spare_bytes(tmp_path / "f") < MIB


def test_a_hint_for_no_file_is_an_error_of_the_system():
    for hint in (hints.allocate, hints.write_back):
        with pytest.raises(OSError, match="descriptor") as raised:
            hint(-1, 0, 1)
        assert raised.value.errno == errno.EBADF


@pytest.mark.parametrize("aborted", [False, True])
def test_a_stream_gives_back_what_it_was_given_too_much(tmp_path, aborted):
    device = Recorder()
    with rigs.opened(tmp_path, device=device) as rig:
        (before,) = drive(rig.shelf.put(b"before", payload(3 * MIB)))
        path = rigs.path_of(tmp_path, before.segment)
        assert spare_bytes(path) > MIB

        async def again():
            stream = rig.segments.stream(key_of(b"a"))
            await stream.write(payload(9 * MIB))
            await (stream.abort() if aborted else stream.finish())

        drive(again())
        assert {"allocate", "write_back"} <= set(device.noted)
        check_values(rig, {b"before": payload(3 * MIB)})
    assert spare_bytes(path) < MIB


def test_no_room_is_made_beforehand_where_little_is_left(tmp_path):
    class Crowded(Recorder):
        def free_bytes(self, path):
            return rigs.SMALL.allocate_bytes

    device = Crowded()
    with rigs.opened(tmp_path, device=device) as rig:
        drive(rig.shelf.put(b"a", payload(3 * MIB)))
        assert "allocate" not in device.noted


@pytest.mark.parametrize("hint", ["allocate", "write_back"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EOPNOTSUPP, errno.EIO])
def test_a_hint_that_fails_harms_nobody(tmp_path, hint, number):
    device = FaultyDrive(SeededIds(1))
    with rigs.opened(tmp_path, device=device) as rig:
        device.fail(hint, number, times=100)
        values = {b"a": payload(20 * MIB), b"b": payload(3 * MIB)}
        for name, value in values.items():
            drive(rig.shelf.put(name, value))
        assert any(call == hint for call, _ in device.calls)
        check_values(rig, values)
        rig.segments.close()
        check_accounts(rig)


def test_recovery_gives_back_what_a_dead_process_was_given(tmp_path):
    class Dying(FaultyDrive):
        def allocate(self, fd, offset, length):
            hints.allocate(fd, offset, length)

    device = Dying(SeededIds(1))
    meta = rigs.open_meta(tmp_path)
    dead = rigs.Rig(rigs.open_segments(tmp_path, meta, device=device), meta, 0)
    (extent,) = drive(dead.shelf.put(b"a", payload(3 * MIB)))
    device.kill()
    path = rigs.path_of(tmp_path, extent.segment)
    assert spare_bytes(path) > MIB
    rig = rigs.Rig(rigs.open_segments(tmp_path, meta), meta, 0)
    assert drive(rig.segments.recover()).sealed == [extent.segment]
    assert spare_bytes(path) < MIB
    check_values(rig, {b"a": payload(3 * MIB)})
    rig.segments.close()
    check_accounts(rig)
    meta.close()
