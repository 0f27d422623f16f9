"""What died on its way: segments that were begun and never sealed, and objects that the metadata does not know.

A process that dies leaves a row without an object, or an object half-way (which never comes to be), or one that is complete
and not sealed. Whether it died cannot be asked over the network, so age decides, as seen by the mover that looks: too long
under way, and the segment is sealed by what its object holds, or emptied where there is none. A writer that was merely slow is
told to write again when it refers to it, so a wrong guess costs a repetition and never a byte.

An object without a row is one whose row is gone or never was, and rows come first: nothing can ever refer to it. It is kept
for `stranger_s` all the same, for a person who opened the bucket with the metadata of an earlier day.

A coroutine for any loop, or none; blocking parts run through `offload`. Safe in several processes at once.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from isotherm.clock import Clock
from isotherm.devices.waiting import offload
from isotherm.errors import Corrupt, NotFound, Unavailable
from isotherm.meta.port import Meta, Transaction
from isotherm.segments.accounting import SegmentRow, State, emptied_key, row_key, row_of, segment_rows
from isotherm.segments.remote.objects import SegmentObjects, object_name
from isotherm.segments.remote.settings import RemoteSettings
from isotherm.segments.remote.sightings import Sightings
from isotherm.segments.upkeep import Recovered


class RemoteRecovery:
    def __init__(self, objects: SegmentObjects, meta: Meta, clock: Clock, settings: RemoteSettings) -> None:
        self._objects = objects
        self._meta = meta
        self._clock = clock
        self._settings = settings
        self._under_way: Sightings[int, None] = Sightings(clock)
        self._strangers: Sightings[int, None] = Sightings(clock)
        self._surveyed_s: float | None = None

    async def recover(self) -> Recovered:
        """See `Upkeep.recover`. Looks at most every `survey_s`."""
        report = Recovered()
        now = self._clock.monotonic()
        if self._surveyed_s is not None and now - self._surveyed_s < self._settings.survey_s:
            return report
        await self._finish_open(report)
        await self._remove_strangers(report)
        self._surveyed_s = now
        return report

    async def _finish_open(self, report: Recovered) -> None:
        open_rows: dict[int, SegmentRow] = {}
        after = -1
        while rows := await segment_rows(self._meta, after):
            open_rows.update((segment, row) for segment, row in rows if row.state is State.OPEN)
            after = rows[-1][0]
        for segment, age_s in self._under_way.ages(dict.fromkeys(open_rows)).items():
            if age_s >= self._settings.abandoned_s:
                await self._finish(segment, open_rows[segment], report)

    async def _finish(self, segment: int, row: SegmentRow, report: Recovered) -> None:
        try:
            with await offload(self._objects.scan, segment) as scan:
                totals = await offload(scan.totals)
                counts = (totals.payload, totals.extents, totals.end, scan.size, self._objects.now_ms())
        except NotFound:
            await self._replace(segment, row.emptied())
            return
        except (Corrupt, Unavailable):
            report.missing.append(segment)
            return
        if await self._replace(segment, SegmentRow(row.media, State.SEALED, *counts)):
            report.sealed.append(segment)

    async def _replace(self, segment: int, row: SegmentRow) -> bool:
        async def replace(txn: Transaction) -> bool:
            now = await row_of(txn, segment)
            if now is None or now.state is not State.OPEN:
                return False
            txn.put(row_key(segment), row.pack())
            if row.state is State.EMPTIED:
                txn.put(emptied_key(segment), b"", stamp=txn.stamp())
            return True

        return (await self._meta.transact(replace))[0]

    async def _remove_strangers(self, report: Recovered) -> None:
        pages = self._objects.listed()
        strangers: set[int] = set()
        while (page := await offload(lambda: next(pages, None))) is not None:
            # The rows are read after the listing: whoever is there now was known before, or never will be.
            strangers |= await self._unknown({segment for segment, _ in page})
        ages = self._strangers.ages(dict.fromkeys(strangers))
        old = [segment for segment, age_s in ages.items() if age_s >= self._settings.stranger_s]
        if old:
            await offload(self._objects.remove, old)
            report.removed.extend(PurePosixPath(object_name(segment)) for segment in old)

    async def _unknown(self, listed: set[int]) -> set[int]:
        if not listed:
            return set()
        left, after, last = set(listed), min(listed) - 1, max(listed)
        while after < last and (rows := await segment_rows(self._meta, after)):
            left.difference_update(segment for segment, _ in rows)
            after = rows[-1][0]
        return left
