"""One set of coroutines for asynchronous and synchronous callers.

Rooms below the protocols are written as coroutines. Under asyncio they are awaited as usual. Without a running loop,
`drive` runs them on the calling thread: an LMDB read never suspends, so most finish at the first step, and what does
suspend suspends on a `Completion`, on which `drive` blocks.

`start_eagerly` runs a coroutine's first step at once and makes a task of it only if it suspended: CPython 3.11 has no
eager tasks, and a cached read should not pay for one.

Thread-safety: `Completion.resolve` and `resolve_all` may be called from any thread; everything else from the waiter's.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Generator, Iterable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Completion(Generic[T]):
    """A result that another thread will deliver, to a coroutine or to a blocked thread.

    Create it on the waiting side: it remembers the running loop, or that there is none.
    """

    __slots__ = ("_done", "_error", "_gate", "_result", "_waiter", "loop")

    def __init__(self) -> None:
        self._done = False
        self._result: Any = None
        self._error: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.loop: asyncio.AbstractEventLoop | None = asyncio._get_running_loop()  # raises nothing where there is none
        self._gate: threading.Lock | None = None
        if self.loop is None:
            self._gate = threading.Lock()
            self._gate.acquire()

    def __await__(self) -> Generator[Any, None, T]:
        if not self._done:
            if self.loop is not None:
                self._waiter = self.loop.create_future()
                yield from self._waiter
            else:
                yield self
        if self._error is not None:
            raise self._error
        result: T = self._result
        return result

    def block(self) -> None:
        """Wait on the calling thread (only where no loop was running at creation)."""
        assert self._gate is not None
        with self._gate:
            return

    def _wake(self) -> None:
        self._done = True
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def resolve_all(outcomes: Iterable[tuple[Completion[Any], Any]]) -> None:
    """Deliver many results (an exception instance raises at its waiter): one wake-up per event loop."""
    per_loop: dict[asyncio.AbstractEventLoop, list[Completion[Any]]] = {}
    for completion, outcome in outcomes:
        if isinstance(outcome, BaseException):
            completion._error = outcome
        else:
            completion._result = outcome
        if completion.loop is None:
            completion._done = True
            assert completion._gate is not None
            completion._gate.release()
        else:
            per_loop.setdefault(completion.loop, []).append(completion)
    for loop, completions in per_loop.items():
        try:
            loop.call_soon_threadsafe(_wake_each, completions)
        except RuntimeError:  # the loop has closed: nobody waits any more
            continue


def _wake_each(completions: list[Completion[Any]]) -> None:
    for completion in completions:
        completion._wake()


def drive(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine of this package to its end on the calling thread, without an event loop.

    Raises:
        RuntimeError: the coroutine awaited something that belongs to an event loop.
    """
    try:
        while True:
            pending = coroutine.send(None)
            if not isinstance(pending, Completion):
                coroutine.close()
                raise RuntimeError(f"cannot wait for {pending!r} without an event loop")
            pending.block()
    except StopIteration as stop:
        result: T = stop.value
        return result


async def offload(call: Callable[..., T], *args: Any) -> T:
    """Run a blocking call where it blocks nobody: the loop's executor, or right here when there is no loop."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return call(*args)
    return await loop.run_in_executor(None, call, *args)


class _Resumed(Coroutine[Any, Any, T]):
    """Continues a coroutine that has already yielded `pending`.

    A task that is cancelled before its first step throws into a coroutine of its own that has not begun, and so never lets the
    one behind it know. Here everything is handed on, from the first step.
    """

    __slots__ = ("_begun", "_coroutine", "_pending")

    def __init__(self, coroutine: Coroutine[Any, Any, T], pending: Any) -> None:
        self._coroutine = coroutine
        self._pending = pending
        self._begun = False

    def send(self, value: Any) -> Any:
        if self._begun:
            return self._coroutine.send(value)
        self._begun = True
        pending, self._pending = self._pending, None
        return pending

    def throw(self, *error: Any) -> Any:
        self._begun = True
        self._pending = None
        return self._coroutine.throw(*error)

    def close(self) -> None:
        self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, T]:
        raise TypeError("this is for a task to run, not to be awaited")


def start_eagerly(coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T] | None:
    """Run `coroutine` until it first suspends; return a task for the rest, or None when it has already ended.

    Exceptions of the first step propagate to the caller. `asyncio.current_task()` is None during that step.
    """
    try:
        pending = coroutine.send(None)
    except StopIteration:
        return None
    return asyncio.get_running_loop().create_task(_Resumed(coroutine, pending))
