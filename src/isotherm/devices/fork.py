"""Handles remember the process that opened them.

File locks, file offsets and LMDB handles survive `os.fork()`, and a child that used them would acknowledge writes at its
parent's offsets. Every handle owns a `ForkGuard` and checks it before acting.
"""

from __future__ import annotations

import os

from isotherm.errors import ForkedHandle


class _Generation:
    """Counts forks of this process: comparing an integer is cheaper than a getpid() per call."""

    value = 0


def _forked() -> None:
    _Generation.value += 1


os.register_at_fork(after_in_child=_forked)


class ForkGuard:
    """Raises `ForkedHandle` when used in another process than the one that made it. Costs one comparison."""

    __slots__ = ("_generation", "_what")

    def __init__(self, what: str) -> None:
        self._what = what
        self._generation = _Generation.value

    @property
    def forked(self) -> bool:
        return self._generation != _Generation.value

    def check(self) -> None:
        if self._generation != _Generation.value:
            raise ForkedHandle(f"{self._what} was opened before os.fork(); open it again in the child")
