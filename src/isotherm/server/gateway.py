"""A gateway: one process that serves S3 on the listener it inherited.

It accepts a connection only while no living sibling has fewer, as the board tells. When told to stop it closes its end of the
listener first, so that another server can bind the port, and then lets requests under way finish.
"""

from __future__ import annotations

import asyncio
import functools
import gc
import socket

import uvloop

from isotherm.devices.appending import AppendedFile
from isotherm.devices.board import State
from isotherm.devices.processes import raise_descriptor_limit
from isotherm.protocols.s3.access_log import AccessLog
from isotherm.protocols.s3.counters import CELLS, Counters
from isotherm.protocols.s3.endpoint import S3Endpoint
from isotherm.protocols.s3.error_table import render_error
from isotherm.protocols.s3.limits import S3Settings
from isotherm.protocols.s3.listener import Gateway
from isotherm.protocols.s3.router import dispatch
from isotherm.server import root_credentials
from isotherm.server.duty import Duty, open_engines, run
from isotherm.server.listening import tls_context
from isotherm.store import Engines
from isotherm.store.spaces import Spaces
from isotherm.tenancy.gate import Gate
from isotherm.tenancy.identity import Credentials
from isotherm.tenancy.qos import Budget, Signal

SWEEP_S = 10.0
SILENT_MS = 1_000
"""A sibling that has shown no life for so long holds up nobody: it may hang."""


def may_accept(duty: Duty) -> bool:
    """Whether no living sibling has fewer connections."""
    mine = duty.slot.connections
    oldest_ms = duty.now_ms() - SILENT_MS
    return all(
        slot.connections >= mine or slot.beat_ms < oldest_ms or slot.state is not State.SERVING
        for slot in duty.gateways
    )


async def _told(duty: Duty, engines: Engines, credentials: Credentials) -> dict[str, object]:
    """What the server tells of its credentials, where no committer does: the first gateway makes them."""
    if "committer" in duty.names or duty.slot is not duty.gateways[0]:
        return {}
    provided = await root_credentials.provide(credentials, engines.directory.root_credentials, duty.ids)
    return {"access_key": provided.access_key, "made": provided.made}


def connections_most(descriptors: int) -> int:
    """How many connections a process that may open so many files takes: each may need its socket, a copy of it and a file."""
    return min(S3Settings().connections_most, descriptors // 3)


def _gate(duty: Duty, credentials: Credentials) -> Gate | None:
    server = duty.settings.server
    budget = Budget(server.qos_requests, server.qos_mib << 20)
    if not server.qos:
        return None
    ledger = duty.ledger
    return Gate(
        budget,
        credentials.standings,
        duty.clock,
        ledger if ledger.count > 1 else None,
        signal=Signal(ledger),
        counters=lambda tenant: ledger.counted(ledger.own, ledger.row_of(tenant)),
    )


def _endpoint(duty: Duty, engines: Engines, credentials: Credentials, gate: Gate | None) -> S3Endpoint:
    server = duty.settings.server
    log = AppendedFile(engines.directory.access_log, duty.clock) if server.access_log else None
    return S3Endpoint(
        credentials=credentials,
        space_of=Spaces(engines, credentials.mounts, credentials.standings),
        dispatch=dispatch,
        render_error=render_error,
        settings=S3Settings(domains=server.domains, connections_most=connections_most(raise_descriptor_limit())),
        clock=duty.clock,
        ids=duty.ids,
        log=duty.log,
        counters=Counters(duty.slot.cells(CELLS)),
        access_log=AccessLog(log) if log else None,
        gate=gate,
    )


async def work(duty: Duty) -> None:
    tls = tls_context(duty.settings.server.tls)
    engines = await open_engines(duty)
    credentials = Credentials(engines.meta, engines.keys, duty.clock, duty.ids)
    told = await _told(duty, engines, credentials)
    assert duty.listener is not None
    gate = _gate(duty, credentials)
    keeping = asyncio.create_task(gate.keep()) if gate is not None else None
    with socket.socket(fileno=duty.listener) as listener:
        gateway = Gateway(
            _endpoint(duty, engines, credentials, gate),
            listener,
            tls=tls,
            may_accept=functools.partial(may_accept, duty) if len(duty.gateways) > 1 else None,
            counted=duty.slot.count,
        )
        duty.connections = lambda: gateway.connections
        gateway.start()
        gc.freeze()  # what was imported lives for ever: the collector need not look at it again and again
        duty.ready(**told)
        while not await duty.stopped_within(SWEEP_S):
            await asyncio.to_thread(engines.segments.sweep)
            engines.vault.sweep()
        draining = asyncio.create_task(gateway.drain(duty.grace_s))
        await asyncio.sleep(0)  # now it accepts no more
    if not await draining:
        duty.log.warning("connections were cut off: they did not end in time")
    if keeping is not None:
        keeping.cancel()
    await asyncio.to_thread(engines.close)


if __name__ == "__main__":
    run(work, uvloop.new_event_loop)
