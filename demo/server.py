"""The platform as an operator has it: a command that runs, processes with numbers, a port that says when it is ready."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

READY_S = 30.0
STOP_S = 30.0


@dataclass(frozen=True, slots=True)
class Process:
    pid: int
    name: str


class Server:
    """`isotherm serve` on a data directory, in a session of its own, so that all of its processes can be found.

    Args:
        isotherm: the command.
        data: the directory to serve, as it is given to the command.
        port: of S3; health, metrics and the feed are on `admin_port`.
        log: what it prints goes here.
        options: further options of the command.
    """

    def __init__(self, isotherm: Path, data: Path, port: int, admin_port: int, log: Path, *options: str) -> None:
        self._command = [str(isotherm), "serve", "--data", str(data)]
        self._command += ["--port", str(port), "--admin-port", str(admin_port), *options]
        self.log = log
        self._supervisor: subprocess.Popen[bytes] | None = None
        self.endpoint = f"http://127.0.0.1:{port}"
        self.admin = f"http://127.0.0.1:{admin_port}"

    @property
    def command_line(self) -> str:
        return " ".join(["isotherm", *self._command[1:]])

    @property
    def pid(self) -> int:
        assert self._supervisor is not None
        return self._supervisor.pid

    def start(self) -> float:
        """Start it and wait until it says it is ready. Returns the seconds that took.

        Raises:
            RuntimeError: it ended, or was not ready in READY_S; with the end of its log.
        """
        began = time.monotonic()
        with self.log.open("ab") as log:
            self._supervisor = subprocess.Popen(self._command, stdout=log, stderr=log, start_new_session=True)
        while not self._ready():
            if self._supervisor.poll() is not None or time.monotonic() - began > READY_S:
                tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])
                raise RuntimeError(f"`{self.command_line}` did not become ready. The end of {self.log}:\n{tail}")
            time.sleep(0.02)
        return time.monotonic() - began

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.admin}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def processes(self) -> list[Process]:
        """All of its session that live, the supervisor first. Linux keeps a session's number though parents die."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    after_name = (entry / "stat").read_text().rpartition(")")[2].split()
                    command = (entry / "cmdline").read_bytes().split(b"\0")
                except OSError:  # it ended meanwhile
                    continue
                state, session = after_name[0], int(after_name[3])
                if session == self.pid and state != "Z":
                    found.append(Process(int(entry.name), _short(command)))
        return sorted(found, key=lambda process: (process.pid != self.pid, process.pid))

    def kill(self) -> list[Process]:
        """SIGKILL to every process, the supervisor first, until none is left. Returns those that were killed."""
        killed: dict[int, Process] = {}
        while living := self.processes():
            for process in living:
                try:
                    os.kill(process.pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
                killed.setdefault(process.pid, process)  # one that is ending has lost its name
        assert self._supervisor is not None
        self._supervisor.wait()
        return list(killed.values())

    def stop(self) -> None:
        """End it as an operator would: SIGTERM, and wait until it has drained."""
        if self._supervisor is None or self._supervisor.poll() is not None:
            return
        self._supervisor.terminate()
        try:
            self._supervisor.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()


def _short(command: list[bytes]) -> str:
    """`python -m isotherm.server.gateway 13` → `gateway`"""
    words = [word.decode(errors="replace") for word in command if word]
    if "-m" in words[:-1]:
        return words[words.index("-m") + 1].rpartition(".")[2]
    return "supervisor" if "serve" in words else " ".join(words[:2])


def free_ports(*wanted: int) -> list[int]:
    """The ports wanted where they are free on the loopback, else any that are."""
    held = []
    for port in wanted:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            listener.bind(("127.0.0.1", 0))
        held.append(listener)
    ports = [listener.getsockname()[1] for listener in held]
    for listener in held:
        listener.close()
    return ports
