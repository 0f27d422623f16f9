"""One bounded round of background work, for the mover of a server and for programs that maintain their own store.

A round seals segments of processes that died, aborts uploads that are too old, dismantles what objects left behind,
compacts, unlinks what no reader holds, trims the change feed, chains the audit log, erases tenants that are to be erased, and frees
reader slots of the dead. Each task bounds its own share; one that fails is reported, is tried again in the next round, and holds up no other.

Everything is safe to repeat and safe beside other processes doing the same; what is the same work for all of them is done
under a lease. `Rounds` remembers only where long walks had
come; a new one starts from the beginning. A coroutine for any loop, or none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from isotherm.clock import Clock
from isotherm.devices.waiting import offload
from isotherm.errors import IsothermError
from isotherm.meta.port import Engine
from isotherm.movers.audit import follow
from isotherm.movers.compaction import Compaction, CompactionReport, CompactionSettings
from isotherm.movers.counting import count_old_buckets
from isotherm.movers.erasure.work import Erased, Erasing
from isotherm.movers.everyone import tenants
from isotherm.movers.settings import MoverSettings
from isotherm.movers.turns import AT_ONCE, Turn
from isotherm.movers.uploads import expire_uploads
from isotherm.objects.garbage import sweep
from isotherm.objects.layout import FEED
from isotherm.objects.referrer import PartReferrer, VersionReferrer
from isotherm.segments.port import Referrer
from isotherm.segments.upkeep import Recovered, Upkeep
from isotherm.tenancy.erasure.record import erasure_row
from isotherm.tenancy.quota import Quota

_UPLOADS_A_ROUND = 10_000
_STEPS_A_ROUND = 20


@dataclass(slots=True)
class RoundReport:
    """What a round did.

    Args:
        recovered: see `Recovery`. `compaction`: see `CompactionReport`.
        uploads: multipart uploads aborted for their age.
        garbage: garbage rows worked on.
        counted: steps taken in buckets of an earlier version; see movers/counting.py.
        trimmed: feed records removed.
        audited: records of the audit log chained. audit_lost: some had been trimmed before that; see movers/audit.py.
        erased: see `Erased`.
        readers: reader slots of dead processes freed.
        failed: task → why it failed.
        more: work is left that can be done at once; else sleep.
    """

    recovered: Recovered = field(default_factory=Recovered)
    compaction: CompactionReport = field(default_factory=CompactionReport)
    uploads: int = 0
    garbage: int = 0
    counted: int = 0
    trimmed: int = 0
    audited: int = 0
    audit_lost: bool = False
    erased: Erased = field(default_factory=Erased)
    readers: int = 0
    failed: dict[str, IsothermError] = field(default_factory=dict)
    more: bool = False


class Rounds:
    """The background work of one process.

    Args:
        feed_retained: records of the change feed to keep.
        erasing: None where tenants are erased by others.
        stopping: asked between tasks; True ends the round.
        turn: asked before each piece of work.
    """

    def __init__(
        self,
        meta: Engine,
        segments: Upkeep,
        *,
        clock: Clock,
        feed_retained: int,
        erasing: Erasing | None = None,
        quota: Quota | None = None,
        settings: MoverSettings | None = None,
        compaction: CompactionSettings | None = None,
        stopping: Callable[[], bool] = lambda: False,
        turn: Turn = AT_ONCE,
    ) -> None:
        self._turn = turn
        self._meta = meta
        self._segments = segments
        self._clock = clock
        self._feed_retained = feed_retained
        self._erasing = erasing
        self._quota = quota or Quota()
        self._settings = settings or MoverSettings()
        self._stopping = stopping
        referrers: dict[bytes, Referrer] = {b"o": VersionReferrer(), b"p": PartReferrer()}
        self._compaction = Compaction(segments, meta, referrers, clock=clock, settings=compaction, turn=turn)
        self._looked_at: dict[int, bytes] = {}

    async def run(self) -> RoundReport:
        """Do one round. Errors of the platform end up in `RoundReport.failed`, all others are raised."""
        report = RoundReport()
        tasks: dict[str, Callable[[RoundReport], Awaitable[None]]] = {
            "recovery": self._recover,
            "rows": self._tidy,
            "compaction": self._compact,
            "readers": self._free_readers,
        }
        for name, task in tasks.items():
            if self._stopping():
                break
            try:
                await task(report)
            except IsothermError as error:
                report.failed[name] = error
        return report

    async def _recover(self, report: RoundReport) -> None:
        report.recovered = await self._segments.recover()

    async def _tidy(self, report: RoundReport) -> None:
        """What concerns rows alone is done by one process of all that have the store open: two would only get in their way."""
        lease = await offload(self._segments.lease, "rows")
        if lease is None:
            return
        tasks = {
            "erasure": self._erase,
            "uploads": self._expire,
            "garbage": self._collect,
            "usage": self._count,
            "feed": self._trim,
            "audit": self._follow_audit,
        }
        try:
            for name, task in tasks.items():
                if self._stopping():
                    break
                try:
                    await task(report)
                except IsothermError as error:
                    report.failed[name] = error
        finally:
            lease.close()

    async def _expire(self, report: RoundReport) -> None:
        age_s = self._settings.uploads_expire_s
        if age_s is None:
            return
        before_ms = self._clock.now_ms() - int(age_s * 1_000)
        for tenant in await self._lasting():
            after = self._looked_at.pop(tenant, b"")
            await self._turn.take(1, 0)
            aborted, after = await expire_uploads(
                self._meta, self._quota, tenant, before_ms=before_ms, after=after, limit=_UPLOADS_A_ROUND
            )
            report.uploads += aborted
            if after:
                self._looked_at[tenant] = after
                report.more = True

    async def _collect(self, report: RoundReport) -> None:
        limit = self._settings.garbage_a_round
        for tenant in await self._lasting():
            await self._turn.take(1, 0)
            found = await sweep(self._meta, self._segments, tenant, limit=limit)
            report.garbage += found
            report.more |= found >= limit

    async def _lasting(self) -> list[int]:
        """The tenants that are not being erased: of those, all goes another way, and is counted."""
        return [id_ for id_ in await tenants(self._meta) if await self._meta.get(erasure_row(id_)) is None]

    async def _erase(self, report: RoundReport) -> None:
        if self._erasing is None:
            return
        report.erased = await self._erasing.run()
        report.more |= report.erased.more
        if report.erased.failure is not None:
            raise report.erased.failure

    async def _count(self, report: RoundReport) -> None:
        counted = await count_old_buckets(self._meta, self._quota, steps=_STEPS_A_ROUND)
        report.counted = counted.steps
        report.more |= counted.more

    async def _compact(self, report: RoundReport) -> None:
        report.compaction = await self._compaction.step()
        report.more |= report.compaction.more

    async def _trim(self, report: RoundReport) -> None:
        await self._turn.take(1, 0)
        report.trimmed = await self._meta.trim(FEED, self._feed_retained)
        report.more |= report.trimmed > 0

    async def _follow_audit(self, report: RoundReport) -> None:
        await self._turn.take(1, 0)
        followed = await follow(self._meta, self._clock)
        report.audited, report.audit_lost = followed.chained, followed.lost
        report.more |= followed.more

    async def _free_readers(self, report: RoundReport) -> None:
        report.readers = self._meta.clear_stale_readers()
