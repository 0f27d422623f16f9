"""What a connection that does not go on deserves: how long it has been at what it is doing, and the verdict on it.

`judge` is pure. A `Vigil` belongs to one connection, on its loop's thread; its times are the roster's.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from isotherm.protocols.s3.limits import S3Settings

PATIENCE_S = 1.0
"""For so long nothing that might get on is asked to make room."""


class Verdict(Enum):
    GO_ON = 0
    CLOSE = 1  # nothing is under way
    TELL = 2  # the head did not come: answer RequestTimeout
    FAIL_BODY = 3  # the body did not come: its verb is told
    CANCEL = 4  # the client stopped sending long ago: its verb is cancelled
    END = 5  # the client has had its moment to read the last reply
    ABORT = 6  # nobody reads


@dataclass(frozen=True, slots=True)
class Doing:
    """What a connection is at."""

    ending: bool
    answering: bool
    body_awaited: bool
    draining: bool
    half_closed: bool


@dataclass(frozen=True, slots=True)
class Lasting:
    """Seconds. `head`, `unsent`: None where there is no half head, and nothing that waits to be sent."""

    progress: float
    head: float | None
    unsent: float | None


class Spare(Enum):
    """Whether a connection can be asked to make room for another."""

    NO = 0  # something is under way
    IDLE = 1  # a client's between two requests, as it must expect of a kept-alive one
    YOUNG = 2  # nobody has proved to be anybody on it, and its request has not come
    STRANGER = 3  # nor did it in good time


class Vigil:
    """`since` is the time of the last progress, `head_since` that of a half head's first byte; `proven`: a request of it was
    authenticated."""

    __slots__ = ("_began", "_sent", "_sent_since", "head_since", "proven", "since")

    def __init__(self, now: float) -> None:
        self._began = self.since = now
        self.proven = False
        self.head_since: float | None = None
        self._sent: tuple[int, int] | None = None
        self._sent_since = now

    def watch(self, now: float, sent: tuple[int, int] | None, *, answering: bool) -> None:
        """`sent`: how far sending has come, in any measure; None when nothing waits to be sent."""
        if sent != self._sent:
            self._sent = sent
            self._sent_since = now
            if answering:
                self.since = now

    def lasting(self, now: float) -> Lasting:
        return Lasting(
            now - self.since,
            None if self.head_since is None else now - self.head_since,
            None if self._sent is None else now - self._sent_since,
        )

    def spare(self, now: float, *, at_rest: bool, answering: bool) -> Spare:
        """A stranger's bytes are no progress here: one that drips them would never end."""
        if not self.proven:
            return Spare.NO if answering else Spare.STRANGER if now - self._began >= PATIENCE_S else Spare.YOUNG
        return Spare.IDLE if at_rest and now - self.since >= PATIENCE_S else Spare.NO


def judge(lasting: Lasting, doing: Doing, settings: S3Settings) -> Verdict:
    """The first thing that has lasted too long."""
    if lasting.unsent is not None and lasting.unsent > settings.send_s:
        return Verdict.ABORT
    if doing.ending:
        return Verdict.END if lasting.unsent is None and lasting.progress > settings.linger_s else Verdict.GO_ON
    if doing.answering:
        if doing.body_awaited and lasting.progress > settings.body_s:
            return Verdict.FAIL_BODY
        if doing.half_closed and lasting.progress > settings.abandoned_s:
            return Verdict.CANCEL
        return Verdict.GO_ON
    if doing.draining:
        return Verdict.ABORT if lasting.progress > settings.body_s else Verdict.GO_ON
    if lasting.head is not None:
        return Verdict.TELL if lasting.head > settings.head_s else Verdict.GO_ON
    if lasting.unsent is None and lasting.progress > settings.idle_s:
        return Verdict.CLOSE
    return Verdict.GO_ON
