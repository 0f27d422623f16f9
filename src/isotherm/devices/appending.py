"""A log file that several processes append to, and that is rotated by renaming it.

A write is one `write(2)` with O_APPEND of whole lines, so that processes do not mix them. Writers look at most once a second
whether the name still leads to their file. Nothing is synced: a log may lose its last seconds in a power cut, and lines
that do not fit on a full medium are dropped, since no request may fail because of its log.
"""

from __future__ import annotations

import os
from pathlib import Path

from isotherm.clock import Clock

_LOOK_S = 1.0


class AppendedFile:
    """One process's end of a log file. Used from one thread."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._descriptor = -1
        self._looked_s = 0.0
        self.dropped_bytes = 0

    def write(self, data: bytes, /) -> None:
        """Append whole lines. Never raises for the device's failure: what was not written is counted as dropped."""
        try:
            self._look()
            written = os.write(self._descriptor, data)
        except OSError:
            written = 0
        self.dropped_bytes += len(data) - written

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _look(self) -> None:
        now_s = self._clock.monotonic()
        if self._descriptor >= 0:
            if now_s - self._looked_s < _LOOK_S:
                return
            self._looked_s = now_s
            if self._is_named():
                return
            self.close()
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._looked_s = now_s

    def _is_named(self) -> bool:
        try:
            named = os.stat(self._path)
        except FileNotFoundError:
            return False
        return os.path.samestat(named, os.fstat(self._descriptor))


def rotate(path: Path, *, bytes_most: int, keep: int) -> bool:
    """Rename `path` to `path.1` once it is longer than `bytes_most`, `path.1` to `path.2`, and so on up to `keep`.

    For one process at a time. Raises OSError.
    """
    try:
        if path.stat().st_size <= bytes_most:
            return False
    except FileNotFoundError:
        return False
    for number in range(keep - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.replace(path.with_name(f"{path.name}.{number + 1}"))
    path.replace(path.with_name(f"{path.name}.1"))
    return True
