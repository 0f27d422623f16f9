"""How long this process has seen something unchanged, by its own monotonic clock: ages that need no common time.

Any thread, one at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Generic, TypeVar

from isotherm.clock import Clock

Key = TypeVar("Key")
Value = TypeVar("Value")


class Sightings(Generic[Key, Value]):
    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: dict[Key, tuple[Value, float]] = {}

    def ages(self, seen: Mapping[Key, Value]) -> dict[Key, float]:
        """For how many seconds each of what is there now has been there with that value. Others are forgotten."""
        now = self._clock.monotonic()
        self._since = {key: self._seen(key, value, now) for key, value in seen.items()}
        return {key: now - since for key, (_, since) in self._since.items()}

    def age(self, key: Key, value: Value) -> float:
        """The same of one, and the others stay remembered."""
        now = self._clock.monotonic()
        self._since[key] = self._seen(key, value, now)
        return now - self._since[key][1]

    def _seen(self, key: Key, value: Value, now: float) -> tuple[Value, float]:
        before = self._since.get(key)
        return before if before is not None and before[0] == value else (value, now)
