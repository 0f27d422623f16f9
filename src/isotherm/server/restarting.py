"""When a process that ended starts again: pure."""

from __future__ import annotations

from dataclasses import dataclass

FIRST_S = 0.05
MOST_S = 5.0
FORGIVEN_S = 10.0


@dataclass(slots=True)
class Restarts:
    """The waits of one process: doubled each time it ends soon, forgotten once it has lived for a while. Seconds."""

    count: int = 0
    _next_s: float = FIRST_S

    def after(self, lived_s: float) -> float:
        """How long to wait before starting a process again that lived for `lived_s`."""
        if lived_s >= FORGIVEN_S:
            self._next_s = FIRST_S
        wait_s = self._next_s
        self._next_s = min(wait_s * 2, MOST_S)
        self.count += 1
        return wait_s
