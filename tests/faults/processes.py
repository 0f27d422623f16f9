"""Processes of a store that are watched through a pipe and killed at a chosen line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).parents[2]


class Process:
    """A module of these tests, run on a store in a life of its own."""

    def __init__(self, module, path, *words):
        command = [sys.executable, "-m", f"tests.faults.{module}", str(path), *map(str, words)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=TOP)

    def lines(self):
        """What it says, until it is dead and everything it said has been read. A line cut off by death is no line."""
        for raw in self.process.stdout:
            if raw.endswith(b"\n"):
                yield json.loads(raw)

    def kill(self):
        """SIGKILL, by its id."""
        self.process.send_signal(signal.SIGKILL)

    def end(self):
        """Kill it if it lives; what it wrote on standard error."""
        self.process.kill()
        errors = self.process.stderr.read().decode()
        self.process.stdout.close()
        self.process.stderr.close()
        self.process.wait()
        return errors
