"""Who may take LMDB's writer lock: `server.lock` in the metadata directory says whether a server is alive.

A foreign process that held the writer lock under a busy interpreter lock would stall every writer of the server, so it
takes turns only while no server is there. Bytes of it are locked by open file description:

- byte 1: held exclusively by a server, from before it serves until its last process has ended;
- byte 0: held by foreign processes, shared, while they commit a batch; a server takes it once, exclusively, after byte 1;
- byte 2^40 + pid: held by every process that has a handle open, since LMDB allows one per process. (Two processes of the
  same pid are in different pid namespaces, where LMDB's reader table fails as well.)

A foreign process takes byte 0 and then looks at byte 1; a server takes byte 1 and then waits for byte 0. So whoever comes
second sees the other, and a stream of foreign batches cannot keep a server out.

`ServerLock` belongs to the supervisor; its descriptor is inheritable so that spawned children keep it alive. `Turns` is
used by the committer's thread of one process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from isotherm.devices import locks
from isotherm.devices.drive import SystemDrive
from isotherm.errors import Misuse, Unavailable

LOCK_NAME = "server.lock"
_TURN, _SERVER = 0, 1
_HANDLES = 1 << 40
_ATTEMPTS = 3_000
_PAUSE_S = 0.01


def _open_lock(directory: Path) -> int:
    try:
        return SystemDrive().open(directory / LOCK_NAME, os.O_RDWR | os.O_CREAT)
    except OSError as error:
        raise Unavailable(f"cannot open {directory / LOCK_NAME}: {error.strerror}") from error


class ServerLock:
    """Held by a server for as long as any of its processes lives. Make it, `acquire`, and pass `descriptor` to children.

    Args:
        directory: the metadata directory; it must exist.
    """

    __slots__ = ("_directory", "_kept")

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._kept: locks.KeptLock | None = None

    def acquire(self) -> None:
        """Become the server of this directory. Blocks while foreign processes finish the batches they are committing.

        Raises:
            Unavailable: another server is alive, a foreign process has stopped in mid-commit, or the file cannot be
                opened.
        """
        kept = locks.KeptLock(_open_lock(self._directory))
        if not locks.try_lock(kept.fd, _SERVER, 1):
            kept.close()
            raise Unavailable(f"a server is running on {self._directory}; stop it first")
        for _ in range(_ATTEMPTS):
            if locks.try_lock(kept.fd, _TURN, 1):
                break
            threading.Event().wait(_PAUSE_S)
        else:
            kept.close()
            raise Unavailable("another program has been committing for half a minute: it hangs or is stopped; end it")
        locks.unlock(kept.fd, _TURN, 1)
        os.set_inheritable(kept.fd, True)
        self._kept = kept

    @property
    def descriptor(self) -> int:
        """To be passed to children (`pass_fds`); -1 when not held."""
        return -1 if self._kept is None else self._kept.fd

    def release(self) -> None:
        """Close this process's descriptor; the lock goes with the last one. Idempotent."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def __enter__(self) -> ServerLock:
        self.acquire()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def claim_handle(directory: Path) -> locks.KeptLock:
    """Note that this process has the directory open, until the lock is closed. A forked child may claim its own.

    Raises:
        Misuse: it has it open already.
        Unavailable: the lock file cannot be opened.
    """
    kept = locks.KeptLock(_open_lock(directory))
    if not locks.try_lock(kept.fd, _HANDLES + os.getpid(), 1):
        kept.close()
        raise Misuse(f"{directory} is open already in this process; share that handle (LMDB allows one per process)")
    return kept


class Turns:
    """A foreign process's right to commit, one batch at a time."""

    __slots__ = ("_kept",)

    def __init__(self, directory: Path) -> None:
        self._kept = locks.KeptLock(_open_lock(directory))

    def take(self) -> bool:
        """Whether this process may commit now; if so, `give_back` afterwards, soon: a starting server waits for it."""
        if not locks.try_lock_shared(self._kept.fd, _TURN, 1):
            return False
        if not locks.locked_elsewhere(self._kept.fd, _SERVER, 1):
            return True
        self.give_back()
        return False

    def give_back(self) -> None:
        locks.unlock(self._kept.fd, _TURN, 1)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """For the few writes outside the committer. Raises `Unavailable` while a server is alive."""
        if not self.take():
            raise Unavailable("a server is starting on this directory; try again")
        try:
            yield
        finally:
            self.give_back()

    def close(self) -> None:
        self._kept.close()
