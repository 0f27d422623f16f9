"""Child processes of a supervisor: spawned, never forked, and tied to it by a line.

A *line* is a Unix socket pair. The parent sends its child one JSON value to begin with, then at most the word to drain;
the child answers with JSON values of its own. When the parent dies, however it dies, the kernel closes its end and the
child reads the end of the line: no signal, pid or time-out is involved. Children are led in process groups of their own,
so that Ctrl-C in a terminal reaches the supervisor alone.

`spawn` is for the main thread of the supervisor; `Line` may be read from one thread and written from another.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

_LINE_BYTES_MOST = 1 << 20


class Line:
    """One end of a line: JSON values, a text line each."""

    __slots__ = ("_pending", "_socket")

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._pending = b""

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, value: object) -> bool:
        """False when the other end is gone."""
        try:
            self._socket.sendall(json.dumps(value).encode() + b"\n")
        except OSError:
            return False
        return True

    def receive(self) -> object:
        """The next value; None when the other end is gone. Blocks."""
        while b"\n" not in self._pending:
            try:
                received = self._socket.recv(65_536)
            except OSError:
                return None
            if not received or len(self._pending) > _LINE_BYTES_MOST:
                return None
            self._pending += received
        line, _, self._pending = self._pending.partition(b"\n")
        value: object = json.loads(line)
        return value

    @property
    def more(self) -> bool:
        """Whether `receive` would return a value that has already arrived whole."""
        return b"\n" in self._pending

    def close(self) -> None:
        self._socket.close()


class Child:
    """A spawned process, seen from its parent."""

    __slots__ = ("_process", "line")

    def __init__(self, process: subprocess.Popen[bytes], line: Line) -> None:
        self._process = process
        self.line = line

    @property
    def pid(self) -> int:
        return self._process.pid

    def ended(self) -> int | None:
        """None while it runs, then its exit status, or the negative number of the signal that ended it."""
        return self._process.poll()

    def kill(self) -> None:
        """SIGKILL. Nothing happens to one that has ended."""
        self._process.kill()

    def wait(self) -> int:
        """Block until it has ended."""
        return self._process.wait()


def spawn(module: str, first: object, descriptors: Sequence[int] = (), *, title: str = "") -> Child:
    """Run `python -m module LINE TITLE` with this program's interpreter; the child calls `from_parent` with LINE.

    Args:
        title: for whoever looks at the list of processes.
        first: the JSON value the child receives first.
        descriptors: open in the child under the same numbers.

    Raises:
        OSError: the operating system cannot start another process.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = subprocess.Popen(
                [sys.executable, "-m", module, str(theirs.fileno()), title],
                stdin=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(), *descriptors),
                process_group=0,
            )
        except OSError:
            ours.close()
            raise
    line = Line(ours)
    line.send(first)
    return Child(process, line)


def from_parent(argument: str) -> Line:
    """The child's end of the line, from its command line."""
    descriptor = int(argument)
    os.set_inheritable(descriptor, False)
    return Line(socket.socket(fileno=descriptor))


def raise_descriptor_limit() -> int:
    """Let this process and its children open as many files as the operator allows; the limit that holds now.

    The soft limit of 1,024 that most systems start with is for programs that use select(2).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        return hard
    return soft


def signal_name(status: int) -> str:
    """How a process ended, from `Child.ended`: "exit 3", "SIGKILL"."""
    if status >= 0:
        return f"exit {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def alive(pid: int) -> bool:
    """Whether a process of that number runs; one that has ended and waits to be buried does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state not in (b"Z", b"X")


def memory_bytes(pid: int) -> int:
    """Resident memory of a process; 0 where there is no such process."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_bytes().split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def kill(pid: int) -> None:
    """SIGKILL. Nothing happens where there is no such process."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def spawn_logged(command: Sequence[str], output: Path, errors: Path) -> subprocess.Popen[bytes]:
    """Run a program in a process group of its own, with its standard output and error appended to two files."""
    with output.open("ab") as out, errors.open("ab") as err:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, process_group=0)
