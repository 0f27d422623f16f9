"""Group commit: one thread that flushes whatever arrived while the previous flush was under way.

Used by the segment writer (one fdatasync for many appends) and by the metadata committer (one synced commit for many
transactions). Under load batches grow by themselves; an idle batcher flushes a single item at once.

With callers that come again as soon as they are answered, batches settle at *half* of them: while one half is being
flushed the other half waits. `gather_s` lets a batch wait that long for those who were just answered, and only for them:
32 callers then share one flush, not two (measured on the metadata committer: 8 callers 8.3k → 11.3k/s, 32 17k → 20k/s).

Invariants: every submitted item is flushed exactly once, in order of submission; its completion is resolved after the
flush that carried it has returned. Submitting is safe from any thread of the process that made the batcher.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from isotherm.devices.fork import ForkGuard
from isotherm.devices.waiting import Completion, resolve_all
from isotherm.errors import Closed

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batcher(Generic[Item, Result]):
    """Collects items and hands them to `flush` in batches, on a thread of its own that starts with the first item.

    Args:
        flush: takes 1…`most_items` items, returns one result or exception instance for each, in order. An exception it
            raises is delivered to every item of the batch.
        name: of the thread, for profilers.
        most_items: upper bound of a batch.
        gather_s: how long, at most, to wait for as many as were there last time; 0 never waits. A caller on its own
            never waits.
    """

    def __init__(
        self,
        flush: Callable[[Sequence[Item]], Sequence[Result | BaseException]],
        *,
        name: str,
        most_items: int = 512,
        gather_s: float = 0.0,
    ) -> None:
        self._flush = flush
        self._name = name
        self._most_items = most_items
        self._gather_s = gather_s
        self._expected = 0
        self._awaited = 1
        self._queue: deque[tuple[Item, Completion[Result]]] = deque()
        self._lock = threading.Lock()
        self._bell = threading.Lock()  # held while there is nothing to wake the thread for
        self._bell.acquire()
        self._asleep = False
        self._kicking: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closing = False
        self._guard = ForkGuard(name)

    def submit(self, item: Item) -> Completion[Result]:
        """Queue one item; await (or `drive`) the completion for its result.

        Raises:
            Closed: after `close`.
            ForkedHandle: in a forked child.
        """
        self._guard.check()
        completion: Completion[Result] = Completion()
        with self._lock:
            if self._closing:
                raise Closed(f"{self._name} is closed")
            self._queue.append((item, completion))
            if self._asleep:
                loop = completion.loop
                if loop is None:
                    if len(self._queue) >= self._awaited:
                        self._ring()
                elif self._kicking is not loop:
                    self._kicking = loop
                    loop.call_soon(self._kick)
            elif self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
        return completion

    def _kick(self) -> None:
        """At the end of a loop's turn: what all its callbacks have submitted goes together."""
        with self._lock:
            self._kicking = None
            if self._asleep and len(self._queue) >= self._awaited:
                self._ring()

    def _ring(self) -> None:
        """Wake the thread (under the lock)."""
        self._asleep = False
        self._bell.release()

    def _sleep(self, timeout_s: float = -1) -> None:
        """Wait until `_awaited` items are there (under the lock, which is let go meanwhile)."""
        self._asleep = True
        self._lock.release()
        rung = self._bell.acquire(timeout=timeout_s)
        self._lock.acquire()
        if not rung and not self._asleep:
            self._bell.acquire()  # it was rung just after the time was over
        self._asleep = False

    def close(self) -> None:
        """Flush what is queued, then end the thread. Idempotent."""
        if self._guard.forked:
            return
        with self._lock:
            self._closing = True
            if self._asleep:
                self._ring()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _gather(self) -> None:
        """Wait for the callers of the last batch to come again (under the lock)."""
        if self._gather_s and len(self._queue) < self._expected and not self._closing:
            self._awaited = self._expected
            self._sleep(self._gather_s)
            self._awaited = 1

    def _run(self) -> None:
        count = 0
        while True:
            with self._lock:
                self._expected = min(count + len(self._queue), self._most_items)
                while not self._queue:
                    if self._closing:
                        return
                    self._sleep()
                self._gather()
                count = min(len(self._queue), self._most_items)
                batch = [self._queue.popleft() for _ in range(count)]
            try:
                results = self._flush([item for item, _ in batch])
            except BaseException as error:
                resolve_all((completion, error) for _, completion in batch)
            else:
                resolve_all((completion, result) for (_, completion), result in zip(batch, results, strict=True))
