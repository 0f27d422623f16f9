"""Open-file-description locks (`fcntl(2)`, F_OFD_SETLK): who holds a byte range of a file, across processes and threads.

A lock belongs to the open file description, not to the process: it goes when the last descriptor of it is closed, so a
killed process lets go at once, and two opens within one process exclude each other. A pid is never asked.

A forked child shares its parent's descriptions, so a child that lived on would hold the locks of a parent that died.
`keep` remembers the descriptors that carry locks; in a child they are closed right after the fork.

Who may call: any thread. Descriptors must be open for writing to be locked exclusively.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import weakref
from collections.abc import Callable
from contextlib import suppress

_FLOCK = struct.Struct("@hhqqi4x")  # struct flock: type, whence, start, length, pid


def _request(kind: int, start: int, length: int) -> bytes:
    return _FLOCK.pack(kind, os.SEEK_SET, start, length, 0)


def try_lock(fd: int, start: int = 0, length: int = 0) -> bool:
    """Lock bytes exclusively unless somebody else holds any of them. `length` 0 reaches to the end, however far."""
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _request(fcntl.F_WRLCK, start, length))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def try_lock_shared(fd: int, start: int = 0, length: int = 0) -> bool:
    """Lock bytes against exclusive holders only, unless there is one. The descriptor must be open for reading."""
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _request(fcntl.F_RDLCK, start, length))
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def lock(fd: int, start: int = 0, length: int = 0) -> None:
    """Lock bytes exclusively; blocks the calling thread until they are free."""
    fcntl.fcntl(fd, fcntl.F_OFD_SETLKW, _request(fcntl.F_WRLCK, start, length))


def unlock(fd: int, start: int = 0, length: int = 0) -> None:
    """Let go of bytes; nothing happens to those that were not locked."""
    fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _request(fcntl.F_UNLCK, start, length))


def locked_elsewhere(fd: int, start: int = 0, length: int = 0) -> bool:
    """Whether another open file description holds any of the bytes. Takes nothing."""
    answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _request(fcntl.F_WRLCK, start, length))
    kind: int = _FLOCK.unpack(answer)[0]
    return kind != fcntl.F_UNLCK


class KeptLock:
    """A descriptor that carries locks: closed by `close`, and in a forked child right after the fork.

    Args:
        fd: owned by this object from now on.
        close_fd: how to close it (the drive's `close`).
    """

    __slots__ = ("__weakref__", "_close_fd", "fd")

    def __init__(self, fd: int, close_fd: Callable[[int], None] = os.close) -> None:
        self.fd = fd
        self._close_fd = close_fd
        _kept.add(self)

    def close(self) -> None:
        """Close the descriptor, and so let go of its locks. Idempotent."""
        fd, self.fd = self.fd, -1
        if fd >= 0:
            self._close_fd(fd)


_kept: weakref.WeakSet[KeptLock] = weakref.WeakSet()


def _close_in_child() -> None:
    for kept in list(_kept):
        with suppress(OSError):  # one that cannot be closed must not keep the others open
            kept.close()


os.register_at_fork(after_in_child=_close_in_child)
