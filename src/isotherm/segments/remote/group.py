"""Appends of many callers into objects they share: what arrives within a moment goes out in one PUT.

The first of a group waits `linger_s` for others, or until the group is large enough. Several groups may be on their way at
once, each on a thread of its own: an upload takes as long as the network says, and callers must not queue behind it.

Invariants: an extent is acknowledged when the object that holds it is durable, and all of a group or none of it. Every
caller is answered once.

`append` from any thread or coroutine of the process that made it; threads start with the first items.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence

from isotherm.clock import Clock
from isotherm.devices.fork import ForkGuard
from isotherm.devices.waiting import Completion, resolve_all
from isotherm.errors import Closed
from isotherm.segments.accounting import SegmentRow, State
from isotherm.segments.format import FILE_HEADER_BYTES, checked, encode_extent_header, encode_file_header
from isotherm.segments.port import Buffer, Extent, Media, Payload, Sealed
from isotherm.segments.remote.objects import SegmentObjects
from isotherm.segments.remote.settings import RemoteSettings

Item = tuple[bytes, Payload]
"""Owner and payload."""


class GroupWriter:
    """The appends of one media class of one process."""

    def __init__(self, media: Media, objects: SegmentObjects, clock: Clock, settings: RemoteSettings) -> None:
        self._media = media
        self._objects = objects
        self._clock = clock
        self._settings = settings
        self._queue: deque[tuple[Item, Completion[Extent]]] = deque()
        self._queued_bytes = 0
        self._arrived = threading.Condition(threading.Lock())
        self._threads = 0
        self._idle = 0
        self._gathering = False
        self._closed = False
        self._guard = ForkGuard("segments")

    def append(self, owner: bytes, data: Payload) -> Completion[Extent]:
        """Queue a payload; the completion brings its extent once it is durable.

        Raises:
            Closed, ForkedHandle.
        """
        self._guard.check()
        completion: Completion[Extent] = Completion()
        with self._arrived:
            if self._closed:
                raise Closed("segments are closed")
            self._queue.append(((owner, data), completion))
            self._queued_bytes += len(data)
            if not self._gathering:
                self._rouse()
            elif self._queued_bytes >= self._settings.group_bytes:
                self._arrived.notify_all()
        return completion

    def close(self) -> None:
        """Whoever is still waiting for an upload to begin is told that segments are closed. Waits for nothing."""
        if self._guard.forked:
            return
        with self._arrived:
            self._closed = True
            left, self._queue = self._queue, deque()
            self._arrived.notify_all()
        resolve_all((completion, Closed("segments are closed")) for _, completion in left)

    def _run(self) -> None:
        while True:
            with self._arrived:
                while not self._queue or self._gathering:
                    if self._closed:
                        return
                    self._idle += 1
                    self._arrived.wait()
                    self._idle -= 1
                taken = self._gather()
            if not taken:
                continue
            try:
                extents: Sequence[Extent | BaseException] = self._write([item for item, _ in taken])
            except BaseException as error:
                extents = [error] * len(taken)
            resolve_all((completion, extent) for (_, completion), extent in zip(taken, extents, strict=True))

    def _gather(self) -> list[tuple[Item, Completion[Extent]]]:
        """Under the lock: wait for company, then take a group."""
        self._gathering = True
        until = self._clock.monotonic() + self._settings.linger_s
        while self._queued_bytes < self._settings.group_bytes and not self._closed:
            rest = until - self._clock.monotonic()
            if rest <= 0 or not self._arrived.wait(rest):
                break
        self._gathering = False
        taken: list[tuple[Item, Completion[Extent]]] = []
        size = 0
        while self._queue and (not taken or size + len(self._queue[0][0][1]) <= self._settings.group_bytes):
            taken.append(self._queue.popleft())
            size += len(taken[-1][0][1])
        self._queued_bytes -= size
        if self._queue:
            self._rouse()
        return taken

    def _rouse(self) -> None:
        """Under the lock: let a thread look after the queue."""
        if self._idle:
            self._arrived.notify()
        elif self._threads < self._settings.uploads:
            self._threads += 1
            threading.Thread(target=self._run, name=f"segments-{self._media.value}", daemon=True).start()

    def _write(self, items: Sequence[Item]) -> list[Extent]:
        parts: list[Buffer] = [b""]
        places: list[tuple[int, int, int, bool]] = []
        at = FILE_HEADER_BYTES
        for owner, data in items:
            salt, payload, tags = (data.salt, data.payload, data.tags) if isinstance(data, Sealed) else (b"", data, b"")
            check, trailer = checked(payload, tags)
            head = encode_extent_header(owner, len(payload), check, salt=salt)
            parts += (head, payload, trailer)
            places.append((at + len(head), len(payload), check, salt != b""))
            at += len(head) + len(payload) + len(trailer)
        total = sum(length for _, length, _, _ in places)
        row = SegmentRow(self._media, State.SEALED, total, len(places), at, at)

        def build(segment: int) -> bytes:
            parts[0] = encode_file_header(segment, self._media)
            return b"".join(parts)

        segment = self._objects.create(row, build)
        return [Extent(segment, *place) for place in places]
