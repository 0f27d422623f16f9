"""What a supervisor and its children agree on. Pure."""

from __future__ import annotations

from dataclasses import dataclass

DRAIN = "drain"
HARD_STOP_AFTER_S = 2.0  # beyond the grace a child ends by force, whatever its event loop does
EXIT_FAILURE = 70
EXIT_CONFIGURATION = 78  # no restart can mend it


@dataclass(frozen=True, slots=True)
class Assignment:
    """What the supervisor tells a child. `names` are of all processes, in the order of their slots on the board; `ledger` is its descriptor."""

    names: tuple[str, ...]
    slot: int
    board: int
    ledger: int
    listener: int | None
    program: str
    settings: object

    def told(self) -> object:
        return {name: getattr(self, name) for name in self.__slots__}
