"""The mover: background work of a store, one round after another for as long as the server runs (movers/round.py).

It also rotates the access log. What it did it counts in its slot of the board, in the order of COUNTED. While gateways of this
node are full, it works within the share of them that is its own (tenancy/qos/background.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from isotherm.devices.appending import rotate
from isotherm.devices.drive import explain
from isotherm.devices.waiting import offload
from isotherm.errors import IsothermError
from isotherm.movers.round import RoundReport
from isotherm.movers.turns import AT_ONCE
from isotherm.server.duty import Duty, open_engines, run
from isotherm.store import Engines
from isotherm.tenancy.closed_keys import closed_keys
from isotherm.tenancy.qos import Background, Budget

ROUND_S = 5.0
LOG_BYTES_MOST = 128 << 20
LOGS_KEPT = 8
COUNTED = (
    "rounds",
    "failures",
    "compacted_bytes",
    "segments_removed",
    "garbage_rows",
    "feed_records",
    "uploads_aborted",
    "audit_records",
    "stood_back_ms",
)
_ASK_AGAIN_S = 0.02


class _Turns:
    """A `movers.turns.Turn` beside gateways."""

    def __init__(self, duty: Duty) -> None:
        self._duty = duty
        self._background = Background(duty.ledger, Budget().op_bytes)
        self._stood_back_s = 0.0

    def stood_back_ms(self) -> int:
        """Since this was asked last."""
        told_ms = round(self._stood_back_s * 1_000)
        self._stood_back_s -= told_ms / 1_000
        return told_ms

    async def take(self, ops: int, size_bytes: int) -> None:
        clock, background = self._duty.clock, self._background
        asked_s = clock.monotonic()
        while not background.may(clock.monotonic()) and not await self._duty.stopped_within(_ASK_AGAIN_S):
            pass
        background.spend(ops, size_bytes)
        self._stood_back_s += clock.monotonic() - asked_s


class _Mover:
    def __init__(self, duty: Duty, engines: Engines) -> None:
        self._duty = duty
        self._turns = _Turns(duty)
        self._rounds = engines.rounds(duty.stopping.is_set, self._turns if duty.settings.server.qos else AT_ONCE)
        self._access_log = engines.directory.access_log
        self._told: set[object] = set()
        self._counted = duty.slot.cells(len(COUNTED))

    async def round(self) -> bool:
        """One round; True when there is more to do at once."""
        report = await self._rounds.run()
        try:
            await offload(lambda: rotate(self._access_log, bytes_most=LOG_BYTES_MOST, keep=LOGS_KEPT))
        except OSError as error:
            report.failed["access log"] = explain(error, f"cannot rotate {self._access_log}")
        self._count(report)
        self._tell(report)
        return report.more and not report.failed

    def _count(self, report: RoundReport) -> None:
        compaction = report.compaction
        done = (
            1,
            len(report.failed),
            compaction.moved_bytes,
            len(compaction.unlinked),
            report.garbage,
            report.trimmed,
            report.uploads,
            report.audited,
            self._turns.stood_back_ms(),
        )
        for at, count in enumerate(done):
            self._counted[at] += count

    def _tell(self, report: RoundReport) -> None:
        log, recovered, compaction = self._duty.log, report.recovered, report.compaction
        if recovered.sealed or recovered.removed:
            log.info("sealed segments of dead processes", sealed=len(recovered.sealed), removed=len(recovered.removed))
        if compaction.moved or compaction.unlinked:
            log.info("compacted", moved_bytes=compaction.moved_bytes, segments_removed=len(compaction.unlinked))
        if report.erased.rows or report.erased.certified or report.erased.purged:
            erased = report.erased
            log.info("erased tenants", rows=erased.rows, certified=erased.certified, purged=erased.purged)
        if report.audit_lost:
            log.error("records of the audit log were trimmed before they were chained; the root's chain says where")
        for task, error in report.failed.items():
            log.warning(f"{task}: {error}")
        self._tell_once("a segment is missing or unreadable; run isotherm fsck", recovered.missing)
        self._tell_once("a file in a segment directory belongs to nobody; run isotherm fsck", recovered.strangers)
        self._tell_once("a segment cannot be emptied; run isotherm fsck", compaction.stuck)
        self._tell_once("an extent is damaged; run isotherm fsck", compaction.damaged)

    def _tell_once(self, what: str, subjects: Sequence[object]) -> None:
        """Not once a round."""
        for subject in subjects:
            if (what, subject) not in self._told:
                self._told.add((what, subject))
                self._duty.log.error(what, subject=subject)


async def work(duty: Duty) -> None:
    engines = await open_engines(duty)
    mover = _Mover(duty, engines)
    duty.ready()
    await _warn_of_keys(duty, engines)
    more = True
    while not await duty.stopped_within(0.0 if more else ROUND_S):
        more = await mover.round()
    await asyncio.to_thread(engines.close)


async def _warn_of_keys(duty: Duty, engines: Engines) -> None:
    """Say once, at the start, that secrets are missing or are others': after a restore they are easily forgotten."""
    try:
        closed = await closed_keys(engines.meta, engines.vault)
    except IsothermError as error:
        duty.log.warning(f"the keys of tenants could not be looked at: {error}")
        return
    if closed:
        said = "what tenants have stored cannot be read: copy keys/tenants back from your copy of keys/, and run isotherm fsck"
        tenant, why = next(iter(closed.items()))
        duty.log.warning(said, tenants=len(closed), first=f"@{tenant}", why=why)


if __name__ == "__main__":
    run(work)
