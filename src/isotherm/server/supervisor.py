"""The supervisor: starts the processes of a server, starts again what dies, and ends them all.

It stays small on purpose: standard library, one thread, one selector, no event loop and no engine, so that there is little
in it that could fail; its children are told to end by the kernel when it does. Starting order: gateways and committer, whose
readiness the server announces; then control and mover, which nobody waits for.

Runs in the main thread of `isotherm serve`.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from isotherm.clock import Clock
from isotherm.devices.board import Board, State
from isotherm.devices.processes import Child, signal_name, spawn
from isotherm.server.assignment import DRAIN, EXIT_CONFIGURATION, Assignment
from isotherm.server.restarting import Restarts
from isotherm.telemetry import Log

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
KILLED_AFTER_S = 4.0  # beyond the grace: children end themselves before that
BEAT_S = 0.5


@dataclass(frozen=True, slots=True)
class Post:
    """A process that is to run.

    `first`: the server is announced when all such are ready, and the others start then. `front`: it has clients of its own;
    the others are told to end only when no such process is left.
    """

    name: str
    module: str
    first: bool
    front: bool
    listener: int | None = None


@dataclass(slots=True)
class _Manned:
    """A post and who is on it."""

    post: Post
    slot: int
    child: Child | None = None
    since_s: float = 0.0
    again_s: float = 0.0
    ready: bool = False
    told_to_end: bool = False
    restarts: Restarts = field(default_factory=Restarts)


class Supervisor:
    """The board has a slot for each post, in their order, and one more for the supervisor.

    Args:
        assignment: what each process is told, given its post and slot.
        shared: descriptors that every child inherits, beside the board's and its listener.
        grace_s: how long children may take to end what is under way.
        hung_s: how long a child may show no life.
        ready: called when all first posts are ready, with what they told, and again whenever another process is.
        stopping: called once, when the server begins to end: stop listening.
    """

    def __init__(
        self,
        posts: Sequence[Post],
        board: Board,
        assignment: Callable[[Post, int], Assignment],
        clock: Clock,
        log: Log,
        *,
        shared: Sequence[int],
        grace_s: float,
        hung_s: float,
        ready: Callable[[Mapping[str, object]], None],
        stopping: Callable[[], None],
    ) -> None:
        self._manned = [_Manned(post, slot) for slot, post in enumerate(posts)]
        self._board = board
        self._assignment = assignment
        self._clock = clock
        self._log = log
        self._shared = [board.descriptor, *shared]
        self._grace_s = grace_s
        self._hung_s = hung_s
        self._attentive_since_s = self._looked_s = clock.monotonic()
        self._ready = ready
        self._stopping = stopping
        self._selector = selectors.DefaultSelector()
        self._told: dict[str, object] = {}
        self._announced = False
        self._stop_by_s: float | None = None
        self._status = 0

    def run(self) -> int:
        """Until told to stop by a signal; the exit status of the server."""
        woken, wakes = socket.socketpair()
        for end in (woken, wakes):
            end.setblocking(False)
        before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGCHLD, *_heeded())}
        signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
        self._selector.register(woken, selectors.EVENT_READ, None)
        try:
            while not self._over():
                self._start_due()
                for key, _ in self._selector.select(self._wait_s()):
                    if key.data is None:
                        self._signalled(woken.recv(256))
                    else:
                        self._hear(key.data)
                self._kill_hung()
                self._bury()
                self._end_in_order()
                self._publish()
            return self._status
        finally:
            self._kill_all()
            signal.set_wakeup_fd(-1)
            for number, action in before.items():
                signal.signal(number, action)
            self._selector.close()
            woken.close()
            wakes.close()

    def _over(self) -> bool:
        return self._stop_by_s is not None and not any(manned.child for manned in self._manned)

    def _wait_s(self) -> float:
        now_s = self._clock.monotonic()
        due = [manned.again_s - now_s for manned in self._due_later()]
        if self._stop_by_s is not None:
            due.append(self._stop_by_s - now_s)
        return max(0.0, min([*due, BEAT_S]))

    def _due_later(self) -> list[_Manned]:
        if self._stop_by_s is not None:
            return []
        return [m for m in self._manned if m.child is None and (m.post.first or self._announced)]

    def _start_due(self) -> None:
        now_s = self._clock.monotonic()
        for manned in self._due_later():
            if manned.again_s <= now_s:
                self._start(manned, now_s)

    def _start(self, manned: _Manned, now_s: float) -> None:
        post = manned.post
        descriptors = self._shared + ([post.listener] if post.listener is not None else [])
        try:
            child = spawn(post.module, self._assignment(post, manned.slot).told(), descriptors, title=post.name)
        except OSError as error:
            manned.again_s = now_s + manned.restarts.after(0.0)
            self._log.error(f"cannot start {post.name}", reason=error.strerror)
            return
        manned.child, manned.since_s, manned.ready = child, now_s, False
        self._board.slots[manned.slot].enter(State.STARTING, child.pid)
        self._selector.register(child.line, selectors.EVENT_READ, manned)
        self._log.debug(f"started {post.name}", pid=child.pid)

    def _signalled(self, numbers: bytes) -> None:
        for number in numbers:
            if number == signal.SIGCHLD:
                continue
            if self._stop_by_s is None:
                self._log.info(f"{signal.Signals(number).name}: no new connections; ending what is under way")
                self._stop(self._grace_s)
            else:
                self._status = 1
                self._log.warning(f"{signal.Signals(number).name} again: ending at once")
                self._kill_all()

    def _hear(self, manned: _Manned) -> None:
        child = manned.child
        if child is None:
            return
        told = child.line.receive()
        if not isinstance(told, Mapping):
            self._selector.unregister(child.line)
            return
        manned.ready = True
        if manned.restarts.count:
            self._log.info(f"{manned.post.name} works again", pid=child.pid)
        self._told.update(told)
        self._announce()

    def _announce(self) -> None:
        first_ready = all(manned.ready for manned in self._manned if manned.post.first)
        if (first_ready or self._announced) and self._stop_by_s is None:
            self._announced = True
            self._ready(self._told)

    def _bury(self) -> None:
        for manned in self._manned:
            child = manned.child
            if child is None or (status := child.ended()) is None:
                continue
            if child.line.fileno() in self._selector.get_map():
                self._selector.unregister(child.line)
            child.line.close()
            now_s = self._clock.monotonic()
            manned.child, manned.ready = None, False
            self._board.slots[manned.slot].leave()
            if self._stop_by_s is not None:
                continue
            if status == EXIT_CONFIGURATION and not self._announced:
                self._status = 1
                self._stop(0.0)
                continue
            wait_s = manned.restarts.after(now_s - manned.since_s)
            manned.again_s = now_s + wait_s
            self._log.warning(
                f"{manned.post.name} ended ({signal_name(status)}); it starts again in {wait_s:g} s", pid=child.pid
            )

    def _stop(self, grace_s: float) -> None:
        if self._stop_by_s is not None:
            return
        self._stop_by_s = self._clock.monotonic() + grace_s + KILLED_AFTER_S
        self._stopping()

    def _end_in_order(self) -> None:
        """Once stopping: tell those in front to end, then the others; kill who has not ended in time."""
        if self._stop_by_s is None:
            return
        if self._clock.monotonic() >= self._stop_by_s:
            self._kill_all()
        running = [manned for manned in self._manned if manned.child is not None]
        front = [manned for manned in running if manned.post.front]
        for manned in front or running:
            if manned.child is not None and not manned.told_to_end:
                manned.told_to_end = True
                manned.child.line.send(DRAIN)

    def _kill_hung(self) -> None:
        """Kill children that show no life, once this process itself has been awake for as long."""
        now_s = self._clock.monotonic()
        if now_s - self._looked_s > 4 * BEAT_S:  # the machine stood still, or this process did: nobody could show life
            self._attentive_since_s = now_s
        self._looked_s = now_s
        if now_s - self._attentive_since_s < self._hung_s or self._stop_by_s is not None:
            return
        for manned in self._manned:
            slot = self._board.slots[manned.slot]
            if manned.child and manned.ready and now_s - max(slot.beat_ms / 1_000, manned.since_s) > self._hung_s:
                self._log.error(f"{manned.post.name} shows no life; killing it", pid=manned.child.pid)
                manned.ready = False
                manned.child.kill()

    def _publish(self) -> None:
        slot = self._board.slots[len(self._manned)]
        slot.enter(State.SERVING, os.getpid())
        slot.beat(int(self._clock.monotonic() * 1_000))
        slot.publish(json.dumps({m.post.name: m.restarts.count for m in self._manned}).encode())

    def _kill_all(self) -> None:
        for manned in self._manned:
            if manned.child is not None:
                manned.child.kill()


def _heeded() -> list[signal.Signals]:
    """Signals that end the server: but for those that whoever started it has told it to ignore (`nohup`, `&` in a script)."""
    return [number for number in ENDING if signal.getsignal(number) is not signal.SIG_IGN]
