"""What every process that a supervisor spawned is given, and how it ends.

A child reads its assignment from the line to its parent, starts, says that it is ready, and shows life on the board five
times a second. It is told to stop by the word to drain, by SIGTERM or SIGINT, or by the end of the line, which means that
the supervisor has died; it then finishes what is under way. A thread watches the line and ends the process for good when
that takes too long, whatever the event loop is doing.

`run` belongs to the main thread. Exit statuses: 0 after a stop, 78 for what no restart can mend, 70 for anything else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, cast

from isotherm.clock import Clock, SystemClock
from isotherm.devices.board import Board, Slot, State
from isotherm.devices.ledger import Ledger
from isotherm.devices.processes import Line, from_parent
from isotherm.errors import Denied, Invalid, IsothermError, Misuse, NotPermitted, Unavailable
from isotherm.ids import Ids, SystemIds
from isotherm.server.assignment import DRAIN, EXIT_CONFIGURATION, EXIT_FAILURE, HARD_STOP_AFTER_S, Assignment
from isotherm.settings import Settings, decode
from isotherm.telemetry import Level, Log

if TYPE_CHECKING:
    from isotherm.store import Engines

BEAT_S = 0.2
_ALIVE = (State.SERVING, State.DRAINING)


class Duty:
    """A child's place in the server."""

    def __init__(self, line: Line, assignment: Assignment, clock: Clock, ids: Ids) -> None:
        self.name = assignment.names[assignment.slot]
        self.names = assignment.names
        self.settings: Settings = decode(assignment.settings)
        self.clock = clock
        self.ids = ids
        self.log = Log(self.name, clock, least=Level[self.settings.server.log.upper()])
        self.board = Board(assignment.board, len(assignment.names))
        self.slot: Slot = self.board.slots[assignment.slot]
        self.gateways: list[Slot] = [
            slot for name, slot in zip(self.names, self.board.slots, strict=True) if name.startswith("gateway-")
        ]
        self.ledger = Ledger(
            assignment.ledger,
            len(self.gateways),
            min(assignment.slot, len(self.gateways) - 1),  # gateways come first; the others only read
            lambda slot: self.gateways[slot].state in _ALIVE,
        )
        self.listener = assignment.listener
        self.stopping = asyncio.Event()
        self.grace_s = 0.0
        self.connections: Callable[[], int] = lambda: 0
        self.ailment: Callable[[], str | None] = lambda: None
        self.failure: str | None = None
        self._line = line

    def ready(self, **told: object) -> None:
        """Tell the supervisor that the work has begun."""
        self.slot.beat(self.now_ms(), self.connections())
        self.slot.enter(State.SERVING, os.getpid())
        self._line.send({"ready": True, **told})

    def now_ms(self) -> int:
        """The monotonic clock, as the board wants it."""
        return int(self.clock.monotonic() * 1_000)

    async def show_life(self) -> None:
        while True:
            self.slot.beat(self.now_ms(), self.connections())
            if self.failure is None and (ailment := self.ailment()) is not None:
                # What the medium holds is unknown to this process; another that opens the store anew takes its place.
                self.failure = ailment
                self.stop(self.settings.server.orphan_drain_s)
            await asyncio.sleep(BEAT_S)

    async def stopped_within(self, seconds: float) -> bool:
        """Wait to be told to stop; False when that did not happen in time."""
        try:
            await asyncio.wait_for(self.stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def stop(self, grace_s: float) -> None:
        """Begin to end; on the loop's thread. Again changes nothing."""
        if not self.stopping.is_set():
            self.grace_s = grace_s
            self.slot.enter(State.DRAINING, os.getpid())
            self.stopping.set()


async def open_engines(duty: Duty) -> Engines:
    """The store, as a process of a server opens it. A medium that failed a write ends the process: see `Duty.show_life`."""
    from isotherm.store import compose_here  # not every process needs the whole store

    engines = await compose_here(duty.settings, role="server", clock=duty.clock, ids=duty.ids, create=False)
    duty.ailment = lambda: engines.meta.write_failure
    return engines


class _Watch(threading.Thread):
    """Reads the line until it ends, and makes sure that the process does."""

    def __init__(self, line: Line, duty: Duty, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(name="line", daemon=True)
        self._line = line
        self._duty = duty
        self._loop = loop

    def run(self) -> None:
        server = self._duty.settings.server
        if self._line.receive() == DRAIN:
            self.stop_within(server.drain_s)
            self._line.receive()
        else:
            self._duty.log.warning("the supervisor is gone; ending")
        self.stop_within(server.orphan_drain_s)

    def stop_within(self, grace_s: float) -> None:
        """Stop; whatever the event loop does, the process has ended soon after the grace."""
        hard = threading.Timer(grace_s + HARD_STOP_AFTER_S, os._exit, (EXIT_FAILURE,))
        hard.daemon = True
        hard.start()
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            self._loop.call_soon_threadsafe(self._duty.stop, grace_s)


class _IntoLog(logging.Handler):
    """Rooms and libraries that speak through the standard library's logging are heard in the server's log."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        say = self._log.error if record.levelno >= logging.ERROR else self._log.warning
        if record.levelno < logging.WARNING:
            say = self._log.info
        say(record.getMessage(), room=record.name)
        if record.exc_info:
            traceback.print_exception(*record.exc_info)


def run(
    work: Callable[[Duty], Coroutine[Any, Any, None]],
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop,
) -> None:
    """Be the child process that the command line describes, until told to stop; never returns."""
    line = from_parent(sys.argv[1])
    told = line.receive()
    if not isinstance(told, Mapping):
        raise SystemExit(EXIT_FAILURE)
    clock, ids = SystemClock(), SystemIds()
    assignment = Assignment(**{**cast("dict[str, Any]", told), "names": tuple(told["names"])})
    log = Log(assignment.names[assignment.slot], clock)
    logging.basicConfig(handlers=[_IntoLog(log)], level=logging.INFO)
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            runner.run(_live(work, line, assignment, clock, ids))
        status = 0
    except IsothermError as error:
        log.error(str(error))
        status = EXIT_CONFIGURATION if isinstance(error, Misuse | Denied | Invalid | NotPermitted) else EXIT_FAILURE
    except BaseException:
        traceback.print_exc()
        status = EXIT_FAILURE
    sys.stderr.flush()
    os._exit(status)  # not sys.exit: threads that wait for a device must not hold the process


async def _live(
    work: Callable[[Duty], Coroutine[Any, Any, None]], line: Line, assignment: Assignment, clock: Clock, ids: Ids
) -> None:
    loop = asyncio.get_running_loop()
    duty = Duty(line, assignment, clock, ids)
    watch = _Watch(line, duty, loop)
    watch.start()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, watch.stop_within, duty.settings.server.drain_s)
    life = asyncio.create_task(duty.show_life())
    try:
        await work(duty)
    finally:
        life.cancel()
        duty.slot.leave()
    if duty.failure is not None:
        raise Unavailable(f"ended, to be started anew: {duty.failure}")
