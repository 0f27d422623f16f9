"""The mover: background work of a store, one round after another for as long as the server runs.

A round seals segments of processes that died, dismantles what objects left behind, compacts, unlinks what no reader holds,
trims the change feed and rotates the access log. Each task bounds its own share of a round; one that fails is told and tried
again in the next round, and holds up no other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from isotherm.devices.appending import rotate
from isotherm.devices.drive import explain
from isotherm.devices.waiting import offload
from isotherm.errors import IsothermError
from isotherm.movers.compaction import Compaction
from isotherm.objects.garbage import sweep
from isotherm.objects.layout import FEED
from isotherm.objects.referrer import PartReferrer, VersionReferrer
from isotherm.segments.port import Referrer
from isotherm.server.duty import Duty, run
from isotherm.store import Engines, compose
from isotherm.tenancy.identity import ROOT_TENANT

ROUND_S = 5.0
GARBAGE_A_ROUND = 1_000
LOG_BYTES_MOST = 128 << 20
LOGS_KEPT = 8

Task = Callable[[], Awaitable[bool]]
"""True when there is more to do at once."""


class _Rounds:
    def __init__(self, duty: Duty, engines: Engines) -> None:
        self._duty = duty
        self._engines = engines
        self._reported: set[object] = set()
        referrers: dict[bytes, Referrer] = {b"o": VersionReferrer(), b"p": PartReferrer()}
        self._compaction = Compaction(engines.segments, engines.meta, referrers, clock=duty.clock)
        self.tasks: dict[str, Task] = {
            "recovery": self._recover,
            "garbage": self._collect,
            "compaction": self._compact,
            "feed": self._trim,
            "logs": self._rotate,
        }

    async def round(self) -> bool:
        """Run every task once; True when one of them has more to do."""
        more = False
        for name, task in self.tasks.items():
            if self._duty.stopping.is_set():
                return False
            try:
                more |= await task()
            except IsothermError as error:
                self._duty.log.warning(f"{name}: {error}")
        return more

    async def _recover(self) -> bool:
        found = await self._engines.segments.recover()
        if found.sealed or found.removed:
            self._duty.log.info(
                "sealed segments of dead processes", sealed=len(found.sealed), removed=len(found.removed)
            )
        self._report("segment is missing or unreadable; run isotherm fsck", found.missing)
        self._report("file in a segment directory that nobody knows; run isotherm fsck", found.strangers)
        return False

    async def _collect(self) -> bool:
        engines = self._engines
        found = await sweep(engines.meta, engines.segments, ROOT_TENANT, limit=GARBAGE_A_ROUND)
        return found >= GARBAGE_A_ROUND

    async def _compact(self) -> bool:
        report = await self._compaction.step()
        if report.moved or report.unlinked:
            self._duty.log.info("compacted", moved_bytes=report.moved_bytes, segments_removed=len(report.unlinked))
        self._report("segment cannot be emptied; run isotherm fsck", report.stuck)
        self._report("extent is damaged; run isotherm fsck", report.damaged)
        return report.more

    async def _trim(self) -> bool:
        return await self._engines.meta.trim(FEED, self._engines.settings.feed.retained) > 0

    async def _rotate(self) -> bool:
        path = self._engines.directory.access_log
        try:
            await offload(lambda: rotate(path, bytes_most=LOG_BYTES_MOST, keep=LOGS_KEPT))
        except OSError as error:
            raise explain(error, f"cannot rotate {path}") from error
        return False

    def _report(self, what: str, subjects: Sequence[object]) -> None:
        """Say it once of each subject, not once a round."""
        for subject in subjects:
            if (what, subject) not in self._reported:
                self._reported.add((what, subject))
                self._duty.log.error(what, subject=subject)


async def work(duty: Duty) -> None:
    engines = compose(duty.settings, role="server", clock=duty.clock, ids=duty.ids, create=False)
    rounds = _Rounds(duty, engines)
    duty.ready()
    while not duty.stopping.is_set():
        more = await rounds.round()
        await duty.stopped_within(0.0 if more else ROUND_S)
    await asyncio.to_thread(engines.close)


if __name__ == "__main__":
    run(work)
