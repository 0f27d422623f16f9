"""A PostgreSQL server of a test's own: a temporary cluster on a Unix socket, as an unprivileged user, ended by pid.

    with TemporaryPostgres() as server:
        dsn = server.database()      # a new, empty database

Needs Debian's `postgresql` (or any whose `initdb` is found); `programs()` is None where there is none.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

from isotherm.clock import SystemClock
from isotherm.devices.processes import alive

_START_S = 60.0
_POLL_S = 0.01
_USERS = ("postgres", "nobody")


def programs() -> Path | None:
    """The folder of `initdb` and `postgres`, of the newest version installed."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    elsewhere = shutil.which("initdb")
    return Path(elsewhere).resolve().parent if elsewhere else None


class TemporaryPostgres:
    """Start with `with` or `start`; `stop` ends it, `kill` ends it as a crash would. It may be started again.

    Args:
        settings: of `postgresql.conf`.
        follow: make it a standby of that server, which runs, instead of a cluster of its own.
    """

    def __init__(self, *, settings: dict[str, str] | None = None, follow: TemporaryPostgres | None = None) -> None:
        self._followed = follow
        self.folder = Path(tempfile.mkdtemp(prefix="isotherm-postgres-"))
        self._settings = {"fsync": "on", "listen_addresses": "''", "unix_socket_directories": f"'{self.folder}'"}
        self._settings |= {"max_connections": "200", "shared_buffers": "64MB", **(settings or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0

    def __enter__(self) -> TemporaryPostgres:
        if self._process is None:
            self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def pid(self) -> int:
        """Of its first process, while it runs."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it, and make the cluster first where that has not been done. Returns when it answers."""
        data = self.folder / "data"
        if not data.exists():
            user = self._user()
            if user is not None:
                shutil.chown(self.folder, user)
            if self._followed is None:
                self._run("initdb", "-D", str(data), "-U", "isotherm", "-A", "trust", "-E", "UTF8", "--no-locale")
            else:
                source = ("-h", str(self._followed.folder), "-U", "isotherm")
                self._run("pg_basebackup", *source, "-D", str(data), "-R", "-c", "fast", "-X", "stream")
        command = [str(self._program("postgres")), "-D", str(data)]
        for name, value in self._settings.items():
            command += ["-c", f"{name}={value.strip(chr(39))}"]
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(
            command, stdout=log, stderr=log, user=self._user(), cwd=self.folder, start_new_session=True
        )
        log.close()
        clock = SystemClock()
        end = clock.monotonic() + _START_S
        while not self._answers():
            if self._process.poll() is not None or clock.monotonic() > end:
                raise RuntimeError(f"PostgreSQL did not start:\n{(self.folder / 'log').read_text()}")

    def stop(self) -> None:
        """A fast shutdown: connections are cut, everything committed is on disk."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """SIGQUIT, PostgreSQL's immediate shutdown: no checkpoint, recovery at the next start."""
        self._end(signal.SIGQUIT)

    def crash(self) -> None:
        """SIGKILL to all its processes at once: as if the machine had died, but for what the operating system still writes."""
        pids = self._all(signal.SIGKILL)
        process, self._process = self._process, None
        if process is not None:
            process.wait(60)
        while any(alive(pid) for pid in pids):  # it does not start anew while one still holds its shared memory
            time.sleep(_POLL_S)

    def pause(self) -> None:
        """SIGSTOP to all its processes: it answers nobody, and refuses nobody, until `go_on`."""
        self._all(signal.SIGSTOP)

    def go_on(self) -> None:
        self._all(signal.SIGCONT)

    def promote(self) -> None:
        """Make a standby a primary; returns when it takes writes."""
        self._run("pg_ctl", "promote", "-D", str(self.folder / "data"), "-w")

    def start_over(self, follow: TemporaryPostgres) -> None:
        """Throw its data away and start it as a standby of another."""
        shutil.rmtree(self.folder / "data")
        self._followed = follow
        self.start()

    def configure(self, name: str, value: str) -> None:
        """Change a setting while it runs. Connections made afterwards, at the latest, see it."""
        dsn = "postgresql://isotherm@/postgres"
        self.ask(dsn, f"alter system set {name} = '{value}'")
        self.ask(dsn, "select pg_reload_conf()")

    def database(self) -> str:
        """The address of a new database."""
        self._made += 1
        name = f"test{self._made}"
        self._run("createdb", "-h", str(self.folder), "-U", "isotherm", name)
        return f"postgresql://isotherm@/{name}?host={self.folder}"

    def drop(self, dsn: str) -> None:
        """Remove a database that `database` made, cutting its connections."""
        self._run("dropdb", "--force", "-h", str(self.folder), "-U", "isotherm", dsn.split("/")[3].split("?")[0])

    def ask(self, dsn: str, statement: str) -> str:
        """What a statement in a database that `database` made returns, a row a line."""
        name = dsn.split("/")[3].split("?")[0]
        options = ("-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", str(self.folder), "-U", "isotherm")
        return self._run("psql", *options, "-d", name, "-c", statement)

    def _all(self, number: signal.Signals) -> list[int]:
        """A signal to the server and its children; their pids."""
        process = self._process
        if process is None:
            return []
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        pids = [process.pid, *map(int, children)]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        return pids

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(number)
            process.wait(60)

    def _answers(self) -> bool:
        asked = subprocess.run(
            [self._program("pg_isready"), "-q", "-h", str(self.folder), "-t", "1"], check=False, cwd=self.folder
        )
        return asked.returncode == 0

    def _run(self, program: str, *arguments: str) -> str:
        done = subprocess.run(
            [self._program(program), *arguments],
            user=self._user(),
            cwd=self.folder,
            capture_output=True,
            check=False,
            env={"PGOPTIONS": "-c default_transaction_read_only=off"},  # whatever a test has configured
        )
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr.decode()}")
        return done.stdout.decode()

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
