"""What each child of a node should get: x = min(limit, max(reservation, weight·λ)), with λ such that all of it is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

_HALVINGS = 100


@dataclass(frozen=True, slots=True)
class Claim:
    """Of one child, in any unit a second. `limit` is also the place for what it asks for, if that is less."""

    weight: float
    reservation: float = 0.0
    limit: float = inf

    def at(self, level: float) -> float:
        return min(self.limit, max(self.reservation, self.weight * level))


def allot(capacity: float, claims: Sequence[Claim]) -> list[float]:
    """What each claim gets of a capacity; less than all of it only where all limits are reached.

    Where the reservations exceed the capacity there is no answer; the reservations are returned.
    """
    low, high = 0.0, 1.0
    while sum(claim.at(high) for claim in claims) < capacity and high < 1e18:
        high *= 2
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if sum(claim.at(middle) for claim in claims) > capacity:
            high = middle
        else:
            low = middle
    return [claim.at(low) for claim in claims]
