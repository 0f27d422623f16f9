"""Whether the server works: checks that do what a request would do, each under a time limit, at most once a second.

A check is a coroutine that returns None, or one sentence about what is wrong. What it raises is what is wrong. Used on one
event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from isotherm.clock import Clock
from isotherm.errors import IsothermError

Check = Callable[[], Awaitable[str | None]]

LIMIT_S = 3.0
FRESH_S = 1.0


@dataclass(frozen=True, slots=True)
class Health:
    """`wrong`: check → sentence, empty when all is well."""

    wrong: Mapping[str, str]

    @property
    def ready(self) -> bool:
        return not self.wrong


class Readiness:
    """Runs the checks. Callers that ask at the same time share one round."""

    def __init__(self, checks: Mapping[str, Check], clock: Clock) -> None:
        self._checks = checks
        self._clock = clock
        self._checked_s = float("-inf")
        self._health = Health({})
        self._round = asyncio.Lock()

    async def health(self) -> Health:
        """As found at most a second ago. Never raises."""
        async with self._round:
            if self._clock.monotonic() - self._checked_s >= FRESH_S:
                said = await asyncio.gather(*(_ask(check) for check in self._checks.values()))
                self._health = Health({name: wrong for name, wrong in zip(self._checks, said, strict=True) if wrong})
                self._checked_s = self._clock.monotonic()
            return self._health


async def _ask(check: Check) -> str | None:
    try:
        async with asyncio.timeout(LIMIT_S):
            return await check()
    except TimeoutError:
        return f"no answer within {LIMIT_S:g} s"
    except IsothermError as error:
        return str(error)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
