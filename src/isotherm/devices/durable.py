"""Small files that are replaced whole and survive a power cut: keys, credentials, the mark of a data directory.

A file is written under a temporary name in the same directory, synced, moved into place, and the directory synced: a
reader sees the old file or the new one, never a part. Safe from any thread or process; of two writers the later wins,
and `create` lets the earlier win.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from isotherm.ids import Ids

TEMPORARY_PREFIX = ".isotherm-new-"
SMALL_BYTES_MOST = 1 << 20


def read_small(path: Path) -> bytes | None:
    """The bytes of a file of at most 1 MiB; None where there is no file. Other failures raise OSError."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with open(descriptor, "rb") as file:
        return file.read(SMALL_BYTES_MOST)


def replace(path: Path, data: bytes, ids: Ids, *, mode: int = 0o600) -> None:
    """Put `data` at `path`, durable on return. Raises OSError; then the old file is as it was."""
    temporary = _write_temporary(path, data, ids, mode)
    try:
        os.replace(temporary, path)
    except OSError:
        _forget(temporary)
        raise
    sync_directory(path.parent)


def create(path: Path, data: bytes, ids: Ids, *, mode: int = 0o600) -> bool:
    """As `replace`, but only where there is nothing yet; False when there is. Raises OSError."""
    return place(_write_temporary(path, data, ids, mode), path)


def temporary_name(path: Path, ids: Ids) -> Path:
    """Where to write what will lie at `path`: in the same directory."""
    return path.with_name(TEMPORARY_PREFIX + ids.token(8).hex())


def place(temporary: Path, path: Path) -> bool:
    """Give a file that was written and synced under a temporary name its own, durable on return, unless that is taken: False.

    The temporary name is gone either way. Raises OSError.
    """
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        _forget(temporary)
    sync_directory(path.parent)
    return True


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path, *, mode: int = 0o700) -> None:
    """Make a directory, durable on return; one that is there stays as it is. Raises OSError."""
    try:
        path.mkdir(mode=mode)
    except FileExistsError:
        if not path.is_dir():
            raise
        return
    sync_directory(path.parent)


def _write_temporary(path: Path, data: bytes, ids: Ids, mode: int) -> Path:
    temporary = temporary_name(path, ids)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with open(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(descriptor)
    except OSError:
        _forget(temporary)
        raise
    return temporary


def _forget(temporary: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
