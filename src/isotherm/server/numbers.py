"""The numbers of a whole server, gathered from the board: what its gateways count, and how its processes fare.

Runs in control; reads what others write, and locks nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from heapq import nlargest
from pathlib import Path

from isotherm.clock import Clock
from isotherm.devices.board import Board, Slot
from isotherm.devices.ledger import Ledger
from isotherm.devices.processes import memory_bytes
from isotherm.protocols.s3.counters import BUCKETS_US, CELLS, CLASSES, Counters
from isotherm.server.checks import lives
from isotherm.server.holdings import Holdings
from isotherm.server.mover import COUNTED
from isotherm.store import Engines
from isotherm.telemetry import Distributed, Measured
from isotherm.tenancy.passage import COUNTED as COUNTED_OF_TENANTS

TENANTS_TOLD = 100
"""Labels must be bounded: whoever scrapes keeps a series for each."""
_MEANINGS = (
    "Requests that were let to the store, at once or after a wait.",
    "Requests that had to wait for their turn.",
    "Requests that were told to slow down.",
    "Bytes of bodies that were received and sent.",
)


@dataclass(frozen=True, slots=True)
class Numbers:
    """`names` are of all processes by their slots on the board; the last is the supervisor's."""

    board: Board
    ledger: Ledger
    names: tuple[str, ...]
    program: str
    engines: Engines
    free_bytes: Callable[[Path], int]
    clock: Clock
    holdings: Holdings

    def gather_of_tenants(self) -> Iterator[Measured | Distributed]:
        """The same, and what is counted of tenants: of the busiest by their ids, of the rest together."""
        yield from self.gather()
        yield from _by_tenant(self.ledger)
        yield from self.holdings.gather()

    def gather(self) -> Iterator[Measured | Distributed]:
        processes = dict(zip(self.names, self.board.slots, strict=True))
        gateways = {name: slot for name, slot in processes.items() if name.startswith("gateway-")}
        yield from _requests(_summed(gateways))
        yield Measured(
            "isotherm_s3_connections",
            "Open connections to S3.",
            "gauge",
            [({"gateway": name.removeprefix("gateway-")}, slot.connections) for name, slot in gateways.items()],
        )
        yield from self._processes(processes)
        yield Measured(
            "isotherm_disk_free_bytes",
            "Bytes free where data lies.",
            "gauge",
            [({"directory": str(path)}, self.free_bytes(path)) for path in self.engines.roots],
        )
        yield self._moved(processes["mover"])
        store = {"version": self.program, "store": self.engines.directory.store_id}
        yield Measured("isotherm_build_info", "Version of the program and id of the store.", "gauge", [(store, 1)])

    def _moved(self, slot: Slot) -> Measured:
        counts = zip(COUNTED, slot.cells(len(COUNTED)), strict=True)
        return Measured(
            "isotherm_mover_done",
            "Background work done, by what is counted.",
            "counter",
            [({"what": what}, count) for what, count in counts],
        )

    def _processes(self, processes: Mapping[str, Slot]) -> Iterator[Measured]:
        restarts: dict[str, int] = json.loads(self.board.slots[-1].read() or b"{}")
        yield Measured(
            "isotherm_process_up",
            "1 where the process serves and shows life.",
            "gauge",
            [({"process": name}, int(lives(processes[name], self.clock))) for name in restarts],
        )
        yield Measured(
            "isotherm_process_restarts",
            "How often the process was started again.",
            "counter",
            [({"process": name}, count) for name, count in restarts.items()],
        )
        yield Measured(
            "isotherm_process_resident_bytes",
            "Resident memory of the process.",
            "gauge",
            [({"process": name}, memory_bytes(slot.pid)) for name, slot in processes.items()],
        )


def _by_tenant(ledger: Ledger) -> Iterator[Measured]:
    def summed(row: int | None) -> tuple[int, ...]:
        return tuple(map(sum, zip(*(ledger.counted(slot, row) for slot in range(ledger.count)), strict=True)))

    counts = {str(tenant): summed(row) for row, tenant in enumerate(ledger.tenants())}
    busiest = nlargest(TENANTS_TOLD, counts, key=lambda tenant: counts[tenant])
    others = [counts[tenant] for tenant in counts.keys() - set(busiest)]
    told = {tenant: counts[tenant] for tenant in busiest}
    told["other"] = tuple(map(sum, zip(summed(None), *others, strict=True)))
    for at, (what, meaning) in enumerate(zip(COUNTED_OF_TENANTS, _MEANINGS, strict=True)):
        values = [({"tenant": tenant}, count[at]) for tenant, count in told.items()]
        yield Measured(f"isotherm_tenant_{what}", meaning, "counter", values)


def _summed(gateways: Mapping[str, Slot]) -> Counters:
    totals = [0] * CELLS
    for slot in gateways.values():
        for at, value in enumerate(slot.cells(CELLS)):
            totals[at] += value
    return Counters(totals)


def _requests(counters: Counters) -> Iterator[Measured | Distributed]:
    rows = list(counters.rows())
    yield Measured(
        "isotherm_s3_requests",
        "Requests by operation and class of status; broken: not answered to the end.",
        "counter",
        [
            ({"operation": row.operation, "status": name}, count)
            for row in rows
            for name, count in zip(CLASSES, row.requests, strict=True)
            if count
        ],
    )
    yield Measured(
        "isotherm_s3_received_bytes",
        "Bytes of bodies received.",
        "counter",
        [({"operation": row.operation}, row.bytes_in) for row in rows],
    )
    yield Measured(
        "isotherm_s3_sent_bytes",
        "Bytes of bodies sent.",
        "counter",
        [({"operation": row.operation}, row.bytes_out) for row in rows],
    )
    yield Distributed(
        "isotherm_s3_latency_seconds",
        "From the end of a request's head to the reply's hand-over to the kernel.",
        [bound / 1e6 for bound in BUCKETS_US],
        [({"operation": row.operation}, row.buckets, row.latency_us / 1e6) for row in rows],
    )
