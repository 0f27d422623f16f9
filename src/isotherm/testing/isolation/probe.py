"""What a probe is, what came of it, and the report of them all. A probe tries something as an attacker, and says what it got."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from isotherm.errors import IsothermError
from isotherm.testing.isolation.stage import Stage

FORMAT = 1

NOT_COVERED = (
    "What this does not cover: how long answers take, and what else may be measured from outside; whoever may open the data "
    "directory, its database, its bucket or its backups, who is within the bounds of every tenant; the operating system, and other "
    "programs of its user; secrets that are stolen, and a root credential that is abused; whether an access key exists, which S3's own "
    "error codes tell to whoever guesses its 20 letters; the load others make, which is a matter of contracts; and what this suite did not "
    "think of: to be refused here is no proof."
)


class Outcome(StrEnum):
    REFUSED = "refused"
    BROKE_OUT = "BROKE OUT"
    UNTRIED = "not tried"


@dataclass(frozen=True, slots=True)
class Probe:
    """Args:
    name: `protocol.what`; stable.
    tried: what is tried, in a sentence.
    act: tries it, and returns what it got, a line for each thing; nothing where it was refused all. Raises where
        it could not be tried, as when what should be allowed was refused.
    """

    name: str
    tried: str
    act: Callable[[Stage], Iterable[str]]


class Tried(msgspec.Struct, frozen=True):
    """A probe and what came of it. `got`: what it got, or why it was not tried."""

    name: str
    tried: str
    outcome: Outcome
    got: list[str] = []


class Report(msgspec.Struct):
    """All of them. `exit_code`: 1 where something broke out, 2 where something could not be tried."""

    probes: list[Tried]
    not_covered: str = NOT_COVERED
    format: int = FORMAT

    def number(self, outcome: Outcome) -> int:
        return sum(tried.outcome is outcome for tried in self.probes)

    @property
    def exit_code(self) -> int:
        return 1 if self.number(Outcome.BROKE_OUT) else 2 if self.number(Outcome.UNTRIED) else 0

    def to_json(self) -> bytes:
        return msgspec.json.format(msgspec.json.encode(self), indent=2)


class NotAsAllowed(AssertionError):
    """What should be allowed was refused: a probe that is refused then means nothing."""


def allowed(true: object, what: str) -> None:
    """Raises NotAsAllowed."""
    if not true:
        raise NotAsAllowed(what)


def run(stage: Stage, probes: Iterable[Probe], heard: Callable[[Tried], None] = lambda tried: None) -> Report:
    """Try them in their order."""
    done: list[Tried] = []
    for probe in probes:
        try:
            got = list(probe.act(stage))
            outcome = Outcome.BROKE_OUT if got else Outcome.REFUSED
        except (IsothermError, NotAsAllowed) as error:
            got, outcome = [f"{type(error).__name__}: {error}"], Outcome.UNTRIED
        done.append(Tried(probe.name, probe.tried, outcome, got))
        heard(done[-1])
    return Report(done)
