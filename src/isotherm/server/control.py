"""Control: the process behind the second port.

A process of its own, and not a thread of the supervisor: the web framework and the metrics library would be most of the
supervisor's memory and start-up time, and nothing a scraper or a follower does may endanger supervision. It starts once the
gateways serve; connections that came earlier wait in the listener's queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

import uvicorn

from isotherm import __version__
from isotherm.devices.drive import SystemDrive
from isotherm.objects.layout import FEED
from isotherm.protocols.admin.application import application
from isotherm.protocols.admin.composition import administration
from isotherm.protocols.admin.feed import FeedOverHttp
from isotherm.protocols.admin.following import FeedEnd
from isotherm.protocols.admin.health import Readiness
from isotherm.protocols.admin.metrics import Exposition
from isotherm.protocols.admin.rest import AdminApi
from isotherm.server.checks import checks
from isotherm.server.duty import Duty, open_engines, run
from isotherm.server.holdings import Holdings
from isotherm.server.numbers import Numbers
from isotherm.server.patience import PatientProtocol
from isotherm.store import Engines
from isotherm.tenancy.audit.recorder import Recorder
from isotherm.tenancy.identity import Credentials

CONNECTIONS_MOST = 2_000


class _Server(uvicorn.Server):
    """Told to end by the duty, not by signals of its own."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _config(duty: Duty, engines: Engines) -> uvicorn.Config:
    credentials = Credentials(engines.meta, engines.keys, duty.clock, duty.ids)
    free_bytes = SystemDrive().free_bytes
    processes = dict(zip(duty.names, duty.board.slots, strict=True))
    readiness = Readiness(checks(engines, processes, free_bytes), duty.clock)
    holdings = Holdings(engines.meta)
    numbers = Numbers(duty.board, duty.ledger, duty.names, __version__, engines, free_bytes, duty.clock, holdings)
    end = FeedEnd(lambda: engines.meta.feed_end(FEED))
    feed = FeedOverHttp(credentials, engines.space, end, duty.clock, duty.stopping)
    recorder = Recorder(engines.meta, duty.clock, duty.ids)
    api = AdminApi(administration(engines, credentials), credentials, recorder, duty.log, __version__)
    tls = duty.settings.server.tls
    return uvicorn.Config(
        application(
            readiness,
            Exposition(numbers.gather),
            Exposition(numbers.gather_of_tenants),
            credentials,
            feed,
            api,
            holdings.look,
        ),
        lifespan="off",
        log_config=None,
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        limit_concurrency=CONNECTIONS_MOST,
        http=PatientProtocol,
        ssl_certfile=str(tls.certificate) if tls else None,
        ssl_keyfile=str(tls.key) if tls else None,
    )


async def work(duty: Duty) -> None:
    engines = await open_engines(duty)
    config = _config(duty, engines)
    server = _Server(config)
    assert duty.listener is not None
    serving = asyncio.create_task(server.serve([socket.socket(fileno=duty.listener)]))
    duty.ready()
    told = asyncio.create_task(duty.stopping.wait())
    await asyncio.wait({serving, told}, return_when=asyncio.FIRST_COMPLETED)
    config.timeout_graceful_shutdown = max(1, int(duty.grace_s))
    server.should_exit = True
    await serving
    await asyncio.to_thread(engines.close)


if __name__ == "__main__":
    run(work)
