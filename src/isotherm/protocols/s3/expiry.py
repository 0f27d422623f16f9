"""What a connection that does not go on deserves: the decision, as a pure function of what it is doing and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from isotherm.protocols.s3.limits import S3Settings


class Verdict(Enum):
    GO_ON = 0
    CLOSE = 1  # nothing is under way
    TELL = 2  # the head did not come: answer RequestTimeout
    FAIL_BODY = 3  # the body did not come: its verb is told
    CANCEL = 4  # the client stopped sending long ago: its verb is cancelled
    ABORT = 5  # nobody reads


@dataclass(frozen=True, slots=True)
class Idleness:
    """Seconds; `head`, `unsent`: None where there is no half head, and nothing that waits to be sent."""

    since_progress: float
    since_head: float | None
    since_sent: float | None
    ending: bool
    answering: bool
    body_awaited: bool
    draining: bool
    half_closed: bool


def judge(idle: Idleness, settings: S3Settings) -> Verdict:
    """The first thing that has lasted too long."""
    if idle.since_sent is not None and idle.since_sent > settings.send_s:
        return Verdict.ABORT
    if idle.ending:
        return Verdict.ABORT if idle.since_sent is None and idle.since_progress > settings.linger_s else Verdict.GO_ON
    if idle.answering:
        if idle.body_awaited and idle.since_progress > settings.body_s:
            return Verdict.FAIL_BODY
        if idle.half_closed and idle.since_progress > settings.abandoned_s:
            return Verdict.CANCEL
        return Verdict.GO_ON
    if idle.draining:
        return Verdict.ABORT if idle.since_progress > settings.body_s else Verdict.GO_ON
    if idle.since_head is not None:
        return Verdict.TELL if idle.since_head > settings.head_s else Verdict.GO_ON
    if idle.since_sent is None and idle.since_progress > settings.idle_s:
        return Verdict.CLOSE
    return Verdict.GO_ON
