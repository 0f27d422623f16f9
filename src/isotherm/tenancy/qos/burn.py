"""Latency objectives that act: how fast a node burns what its objective forgives, and how far others shrink for it.

An objective of p99 forgives one slow request in a hundred. The burn is the part of the requests that was slow, divided by
the part that may be: above 1 the windowed p99 is above the objective. While any node burns, the part of the budget that
may be used beyond reservations shrinks, and background work's part by the square of it: fewer requests under way mean a
shorter queue inside the device (as PARDA steers by latency: Gulati et al., FAST 2009). It falls by a factor and returns by
steps, and stays where it is while latencies come near to the objective, so that it settles below.

Pure; owned by one scheduler, touched from its thread only.
"""

from __future__ import annotations

from math import inf

FORGIVEN = 0.01
SLICE_S = 1.0
"""The window is the slice that runs and the one before it."""

NEAR = 0.8
PERIOD_S = 0.5
FALL = 0.7
RISE = 0.05
LEAST = 1 / 16


class Burn:
    """Counts one node's latencies against its objective."""

    __slots__ = ("_all", "_all_before", "_near", "_near_before", "_slice", "_slow", "_slow_before", "objective_s")

    def __init__(self, objective_s: float) -> None:
        self.objective_s = objective_s
        self._slice = 0
        self.restart()

    def restart(self) -> None:
        self._slow = self._near = self._all = 0
        self._slow_before = self._near_before = self._all_before = 0

    def add(self, latency_s: float, now_s: float) -> None:
        self._turn(now_s)
        self._all += 1
        if latency_s > NEAR * self.objective_s:
            self._near += 1
            if latency_s > self.objective_s:
                self._slow += 1

    def rate(self, now_s: float) -> float:
        """Slow requests of the window over those that are forgiven; of fewer than a hundred, one is."""
        self._turn(now_s)
        return (self._slow + self._slow_before) / self._forgiven()

    def near_rate(self, now_s: float) -> float:
        """The same, were the objective as much shorter as NEAR says."""
        self._turn(now_s)
        return (self._near + self._near_before) / self._forgiven()

    def _forgiven(self) -> float:
        return max(1.0, FORGIVEN * (self._all + self._all_before))

    def _turn(self, now_s: float) -> None:
        number = int(now_s // SLICE_S)
        if number == self._slice:
            return
        if number == self._slice + 1:
            self._slow_before, self._near_before, self._all_before = self._slow, self._near, self._all
        else:
            self._slow_before = self._near_before = self._all_before = 0
        self._slow = self._near = self._all = 0
        self._slice = number


class Pace:
    """The part of the budget that may be used beyond reservations: `factor`, from LEAST to 1."""

    __slots__ = ("_watched", "factor", "next_s")

    def __init__(self) -> None:
        self.factor = 1.0
        self.next_s = inf
        """When `step` is to be called; infinite while nothing burns and nothing is shrunk."""
        self._watched: dict[Burn, None] = {}

    def note(self, burn: Burn, now_s: float) -> None:
        """To be called when a latency was added to `burn`."""
        if burn.near_rate(now_s) > 1.0:
            burns = burn.rate(now_s) > 1.0
            if burns or self.factor < 1.0:
                self._watched[burn] = None
            if burns and self.next_s == inf:
                self.next_s = now_s

    def step(self, now_s: float) -> None:
        """Falls if anything burns, stays if anything is near to it, else recovers for the time that went by."""
        burning = [burn for burn in self._watched if burn.rate(now_s) > 1.0]
        near = any(burn.near_rate(now_s) > 1.0 for burn in self._watched)
        self._watched.clear()
        if burning:
            self.factor = max(LEAST, self.factor * FALL)
            for burn in burning:  # what comes next is measured under the new factor
                burn.restart()
        elif not near:
            periods = 1 + int((now_s - self.next_s) / PERIOD_S)
            self.factor = min(1.0, self.factor + RISE * periods)
        self.next_s = now_s + PERIOD_S if self.factor < 1.0 else inf
