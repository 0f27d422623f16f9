"""Open-file-description locks: ranges, owners, and what a fork does to them."""

import os
import signal

import pytest

from isotherm.devices.locks import KeptLock, lock, locked_elsewhere, try_lock, unlock


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "locked"
    path.touch()
    return path


def opened(path):
    return os.open(path, os.O_RDWR)


def test_a_range_has_one_owner_at_a_time(path):
    one, other = opened(path), opened(path)
    assert try_lock(one, 0, 8)
    assert try_lock(one, 0, 8)
    assert not try_lock(other, 7, 1)
    assert try_lock(other, 8, 8)
    assert locked_elsewhere(other, 0, 8)
    assert not locked_elsewhere(one, 0, 8)
    assert not try_lock(one)
    unlock(other, 8, 8)
    assert try_lock(one)
    os.close(one)
    assert try_lock(other)
    lock(other)
    os.close(other)


def test_closing_another_descriptor_of_the_file_lets_nothing_go(path):
    """Unlike POSIX record locks, which any close of the file drops."""
    one, other, third = opened(path), opened(path), opened(path)
    assert try_lock(one)
    os.close(other)
    assert not try_lock(third)
    os.close(one)
    assert try_lock(third)
    os.close(third)


def test_a_kept_lock_ends_with_its_close(path):
    kept, other = KeptLock(opened(path)), opened(path)
    assert try_lock(kept.fd)
    assert not try_lock(other)
    kept.close()
    kept.close()
    assert try_lock(other)
    os.close(other)


@pytest.mark.parametrize("keep", [False, True])
def test_a_forked_child_keeps_only_what_is_not_kept_for_its_parent(path, keep):
    """A plain descriptor goes on holding its locks in a child; that of a `KeptLock` is closed there."""
    fd = opened(path)
    kept = KeptLock(fd) if keep else None
    assert try_lock(fd)
    ready, answered = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(answered, b"?" if kept is None or kept.fd == -1 else b"!")
        signal.pause()
    try:
        assert os.read(ready, 1) == b"?"
        os.close(fd)  # as the death of the parent would
        other = opened(path)
        assert try_lock(other) is keep
        os.close(other)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(answered)
        if kept is not None:
            kept.fd = -1
