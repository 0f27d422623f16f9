"""How a foreign process commits: by itself while no server is alive, else through the server's socket.

Runs on the committer's thread of the foreign process, which may block. A request whose frame has not left this process
whole, or that the server says it has not read, is safe to try again; one that has left and gets no answer ends as
`Unavailable` with its outcome unknown.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from pathlib import Path

import msgspec

from isotherm.devices import sockets
from isotherm.errors import IsothermError, Unavailable
from isotherm.meta.lmdb import wire
from isotherm.meta.lmdb.committer import BatchCommitter
from isotherm.meta.lmdb.presence import Turns
from isotherm.meta.member import Outcome, Request

SOCKET_NAME = "committer.sock"
ANSWER_S = 30.0
RECEIVE_BYTES = 1 << 16
ATTEMPTS = 500
PAUSE_S = 0.01  # so that a server has 5 s to come back


class RemoteCommitter:
    """A connection to the server's `CommitService`, made when it is needed and again after it broke."""

    def __init__(self, directory: Path, answer_s: float = ANSWER_S) -> None:
        self._path = directory / SOCKET_NAME
        self._answer_s = answer_s
        self._connection: socket.socket | None = None
        self._frames = wire.Frames()

    def submit(self, requests: Sequence[Request]) -> dict[int, Outcome]:
        """Outcomes by position. A position that is missing was not sent or not read: nothing has happened to it."""
        outcomes: dict[int, Outcome] = {}
        ends: list[tuple[int, int]] = []
        stream = bytearray()
        for position, request in enumerate(requests):
            try:
                stream += wire.request_frame(position, request)
            except IsothermError as error:
                outcomes[position] = error
            else:
                ends.append((len(stream), position))
        sent = self._send(stream)
        asked = {position for end, position in ends if end <= sent}
        self._receive(asked, outcomes)
        if sent < len(stream):
            self.close()
        return outcomes

    def _send(self, stream: bytearray) -> int:
        """How many bytes have left; fewer than all when the connection cannot be made or broke."""
        sent = 0
        try:
            if self._connection is None:
                self._connection = sockets.connect(self._path, self._answer_s)
            with memoryview(stream) as view:
                while sent < len(view):
                    sent += self._connection.send(view[sent:])
        except OSError:
            return sent
        return sent

    def _receive(self, asked: set[int], outcomes: dict[int, Outcome]) -> None:
        try:
            while asked:
                assert self._connection is not None
                data = self._connection.recv(RECEIVE_BYTES)
                if not data:
                    raise ConnectionError("the server closed the connection")
                for body in self._frames.feed(data):
                    position, outcome = wire.answer_of(body)
                    if position == wire.GOODBYE:
                        self.close()
                        return
                    asked.remove(position)
                    outcomes[position] = outcome
        except (OSError, KeyError, msgspec.DecodeError, IsothermError) as error:
            self.close()
            lost = (
                error
                if isinstance(error, IsothermError)
                else Unavailable(f"the server did not answer; whether it committed is unknown ({error})")
            )
            outcomes.update((position, lost) for position in asked)

    def close(self) -> None:
        """Idempotent."""
        connection, self._connection = self._connection, None
        self._frames = wire.Frames()
        if connection is not None:
            connection.close()


class ForeignCommitter:
    """Commits batches of a process that is no part of the server."""

    def __init__(self, local: BatchCommitter, turns: Turns, remote: RemoteCommitter, attempts: int = ATTEMPTS) -> None:
        self._attempts = attempts
        self._local = local
        self._turns = turns
        self._remote = remote
        self._closing = threading.Event()

    def commit(self, batch: Sequence[Request]) -> list[Outcome]:
        """One outcome for each request, in order."""
        outcomes: dict[int, Outcome] = {}
        for _ in range(self._attempts):
            pending = [position for position in range(len(batch)) if position not in outcomes]
            requests = [batch[position] for position in pending]
            if self._turns.take():
                try:
                    outcomes.update(zip(pending, self._local.commit(requests), strict=True))
                finally:
                    self._turns.give_back()
            else:
                answered = self._remote.submit(requests)
                outcomes.update((pending[position], outcome) for position, outcome in answered.items())
            if len(outcomes) == len(batch) or self._closing.wait(PAUSE_S):
                break
        silent = Unavailable(
            "a server is alive on this directory but its committer does not answer; nothing was written"
        )
        return [outcomes.get(position, silent) for position in range(len(batch))]

    def hasten(self) -> None:
        """Make a commit that waits for the server to come back give up. Any thread."""
        self._closing.set()

    def close(self) -> None:
        """Drop the connection; when no commit is under way any more."""
        self._remote.close()
