"""A PostgreSQL server of a test's own: a temporary cluster on a Unix socket, as an unprivileged user, ended by pid.

    with TemporaryPostgres() as server:
        dsn = server.database()      # a new, empty database

Needs Debian's `postgresql` (or any whose `initdb` is found); `programs()` is None where there is none.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType

from isotherm.clock import SystemClock

_START_S = 60.0
_USERS = ("postgres", "nobody")


def programs() -> Path | None:
    """The folder of `initdb` and `postgres`, of the newest version installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    elsewhere = shutil.which("initdb")
    return Path(elsewhere).resolve().parent if elsewhere else None


class TemporaryPostgres:
    """Start with `with` or `start`; `stop` ends it, `kill` ends it as a crash would. It may be started again."""

    def __init__(self, *, settings: dict[str, str] | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="isotherm-postgres-"))
        self._settings = {"fsync": "on", "listen_addresses": "''", "unix_socket_directories": f"'{self._folder}'"}
        self._settings |= {"max_connections": "200", "shared_buffers": "64MB", **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0

    def __enter__(self) -> TemporaryPostgres:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def start(self) -> None:
        """Start it, and make the cluster first where that has not been done. Returns when it answers."""
        data = self._folder / "data"
        if not data.exists():
            user = self._user()
            if user is not None:
                shutil.chown(self._folder, user)
            self._run("initdb", "-D", str(data), "-U", "isotherm", "-A", "trust", "-E", "UTF8", "--no-locale")
        command = [str(self._program("postgres")), "-D", str(data)]
        for name, value in self._settings.items():
            command += ["-c", f"{name}={value.strip(chr(39))}"]
        log = (self._folder / "log").open("ab")
        self._process = subprocess.Popen(
            command, stdout=log, stderr=log, user=self._user(), cwd=self._folder, start_new_session=True
        )
        log.close()
        clock = SystemClock()
        end = clock.monotonic() + _START_S
        while not self._answers():
            if self._process.poll() is not None or clock.monotonic() > end:
                raise RuntimeError(f"PostgreSQL did not start:\n{(self._folder / 'log').read_text()}")

    def stop(self) -> None:
        """A fast shutdown: connections are cut, everything committed is on disk."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """SIGQUIT, PostgreSQL's immediate shutdown: no checkpoint, recovery at the next start."""
        self._end(signal.SIGQUIT)

    def database(self) -> str:
        """The address of a new database."""
        self._made += 1
        name = f"test{self._made}"
        self._run("createdb", "-h", str(self._folder), "-U", "isotherm", name)
        return f"postgresql://isotherm@/{name}?host={self._folder}"

    def drop(self, dsn: str) -> None:
        """Remove a database that `database` made, cutting its connections."""
        self._run("dropdb", "--force", "-h", str(self._folder), "-U", "isotherm", dsn.split("/")[3].split("?")[0])

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait(60)

    def _answers(self) -> bool:
        asked = subprocess.run(
            [self._program("pg_isready"), "-q", "-h", str(self._folder), "-t", "1"], check=False, cwd=self._folder
        )
        return asked.returncode == 0

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._program(program), *arguments], user=self._user(), cwd=self._folder, capture_output=True, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr.decode()}")

    def _program(self, name: str) -> Path:
        folder = programs()
        if folder is None:
            raise RuntimeError("PostgreSQL is not installed (Debian: apt-get install postgresql)")
        return folder / name

    @staticmethod
    def _user() -> str | None:
        """PostgreSQL refuses to run as root."""
        if os.geteuid() != 0:
            return None
        known = {entry.pw_name for entry in pwd.getpwall()}
        return next(name for name in _USERS if name in known)
