"""Giving back what nothing refers to, once no reader can have resolved it: segments, and payloads in the metadata.

Each step is a transaction or can be repeated: the object goes first, then its rows, so that no crash leaves an object that
nobody knows. See horizon.py for who may still read.

A coroutine for any loop, or none. Safe in several processes at once.
"""

from __future__ import annotations

from isotherm.clock import Clock
from isotherm.devices.waiting import offload
from isotherm.meta.port import Meta, Transaction
from isotherm.segments.accounting import emptied_key, emptied_segments, live_key, row_key
from isotherm.segments.remote import inline
from isotherm.segments.remote.horizon import BEATS_A_GRACE, Horizon, LongReaders
from isotherm.segments.remote.objects import SegmentObjects
from isotherm.segments.remote.settings import RemoteSettings

_PAGE = 1_000
_INLINE_A_ROUND = 20_000


class RemoteReclaim:
    def __init__(
        self, objects: SegmentObjects, meta: Meta, readers: LongReaders, clock: Clock, settings: RemoteSettings
    ) -> None:
        self._objects = objects
        self._meta = meta
        self._readers = readers
        self._clock = clock
        self._settings = settings
        self._horizon = Horizon(clock, settings.grace_s)
        self._oldest: bytes | None = None
        self._asked_s: float | None = None

    async def settled(self, stamp: bytes) -> bool:
        """See `Segments.settled`."""
        return stamp <= await self._upto(self._settings.grace_s)

    async def remove(self) -> tuple[list[int], int]:
        """See `Upkeep.unlink_emptied`."""
        await inline.remove_dropped(self._meta, await self._upto(self._settings.inline_grace_s), _INLINE_A_ROUND)
        upto = await self._upto(self._settings.grace_s)
        removed: list[int] = []
        waiting, after = 0, -1
        while emptied := await emptied_segments(self._meta, _PAGE, after):
            after = emptied[-1][0]
            ripe = [segment for segment, stamp in emptied if stamp <= upto]
            waiting += len(emptied) - len(ripe)
            if ripe:
                await offload(self._objects.remove, ripe)
                await self._forget(ripe)
                removed += ripe
        return removed, waiting

    async def _upto(self, grace_s: float) -> bytes:
        """What commits up to this stamp made unreachable is held by no reader."""
        await self._horizon.look(self._meta)
        now = self._clock.monotonic()
        # A reader is published long before the grace period protects it no more, so a look may be a little old.
        if self._asked_s is None or now - self._asked_s >= self._settings.inline_grace_s / BEATS_A_GRACE:
            self._oldest, self._asked_s = await self._readers.oldest(), now
        upto = self._horizon.at(grace_s)
        return upto if self._oldest is None else min(upto, self._oldest)

    async def _forget(self, segments: list[int]) -> None:
        async def delete(txn: Transaction) -> None:
            for segment in segments:
                for key in (row_key(segment), live_key(segment), emptied_key(segment)):
                    txn.delete(key)

        await self._meta.transact(delete)
