"""Since when nobody reads: grace periods without a clock that others must share, and readers that outlast them.

A reader resolves references that were current when it began. So what a commit made unreachable may go once every reader
that began before that commit was visible has ended. Two things tell: a *horizon*, the newest stamp of which this process
knows that it was visible everywhere for `grace_s` of its own monotonic time; and *published* readers, rows in the metadata
of processes that have been reading for longer than a fraction of that.

    P ‖ session (16)    → beat u64 ‖ stamp (16): the oldest reader of that process sees commits up to the stamp

A process writes its row again and again while such a reader lasts. One whose row has not changed for `grace_s` of the
observer's time has died or hangs, and counts no more. Nothing here compares times of different machines: a clock that steps
changes nothing, and a new mover waits a whole grace period before it removes the first thing.

What is removed under a reader all the same (its process was stopped for that long) is `NotFound` to it: it resolves again.

Any thread. Publishing runs on a thread of its own that lives while there are long readers.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from isotherm.clock import Clock
from isotherm.devices.fork import ForkGuard
from isotherm.devices.waiting import drive
from isotherm.errors import Closed, IsothermError
from isotherm.meta.port import NO_STAMP, STAMP_BYTES, Meta, Transaction
from isotherm.segments.remote.sightings import Sightings

READERS = bytes(4) + b"P"
BEATS_A_GRACE = 8
_SESSION_BYTES = 16
_SAMPLES_A_GRACE = 32
_PAGE = 1_000


class Horizon:
    """Stamps that have been visible for long enough, by the time of this process."""

    def __init__(self, clock: Clock, longest_s: float) -> None:
        self._clock = clock
        self._longest_s = longest_s
        self._samples: deque[tuple[float, bytes]] = deque()
        self._lock = threading.Lock()

    async def look(self, meta: Meta) -> None:
        """Remember what is visible now. To be called now and then."""
        now = self._clock.monotonic()
        with self._lock:
            if self._samples and now - self._samples[-1][0] < self._longest_s / _SAMPLES_A_GRACE:
                return
        stamp = await meta.readable_since()  # asked for after the time was taken: visible since then at the earliest
        seen = self._clock.monotonic()
        with self._lock:
            self._samples.append((seen, stamp))
            # The newest that is old enough answers for the longest grace; what lies before it answers nothing.
            while len(self._samples) > 1 and seen - self._samples[1][0] >= self._longest_s:
                self._samples.popleft()

    def at(self, grace_s: float) -> bytes:
        """The newest stamp known to have been visible for `grace_s`; NO_STAMP where none is."""
        now = self._clock.monotonic()
        with self._lock:
            return max((stamp for seen, stamp in self._samples if now - seen >= grace_s), default=NO_STAMP)


class LongReaders:
    """The readers of this process, published where they last, and a view of everybody's.

    Args:
        session: 16 random bytes, this process's name.
        beat_s: a reader is published when it is older than this, and again so often.
    """

    def __init__(self, meta: Meta, clock: Clock, session: bytes, grace_s: float) -> None:
        self._meta = meta
        self._clock = clock
        self._key = READERS + session
        self._grace_s = grace_s
        self._beat_s = grace_s / BEATS_A_GRACE
        self._readers: dict[object, bytes] = {}
        self._released: deque[object] = deque()
        self._wake = threading.Condition(threading.Lock())
        self._thread: threading.Thread | None = None
        self._beat = 0
        self._published = False
        self._closed = False
        self._guard = ForkGuard("a reader's hold")
        self._others: Sightings[bytes, bytes] = Sightings(clock)

    async def hold(self) -> Hold:
        """See `Segments.hold`."""
        self._guard.check()
        stamp = await self._meta.readable_since()
        held = Hold(self)
        with self._wake:
            if self._closed:
                raise Closed("segments are closed")
            self._readers[held] = stamp
            self._settle()
            if self._thread is None:
                self._thread = threading.Thread(target=self._publish_all, name="segments-readers", daemon=True)
                self._thread.start()
        return held

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[None]:
        """See `Segments.reading`."""
        held = await self.hold()
        try:
            yield
        finally:
            held.release()

    def release(self, held: Hold) -> None:
        """End a hold. Finalizers may call it: it takes no lock."""
        self._released.append(held)

    async def oldest(self) -> bytes | None:
        """The oldest stamp that any living process has published; None when nobody reads for long."""
        pairs = await self._meta.range(READERS, READERS + b"\xff" * (_SESSION_BYTES + 1), _PAGE)
        ages = self._others.ages(dict(pairs))
        dead = [key for key, age_s in ages.items() if age_s >= self._grace_s]
        if dead:
            await self._forget(dead, dict(pairs))
        return min((value[-STAMP_BYTES:] for key, value in pairs if key not in dead), default=None)

    def close(self) -> None:
        """Publish no more; a row that is left counts until it has been there for a grace period."""
        if not self._guard.forked:
            with self._wake:
                self._closed = True
                self._wake.notify()

    async def _forget(self, dead: list[bytes], seen: dict[bytes, bytes]) -> None:
        async def delete(txn: Transaction) -> None:
            for key in dead:
                if await txn.get(key) == seen[key]:
                    txn.delete(key)

        await self._meta.transact(delete)

    def _settle(self) -> None:
        while self._released:
            self._readers.pop(self._released.popleft(), None)

    def _publish_all(self) -> None:
        """On the thread: a beat after the first reader came, and so on until none is left for a whole beat."""
        idle = False
        while True:
            with self._wake:
                if not self._closed:
                    self._wake.wait(self._beat_s)
                self._settle()
                oldest = min(self._readers.values(), default=None)
                if self._closed or (idle and oldest is None):
                    self._thread = None
                    oldest = None
                idle = oldest is None
                ending = self._thread is None
            with suppress(IsothermError):  # the next beat tries again; movers wait a while for it
                self._publish(oldest)
            if ending:
                return

    def _publish(self, oldest: bytes | None) -> None:
        if oldest is None and not self._published:
            return
        self._beat += 1
        beat = self._beat

        async def write(txn: Transaction) -> None:
            if oldest is None:
                txn.delete(self._key)
            else:
                txn.put(self._key, beat.to_bytes(8, "big") + oldest)

        drive(self._meta.transact(write))
        self._published = oldest is not None


class Hold:
    """See `segments.port.Hold`."""

    __slots__ = ("__weakref__", "_readers")

    def __init__(self, readers: LongReaders) -> None:
        self._readers = readers

    def release(self) -> None:
        self._readers.release(self)
