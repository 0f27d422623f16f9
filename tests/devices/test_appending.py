"""Logs that several processes append to and one rotates."""

from isotherm.clock import VirtualClock
from isotherm.devices.appending import AppendedFile, rotate


def test_writers_share_a_file_and_follow_its_rotation(tmp_path):
    clock = VirtualClock()
    path = tmp_path / "log"
    one, two = AppendedFile(path, clock), AppendedFile(path, clock)
    one.write(b"a\n")
    two.write(b"b\n")
    one.write(b"c\n")
    assert path.read_bytes() == b"a\nb\nc\n"
    assert rotate(path, bytes_most=5, keep=3)
    clock.advance(1.0)
    one.write(b"d\n")
    two.write(b"e\n")
    assert path.read_bytes() == b"d\ne\n"
    assert (tmp_path / "log.1").read_bytes() == b"a\nb\nc\n"
    assert path.stat().st_mode & 0o777 == 0o600


def test_only_so_many_old_files_are_kept(tmp_path):
    path = tmp_path / "log"
    for number in range(6):
        path.write_bytes(b"%d" % number)
        assert rotate(path, bytes_most=0, keep=3)
    kept = {found.name: found.read_bytes() for found in tmp_path.iterdir()}
    assert kept == {"log.1": b"5", "log.2": b"4", "log.3": b"3"}


def test_a_short_or_missing_file_is_not_rotated(tmp_path):
    path = tmp_path / "log"
    assert not rotate(path, bytes_most=10, keep=3)
    path.write_bytes(b"0123456789")
    assert not rotate(path, bytes_most=10, keep=3)


def test_what_cannot_be_written_is_counted_and_fails_nobody(tmp_path):
    log = AppendedFile(tmp_path / "absent" / "log", VirtualClock())
    log.write(b"lost\n")
    assert log.dropped_bytes == 5
    (tmp_path / "absent").mkdir()
    log.write(b"kept\n")
    log.close()
    assert (tmp_path / "absent" / "log").read_bytes() == b"kept\n"
    full = AppendedFile(tmp_path / "full", VirtualClock())
    (tmp_path / "full").symlink_to("/dev/full")
    full.write(b"lost\n")
    assert full.dropped_bytes == 5
