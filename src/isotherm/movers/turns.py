"""When background work may go on: whoever runs it beside those who serve says when; others work at once."""

from __future__ import annotations

from typing import Protocol


class Turn(Protocol):
    async def take(self, ops: int, size_bytes: int) -> None:
        """Wait until the next piece may begin, of so many operations and bytes."""
        ...


class _AtOnce:
    async def take(self, ops: int, size_bytes: int) -> None:
        return


AT_ONCE: Turn = _AtOnce()
"""For a program that maintains its own store."""
