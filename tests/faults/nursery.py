"""A process that has imported everything and opened nothing, and forks off the processes of a test: `python -m tests.faults.nursery FD`.

Starting an interpreter costs ten times what most lives here last. The nursery has one thread and no store, so that what it
forks is as good as new.

    with Nursery() as nursery:
        process = nursery.start("writer", path, life, "write")     # as processes.Process
"""

import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import traceback

from tests.faults.processes import TOP

MODULES = ("writer", "reader")


class Nursery:
    """Used from one thread. Its end ends none of its processes."""

    def __init__(self):
        self._line, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, "-m", "tests.faults.nursery", str(theirs.fileno())]
            self._process = subprocess.Popen(command, cwd=TOP, pass_fds=[theirs.fileno()])

    def start(self, module, path, *words):
        """`module` of these tests, with these words on its command line."""
        out, their_out = os.pipe()
        errors, their_errors = os.pipe()
        told = json.dumps([module, str(path), *map(str, words)]).encode()
        socket.send_fds(self._line, [told], [their_out, their_errors])
        os.close(their_out)
        os.close(their_errors)
        return Forked(int(self._line.recv(32)), out, errors)

    def close(self):
        self._line.close()
        self._process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


class Forked:
    """As `processes.Process`. It is known by a pidfd, since its number may go to another once it is dead."""

    def __init__(self, pid, out, errors):
        self.pid = pid
        self._handle = os.pidfd_open(pid)
        self._out = os.fdopen(out, "rb")
        self._errors = os.fdopen(errors, "rb")

    def lines(self):
        """What it says, until it is dead and everything it said has been read. A line cut off by death is no line."""
        for raw in self._out:
            if raw.endswith(b"\n"):
                yield json.loads(raw)

    def send(self, number):
        """A signal. Nothing happens to one that is dead."""
        try:
            signal.pidfd_send_signal(self._handle, number)
        except ProcessLookupError:
            return

    def kill(self):
        self.send(signal.SIGKILL)

    def end(self):
        """Kill it if it lives; what it wrote on standard error."""
        self.kill()
        with self._out, self._errors:
            self._out.read()
            said = self._errors.read().decode()
        os.close(self._handle)
        return said


def _bring_up(mains, line, descriptors, words):
    """In the child: be the program that was asked for."""
    line.close()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for descriptor, standard in zip(descriptors, (1, 2), strict=True):
        os.dup2(descriptor, standard)
        os.close(descriptor)
    sys.argv = words
    status = 1
    try:
        mains[words[0]]()
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


def main():
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how they ended
    mains = {name: importlib.import_module(f"tests.faults.{name}").main for name in MODULES}
    line = socket.socket(fileno=int(sys.argv[1]))
    while True:
        told, descriptors, _, _ = socket.recv_fds(line, 65_536, 2)
        if not told:
            return
        child = os.fork()
        if not child:
            _bring_up(mains, line, descriptors, json.loads(told))
        line.send(b"%d" % child)
        for descriptor in descriptors:
            os.close(descriptor)


if __name__ == "__main__":
    main()
