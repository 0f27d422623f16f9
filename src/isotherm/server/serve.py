"""`isotherm serve`: takes the data directory, binds the ports, and supervises. Main thread only."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace

from isotherm.clock import Clock, SystemClock
from isotherm.devices import locks
from isotherm.devices.board import create_board
from isotherm.devices.directory import DataDirectory, is_data_directory, open_directory
from isotherm.devices.drive import SystemDrive, explain
from isotherm.devices.ledger import create_ledger
from isotherm.devices.processes import raise_descriptor_limit
from isotherm.errors import Unavailable
from isotherm.ids import Ids, SystemIds
from isotherm.meta.lmdb import ServerLock
from isotherm.server.announcement import Address, banner, read_address, remove_address, write_address
from isotherm.server.assignment import HARD_STOP_AFTER_S, Assignment
from isotherm.server.listening import is_loopback, listen, tls_context, url
from isotherm.server.supervisor import Post, Supervisor
from isotherm.settings import Settings, encode
from isotherm.telemetry import Level, Log

_POLL_S = 0.05
LOCK = "supervisor.lock"
SUPERVISOR = "supervisor"


def serve(settings: Settings, program: str) -> int:
    """Serve until told to stop; the exit status. Prints to standard output, logs to standard error.

    Raises:
        Unavailable: the directory has a server, or a port is taken.
        NotPermitted: the directory, or a port, is not for this user.
        Invalid: also a certificate that is none. VersionMismatch, NoSpace: see `open_directory` and `listen`.
    """
    clock, ids = SystemClock(), SystemIds()
    log = Log(SUPERVISOR, clock, least=Level[settings.server.log.upper()])
    tls_context(settings.server.tls)
    if not is_data_directory(settings.data):  # what cannot serve leaves no new store behind
        for port in (settings.server.port, settings.server.admin_port):
            listen(settings.server.host, port, sleep=time.sleep).close()
    directory = open_directory(settings.data, program=program, clock=clock, ids=ids, meta_kind=settings.meta_kind)
    kept = min(settings.segments.descriptors, raise_descriptor_limit() // 8)
    settings = replace(settings, segments=replace(settings.segments, descriptors=kept))
    with _only_server(directory, settings, clock) as (server_lock, patience_s):
        return _Serving(settings, program, directory, server_lock, clock, ids, log).run(patience_s)


@contextlib.contextmanager
def _only_server(directory: DataDirectory, settings: Settings, clock: Clock) -> Iterator[tuple[ServerLock, float]]:
    """Be the only server of the directory; gives the lock, and how long processes of a killed one may still be ending.

    Two locks: the supervisor's own goes with it at once, the engine's is shared with its children and goes with the last.
    """
    try:
        own = locks.KeptLock(SystemDrive().open(directory.run / LOCK, os.O_RDWR | os.O_CREAT))
    except OSError as error:
        raise explain(error, f"cannot lock {directory.path}") from error
    with contextlib.closing(own):
        left = read_address(directory.run)
        if not locks.try_lock(own.fd):
            where = f" at {left.s3} (pid {left.supervisor})" if left else ""
            raise Unavailable(f"a server runs on {directory.path} already{where}")
        patience_s = settings.server.orphan_drain_s + HARD_STOP_AFTER_S + 1.0 if left else 0.0
        server_lock = ServerLock(directory.meta)
        until_s = clock.monotonic() + patience_s
        while True:
            try:
                server_lock.acquire()
                break
            except Unavailable:
                if clock.monotonic() >= until_s:
                    raise
                time.sleep(_POLL_S)
        try:
            yield server_lock, patience_s
        finally:
            server_lock.release()


class _Serving:
    """One run of a server, from bound ports to the last child's end."""

    def __init__(
        self,
        settings: Settings,
        program: str,
        directory: DataDirectory,
        server_lock: ServerLock,
        clock: Clock,
        ids: Ids,
        log: Log,
    ) -> None:
        self._settings = settings
        self._program = program
        self._directory = directory
        self._server_lock = server_lock
        self._clock = clock
        self._ids = ids
        self._log = log
        self._listeners: list[socket.socket] = []
        self._announced = False

    def run(self, patience_s: float) -> int:
        server = self._settings.server
        try:
            for port in (server.port, server.admin_port):
                self._listeners.append(listen(server.host, port, patience_s=patience_s, sleep=time.sleep))
            if not is_loopback(server.host) and server.tls is None:
                self._log.warning(f"listening on {server.host} without TLS: whoever is on the way reads along")
            return self._supervise()
        finally:
            self._stop_listening()
            remove_address(self._directory.run)

    def _supervise(self) -> int:
        posts = self._posts()
        self._names = (*(post.name for post in posts), SUPERVISOR)
        self._board = create_board(len(self._names))
        self._ledger = create_ledger(self._settings.server.gateways)
        supervisor = Supervisor(
            posts,
            self._board,
            self._assignment,
            self._clock,
            self._log,
            shared=[self._server_lock.descriptor, self._ledger],
            grace_s=self._settings.server.drain_s,
            hung_s=self._settings.server.hung_s,
            ready=self._announce,
            stopping=self._stop_listening,
        )
        return supervisor.run()

    def _posts(self) -> list[Post]:
        s3, admin = (listener.fileno() for listener in self._listeners)
        gateways = [
            Post(f"gateway-{n}", "isotherm.server.gateway", first=True, front=True, listener=s3)
            for n in range(self._settings.server.gateways)
        ]
        committer = Post("committer", "isotherm.server.committer", first=True, front=False)
        return [
            *gateways,
            *([] if self._settings.meta else [committer]),  # on PostgreSQL every process commits for itself
            Post("control", "isotherm.server.control", first=False, front=True, listener=admin),
            Post("mover", "isotherm.server.mover", first=False, front=False),
        ]

    def _assignment(self, post: Post, slot: int) -> Assignment:
        return Assignment(
            names=self._names,
            slot=slot,
            board=self._board.descriptor,
            ledger=self._ledger,
            listener=post.listener,
            program=self._program,
            settings=encode(self._settings),
        )

    def _announce(self, told: Mapping[str, object]) -> None:
        scheme = "https" if self._settings.server.tls else "http"
        s3, admin = (url(scheme, listener) for listener in self._listeners)
        pids = {name: slot.pid for name, slot in zip(self._names, self._board.slots, strict=True) if slot.pid}
        address = Address(s3, admin, os.getpid(), pids)
        if not self._announced:
            self._announced = True
            self._greet(address, told)
        try:
            write_address(self._directory.run, address, self._ids)
        except OSError as error:  # a full disk is no reason to stop serving
            self._log.error("cannot write run/address.json", reason=error.strerror)

    def _greet(self, address: Address, told: Mapping[str, object]) -> None:
        text = banner(
            self._program,
            self._directory.path,
            address,
            self._settings.server.gateways,
            self._directory.root_credentials if told.get("access_key") else None,
            made=bool(told.get("made")),
            secure=self._settings.server.tls is not None,
        )
        with contextlib.suppress(OSError):
            sys.stdout.write(text + "\n")
            sys.stdout.flush()

    def _stop_listening(self) -> None:
        for listener in self._listeners:
            listener.close()
