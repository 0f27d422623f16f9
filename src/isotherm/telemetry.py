"""What a process says of itself while it runs: a line of log an event, on standard error; and the form of its numbers.

    2026-11-23T03:38:15.123Z warning supervisor gateway-1 ended; starts again in 0.2 s  signal=SIGKILL pid=4711

A line is `time level component message  name=value …`; values with spaces are written as JSON strings, and no value holds
a line break. Secrets never enter a log. Counters are kept where they are counted; `Measured` and `Distributed` are the form
in which they are handed to whoever publishes them.

A `Log` may be used from any thread; it is passed in, never looked up.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Literal

from isotherm.clock import Clock


class Level(IntEnum):
    DEBUG = 10
    INFO = 20
    WARNING = 30
    ERROR = 40


class Log:
    """Writes events of one component.

    Args:
        component: the process or room that speaks.
        clock: for the time of an event.
        least: events below this level are dropped.
        write: takes one line with its line break; standard error by default. What it raises as OSError is ignored: a
            closed terminal must not end a server.
    """

    __slots__ = ("_clock", "_component", "_least", "_write")

    def __init__(
        self,
        component: str,
        clock: Clock,
        *,
        least: Level = Level.INFO,
        write: Callable[[str], object] | None = None,
    ) -> None:
        self._component = component
        self._clock = clock
        self._least = least
        self._write = write or sys.stderr.write

    def debug(self, message: str, **values: object) -> None:
        self._say(Level.DEBUG, message, values)

    def info(self, message: str, **values: object) -> None:
        self._say(Level.INFO, message, values)

    def warning(self, message: str, **values: object) -> None:
        self._say(Level.WARNING, message, values)

    def error(self, message: str, **values: object) -> None:
        self._say(Level.ERROR, message, values)

    def _say(self, level: Level, message: str, values: dict[str, object]) -> None:
        if level < self._least:
            return
        told = "".join(f" {name}={_plain(value)}" for name, value in values.items())
        line = f"{_time(self._clock.now_ms())} {level.name.lower()} {self._component} {_one_line(message)}"
        try:
            self._write(f"{line} {told}\n" if told else f"{line}\n")
        except (OSError, ValueError):  # ValueError: the stream has been closed
            return


def _time(now_ms: int) -> str:
    return datetime.fromtimestamp(now_ms / 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{now_ms % 1_000:03d}Z"


def _one_line(text: str) -> str:
    return text if text.isprintable() else json.dumps(text)[1:-1]


def _plain(value: object) -> str:
    text = str(value)
    return text if text and text.isprintable() and " " not in text and '"' not in text else json.dumps(text)


@dataclass(frozen=True, slots=True)
class Measured:
    """Numbers of one name: counters only grow, gauges go both ways. Each value goes with its labels."""

    name: str
    meaning: str
    kind: Literal["counter", "gauge"]
    values: Sequence[tuple[Mapping[str, str], float]]


@dataclass(frozen=True, slots=True)
class Distributed:
    """Histograms of one name. `bounds` are upper bounds; `values`: labels, a count per bucket and one above, and the sum."""

    name: str
    meaning: str
    bounds: Sequence[float]
    values: Sequence[tuple[Mapping[str, str], Sequence[int], float]]
