"""Randomness as a port: the only module that draws it.

Passed in like the clock, so that tests can make runs repeatable.
"""

from __future__ import annotations

import os
import random
from typing import Protocol


class Ids(Protocol):
    def token(self, size_bytes: int) -> bytes:
        """`size_bytes` unpredictable bytes."""
        ...


class SystemIds:
    """The kernel's random source."""

    __slots__ = ()

    def token(self, size_bytes: int) -> bytes:
        return os.urandom(size_bytes)


class SeededIds:
    """Repeatable bytes for tests and simulations; never for secrets."""

    __slots__ = ("_random",)

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def token(self, size_bytes: int) -> bytes:
        return self._random.randbytes(size_bytes)
