"""Files, as the rooms above may touch them: one narrow port, so that a faulty twin can stand in for the machine.

Methods are the system calls of the same name, on plain descriptors, and raise `OSError` as they do; they loop over
nothing. `SystemDrive` binds them without a wrapper, since a warm 4 KiB read costs 0.7 µs and a Python frame 0.1.

Who may call: any thread. Everything but `preadv` with RWF_NOWAIT may block on the device.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from isotherm.devices import hints
from isotherm.errors import IsothermError, NoSpace, NotPermitted, Unavailable

Buffer = bytes | bytearray | memoryview

NOWAIT = os.RWF_NOWAIT
FULL = frozenset((errno.ENOSPC, errno.EDQUOT))
BARRED = frozenset((errno.EACCES, errno.EPERM, errno.EROFS))
FILE_MODE = 0o600


class Drive(Protocol):
    def open(self, path: Path, flags: int) -> int:
        """A descriptor, close-on-exec, mode 0600 when created."""
        ...

    def close(self, fd: int) -> None: ...

    def pread(self, fd: int, length: int, offset: int) -> bytes: ...

    def preadv(self, fd: int, buffers: Sequence[bytearray | memoryview], offset: int, flags: int = 0) -> int:
        """Bytes read; with NOWAIT fewer, or EAGAIN, where the rest would block."""
        ...

    def pwritev(self, fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        """Bytes written, possibly fewer than given; at most 1,024 buffers a call."""
        ...

    def fdatasync(self, fd: int) -> None: ...

    def truncate(self, fd: int, length: int) -> None: ...

    def allocate(self, fd: int, offset: int, length: int) -> None:
        """A hint, see hints.py."""
        ...

    def write_back(self, fd: int, offset: int, length: int) -> None:
        """A hint, see hints.py."""
        ...

    def size(self, fd: int) -> int:
        """Of the file, bytes."""
        ...

    def links(self, fd: int) -> int:
        """Names the file still has: 0 once it was unlinked."""
        ...

    def identity(self, path: Path) -> tuple[int, int]:
        """Tells apart what lies at one path at different times: device and inode."""
        ...

    def unlink(self, path: Path) -> None: ...

    def list(self, directory: Path) -> list[str]: ...

    def make_directory(self, path: Path) -> None:
        """With parents; nothing happens when it exists."""
        ...

    def sync_directory(self, path: Path) -> None:
        """Make creations and removals of names in it durable."""
        ...

    def free_bytes(self, path: Path) -> int:
        """What an unprivileged writer may still use on the file system of `path`."""
        ...

    def total_bytes(self, path: Path) -> int:
        """Of the file system of `path`, used or not."""
        ...


class SystemDrive:
    """The operating system's own."""

    __slots__ = ()

    close = staticmethod(os.close)
    pread = staticmethod(os.pread)
    preadv = staticmethod(os.preadv)
    pwritev = staticmethod(os.pwritev)
    fdatasync = staticmethod(os.fdatasync)
    truncate = staticmethod(os.ftruncate)
    allocate = staticmethod(hints.allocate)
    write_back = staticmethod(hints.write_back)
    unlink = staticmethod(os.unlink)
    list = staticmethod(os.listdir)

    def open(self, path: Path, flags: int) -> int:
        return os.open(path, flags | os.O_CLOEXEC, FILE_MODE)

    def size(self, fd: int) -> int:
        return os.fstat(fd).st_size

    def links(self, fd: int) -> int:
        return os.fstat(fd).st_nlink

    def identity(self, path: Path) -> tuple[int, int]:
        state = path.stat()
        return state.st_dev, state.st_ino

    def make_directory(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)

    def sync_directory(self, path: Path) -> None:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def free_bytes(self, path: Path) -> int:
        state = os.statvfs(path)
        return state.f_bavail * state.f_frsize

    def total_bytes(self, path: Path) -> int:
        state = os.statvfs(path)
        return state.f_blocks * state.f_frsize


def explain(error: OSError, what: str) -> IsothermError:
    """The error tree's word for a failure: `NoSpace` when the medium is full, `NotPermitted` where rights or a medium mounted
    read-only are in the way, else `Unavailable`."""
    if error.errno in FULL:
        return NoSpace(f"{what}: {error.strerror}")
    if error.errno in BARRED:
        return NotPermitted(f"{what}: {error.strerror}")
    return Unavailable(f"{what}: {error.strerror or error}")


def write_all(drive: Drive, fd: int, buffers: Sequence[Buffer], offset: int) -> int:
    """Write every byte of `buffers` from `offset` on, over short writes; returns how many.

    Raises:
        OSError: some of it may have been written.
    """
    total = sum(map(len, buffers))
    written = 0
    while written < total:
        count = drive.pwritev(fd, buffers[:_BUFFERS_A_CALL], offset + written)
        if count <= 0:
            raise OSError(errno.EIO, "the device took nothing")
        written += count
        if written < total:
            buffers = _behind(buffers, count)
    return written


def _behind(buffers: Sequence[Buffer], count: int) -> Sequence[Buffer]:
    """What of `buffers` follows their first `count` bytes."""
    done = 0
    while count >= len(buffers[done]):
        count -= len(buffers[done])
        done += 1
    return [memoryview(buffers[done])[count:], *buffers[done + 1 :]]


_BUFFERS_A_CALL = 1_024
