"""A drive that fails on request and forgets what was not synced: the twin that tests hand in instead of the system's.

It works on real files. `fail` makes coming calls fail, `fill` lets the medium run full, `write_at_most` makes writes
short; `cut_power` puts every file back to what a machine might find after a power failure: of the writes since a file's
last sync each sector keeps some first ones and loses the rest, and names made or removed since their directory's last
sync have come or gone, or not. What a failed sync lost stays unsynced for ever, as the kernel never writes it again.

Any thread. After `kill` or `cut_power`, open the store anew on another drive.
"""

from __future__ import annotations

import builtins
import errno
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from isotherm.devices.drive import Buffer, SystemDrive
from isotherm.ids import Ids

SECTOR_BYTES = 512


@dataclass(slots=True)
class _Unsynced:
    """A file before the writes since its last sync: its size, and in order what each of them replaced."""

    size: int
    replaced: list[tuple[int, bytes]] = field(default_factory=list)


@dataclass(slots=True)
class _Fault:
    call: str
    number: int
    after: int
    times: int
    suffix: str


class FaultyDrive:
    """See the module, and `Drive` for what it offers.

    Args:
        ids: decides what survives a power cut.
    """

    def __init__(self, ids: Ids) -> None:
        self._real = SystemDrive()
        self._ids = ids
        self._lock = threading.RLock()
        self._paths: dict[int, Path] = {}
        self._unsynced: dict[Path, _Unsynced] = {}
        self._lost: set[Path] = set()
        self._made: set[Path] = set()
        self._removed: dict[Path, Path] = {}
        self._faults: list[_Fault] = []
        self._room: int | None = None
        self._write_most: int | None = None
        self.calls: list[tuple[str, str]] = []

    def fail(self, call: str, number: int, *, after: int = 0, times: int = 1, suffix: str = "") -> None:
        """Let `times` coming calls of that name raise `OSError(number)`, once `after` have passed.

        Args:
            suffix: only calls on paths that end so.
        """
        self._faults.append(_Fault(call, number, after, times, suffix))

    def fill(self, room_bytes: int | None) -> None:
        """The medium takes `room_bytes` more, by growth of files; None: as much as there is."""
        self._room = room_bytes

    def write_at_most(self, size_bytes: int | None) -> None:
        """A write takes at most that much at once; None: all of it."""
        self._write_most = size_bytes

    def kill(self) -> None:
        """Close every descriptor it gave out, locks and all, as when a process dies; whoever held one is refused."""
        with self._lock:
            for fd in list(self._paths):
                self.close(fd)

    def cut_power(self) -> None:
        """`kill`, and see the module."""
        with self._lock:
            self.kill()
            for path, unsynced in self._unsynced.items():
                if path.exists():
                    self._revert(path, unsynced)
            for path in self._made:
                if self._coin() and path.exists():
                    path.unlink()
            for path, kept in self._removed.items():
                if self._coin():
                    kept.rename(path)
                else:
                    kept.unlink()
            self._unsynced.clear()
            self._lost.clear()
            self._made.clear()
            self._removed.clear()

    def open(self, path: Path, flags: int) -> int:
        self._meet("open", path)
        with self._lock:
            new = bool(flags & os.O_CREAT) and not path.exists()
            fd = self._real.open(path, flags)
            self._paths[fd] = path
            if new:
                self._made.add(path)
            return fd

    def close(self, fd: int) -> None:
        with self._lock:
            if self._paths.pop(fd, None) is not None:
                self._real.close(fd)

    def pread(self, fd: int, length: int, offset: int) -> bytes:
        self._meet("pread", self._path(fd))
        return self._real.pread(fd, length, offset)

    def preadv(self, fd: int, buffers: Sequence[bytearray | memoryview], offset: int, flags: int = 0) -> int:
        self._meet("preadv", self._path(fd))
        return self._real.preadv(fd, buffers, offset, flags)

    def pwritev(self, fd: int, buffers: Sequence[Buffer], offset: int) -> int:
        path = self._path(fd)
        self._meet("pwritev", path)
        data = b"".join(buffers)[: self._write_most]
        with self._lock:
            size = self._real.size(fd)
            growth = max(offset + len(data) - size, 0)
            if self._room is not None and growth > self._room:
                data = data[: len(data) - growth + self._room]
                growth = self._room
                if not data:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            self._remember(path, fd, offset, len(data))
            if self._room is not None:
                self._room -= growth
            return self._real.pwritev(fd, [data], offset)

    def fdatasync(self, fd: int) -> None:
        path = self._path(fd)
        try:
            self._meet("fdatasync", path)
        except OSError:
            self._lost.add(path)
            raise
        with self._lock:
            if path not in self._lost:
                self._unsynced.pop(path, None)
        self._real.fdatasync(fd)

    def truncate(self, fd: int, length: int) -> None:
        path = self._path(fd)
        self._meet("truncate", path)
        with self._lock:
            size = self._real.size(fd)
            self._remember(path, fd, length, max(size - length, 0))
            if self._room is not None:
                self._room += max(size - length, 0)
            self._real.truncate(fd, length)

    def allocate(self, fd: int, offset: int, length: int) -> None:
        self._meet("allocate", self._path(fd))

    def write_back(self, fd: int, offset: int, length: int) -> None:
        self._meet("write_back", self._path(fd))

    def size(self, fd: int) -> int:
        return self._real.size(fd)

    def links(self, fd: int) -> int:
        # Its own shadow of a removed name is a link too.
        return self._real.links(fd) if self._path(fd).exists() else 0

    def identity(self, path: Path) -> tuple[int, int]:
        return self._real.identity(path)

    def unlink(self, path: Path) -> None:
        self._meet("unlink", path)
        with self._lock:
            kept = path.with_name(f".{path.name}.removed")
            path.rename(kept)
            self._removed[path] = kept

    def list(self, directory: Path) -> builtins.list[str]:
        self._meet("list", directory)
        return self._real.list(directory)

    def make_directory(self, path: Path) -> None:
        self._real.make_directory(path)

    def sync_directory(self, path: Path) -> None:
        self._meet("sync_directory", path)
        with self._lock:
            self._made = {made for made in self._made if made.parent != path}
            for removed in [removed for removed in self._removed if removed.parent == path]:
                self._removed.pop(removed).unlink()

    def free_bytes(self, path: Path) -> int:
        return self._real.free_bytes(path) if self._room is None else self._room

    def total_bytes(self, path: Path) -> int:
        return self._real.total_bytes(path)

    def _path(self, fd: int) -> Path:
        path = self._paths.get(fd)
        if path is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        return path

    def _meet(self, call: str, path: Path) -> None:
        """Note the call, and fail it if it is due."""
        self.calls.append((call, path.name))
        for fault in self._faults:
            if fault.call == call and path.name.endswith(fault.suffix):
                if fault.after:
                    fault.after -= 1
                    continue
                fault.times -= 1
                if not fault.times:
                    self._faults.remove(fault)
                raise OSError(fault.number, os.strerror(fault.number))

    def _remember(self, path: Path, fd: int, offset: int, length: int) -> None:
        unsynced = self._unsynced.setdefault(path, _Unsynced(self._real.size(fd)))
        unsynced.replaced.append((offset, self._real.pread(fd, length, offset).ljust(length, b"\0")))

    def _coin(self) -> bool:
        return bool(self._ids.token(1)[0] & 1)

    def _revert(self, path: Path, unsynced: _Unsynced) -> None:
        content = bytearray(path.read_bytes())
        size = self._between(unsynced.size, len(content))
        longest = max([len(content), size, *(offset + len(old) for offset, old in unsynced.replaced)])
        content.extend(bytes(longest - len(content)))
        settled: set[int] = set()
        for offset, old in reversed(unsynced.replaced):
            for start in range(offset - offset % SECTOR_BYTES, offset + len(old), SECTOR_BYTES):
                if start not in settled and self._coin():
                    first, end = max(start, offset), min(start + SECTOR_BYTES, offset + len(old))
                    content[first:end] = old[first - offset : end - offset]
                else:
                    settled.add(start)
        path.write_bytes(content[:size])

    def _between(self, one: int, other: int) -> int:
        """One of the two, or some sector's end between them."""
        pick = self._ids.token(5)
        if pick[0] % 3 == 0:
            return one
        if pick[0] % 3 == 1:
            return other
        low, high = sorted((one, other))
        step = int.from_bytes(pick[1:], "big") % (high - low + 1)
        return min(low + step - step % SECTOR_BYTES, high)
