"""Unix stream sockets at paths of any length: `sun_path` ends at 108 bytes, so the directory is reached by descriptor.

Safe from any thread.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

BACKLOG = 128


@contextmanager
def _short(directory: Path) -> Iterator[str]:
    """A short name of `directory`, valid inside the context (Linux: proc(5), /proc/pid/fd)."""
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def connect(path: Path, timeout_s: float) -> socket.socket:
    """A blocking connection to the socket at `path`; `timeout_s` also bounds each later call. Raises OSError."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout_s)
        with _short(path.parent) as directory:
            connection.connect(f"{directory}/{path.name}")
    except BaseException:
        connection.close()
        raise
    return connection


def listen(path: Path) -> socket.socket:
    """A listening socket at `path`, for this user alone (0600) from its first moment. Replaces what lies there.

    Raises OSError.
    """
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    temporary = path.with_name(path.name + ".new")
    try:
        temporary.unlink(missing_ok=True)
        with _short(path.parent) as directory:
            listener.bind(f"{directory}/{temporary.name}")
        temporary.chmod(0o600)
        listener.listen(BACKLOG)
        temporary.replace(path)
    except BaseException:
        listener.close()
        raise
    return listener
