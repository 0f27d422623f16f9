"""A real server for tests, demonstrations and benchmarks: `isotherm serve` in processes of its own, on loopback.

    with RunningServer(directory) as server:
        s3 = boto3.client("s3", **server.client())

The ports are free ones. `start` returns when the server has announced itself; what it printed and logged lies in
`stdout.log` and `stderr.log` beside the data. Processes are killed by pid, and only those of this server.

Use it from one thread; `client()` may be called from any.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from isotherm.clock import SystemClock
from isotherm.devices.processes import alive, kill, spawn_logged
from isotherm.errors import Unavailable
from isotherm.server.announcement import Address, read_address
from isotherm.server.root_credentials import read
from isotherm.tenancy.identity import Credential

_POLL_S = 0.01


class RunningServer:
    """A server on `data`, not yet started.

    Args:
        data: its data directory; made if missing.
        options: further options of `isotherm serve`.
        gateways: gateway processes.
        start_s, stop_s: how long starting and stopping may take at most.
        under: a command that becomes the server it is given, as `prlimit` does.
    """

    def __init__(
        self,
        data: Path,
        *,
        options: Sequence[str] = (),
        gateways: int = 1,
        start_s: float = 30.0,
        stop_s: float = 40.0,
        under: Sequence[str] = (),
    ) -> None:
        self.data = Path(data)
        self._options = [*options, "--gateways", str(gateways)]
        self._under = under
        self._start_s = start_s
        self._stop_s = stop_s
        self._process: subprocess.Popen[bytes] | None = None
        self._clock = SystemClock()
        self._printed = self.data.with_name(self.data.name + ".stdout.log")
        self._logged = self.data.with_name(self.data.name + ".stderr.log")

    def __enter__(self) -> RunningServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it and wait until it serves.

        Raises:
            Unavailable: it ended, or took too long; the message holds what it logged.
        """
        command = [*self._under, sys.executable, "-m", "isotherm.cli", "serve", "--data", str(self.data)]
        command += ["--port", "0", "--admin-port", "0", *self._options]
        self._process = spawn_logged(command, self._printed, self._logged)
        self.until(self._announced, self._start_s, "the server did not start")

    def stop(self) -> int:
        """SIGTERM, and wait for its end; the exit status. Nothing happens where it does not run.

        Raises:
            Unavailable: it did not end in time; it has been killed.
        """
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        return self.wait()

    def wait(self) -> int:
        """Wait for its end; the exit status."""
        process = self.process
        try:
            status = process.wait(self._stop_s)
        except subprocess.TimeoutExpired as error:
            self.kill_all()
            raise Unavailable(f"the server did not end in {self._stop_s:g} s:\n{self.log}") from error
        self._process = None
        return status

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """Of the supervisor. Raises Unavailable where none runs."""
        if self._process is None:
            raise Unavailable("the server does not run")
        return self._process

    @property
    def address(self) -> Address:
        """Where it listens, and the pids of its processes now. Raises Unavailable where it has not said so."""
        address = read_address(self.data / "run")
        if address is None:
            raise Unavailable("the server has announced no address")
        return address

    @property
    def credential(self) -> Credential:
        """The root credentials. Raises Unavailable where there are none."""
        credential = read(self.data / "keys" / "root-credentials")
        if credential is None:
            raise Unavailable("the server has made no root credentials")
        return credential

    @property
    def log(self) -> str:
        """What its processes have logged, over all starts."""
        return self._logged.read_text(errors="replace") if self._logged.exists() else ""

    @property
    def printed(self) -> str:
        """What it has printed, over all starts."""
        return self._printed.read_text(errors="replace") if self._printed.exists() else ""

    def client(self) -> dict[str, Any]:
        """What `boto3.client("s3", …)` needs."""
        credential = self.credential
        return {
            "endpoint_url": self.address.s3,
            "aws_access_key_id": credential.access_key,
            "aws_secret_access_key": credential.secret,
            "region_name": "us-east-1",
        }

    def pid(self, name: str) -> int:
        """Of the process `name` ("gateway-0", "committer", "control", "mover"), once it runs."""
        self.until(lambda: alive(self.address.pids.get(name, 0)), self._start_s, f"{name} did not start")
        return self.address.pids[name]

    def kill(self, name: str) -> int:
        """SIGKILL one process by its name, and wait until it is gone; the pid it had. Another takes its place."""
        pid = self.pid(name)
        kill(pid)
        self.until(lambda: not alive(pid), self._stop_s, f"{name} survived SIGKILL")
        return pid

    def kill_supervisor(self) -> None:
        """SIGKILL the supervisor, and wait until it is gone. The others are left to notice."""
        self.process.kill()
        self.process.wait()
        self._process = None

    def kill_all(self) -> None:
        """SIGKILL every process at once, as a power cut would end them, and wait until they are gone."""
        pids = [pid for pid in self.address.pids.values() if pid]
        self.process.kill()
        for pid in pids:
            kill(pid)
        self.process.wait()
        self._process = None
        self.until(lambda: not any(alive(pid) for pid in pids), self._stop_s, "processes survived SIGKILL")

    def until(self, true: Callable[[], object], limit_s: float, otherwise: str) -> None:
        """Ask again and again until `true()`.

        Raises:
            Unavailable: the server ended while it should run, or `limit_s` is over.
        """
        end_s = self._clock.monotonic() + limit_s
        while not true():
            if self._process is not None and self._process.poll() is not None:
                self._process = None
                raise Unavailable(f"the server ended:\n{self.log}")
            if self._clock.monotonic() >= end_s:
                raise Unavailable(f"{otherwise} within {limit_s:g} s:\n{self.log}")
            time.sleep(_POLL_S)

    def _announced(self) -> bool:
        address = read_address(self.data / "run")
        return address is not None and self._process is not None and address.supervisor == self._process.pid
