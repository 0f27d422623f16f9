"""Group commit: one thread that flushes whatever arrived while the previous flush was under way.

Used by the segment writer (one fdatasync for many appends) and by the metadata committer (one synced commit for many
transactions). Under load batches grow by themselves; an idle batcher flushes a single item at once: there is no timer.

Invariants: every submitted item is flushed exactly once, in order of submission; its completion is resolved after the
flush that carried it has returned. Submitting is safe from any thread of the process that made the batcher.
"""

from __future__ import annotations

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
    """

    def __init__(
        self,
        flush: Callable[[Sequence[Item]], Sequence[Result | BaseException]],
        *,
        name: str,
        most_items: int = 512,
    ) -> None:
        self._flush = flush
        self._name = name
        self._most_items = most_items
        self._queue: deque[tuple[Item, Completion[Result]]] = deque()
        self._arrived = threading.Condition(threading.Lock())
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
        with self._arrived:
            if self._closing:
                raise Closed(f"{self._name} is closed")
            self._queue.append((item, completion))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()
            elif len(self._queue) == 1:
                self._arrived.notify()
        return completion

    def close(self) -> None:
        """Flush what is queued, then end the thread. Idempotent."""
        if self._guard.forked:
            return
        with self._arrived:
            self._closing = True
            self._arrived.notify()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        while True:
            with self._arrived:
                while not self._queue:
                    if self._closing:
                        return
                    self._arrived.wait()
                count = min(len(self._queue), self._most_items)
                batch = [self._queue.popleft() for _ in range(count)]
            try:
                results = self._flush([item for item, _ in batch])
            except BaseException as error:
                resolve_all((completion, error) for _, completion in batch)
            else:
                resolve_all((completion, result) for (_, completion), result in zip(batch, results, strict=True))
