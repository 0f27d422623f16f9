"""A real server on the loopback, in a thread of this process: the connection, the router, the verbs and a store."""

import asyncio
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from isotherm.clock import SystemClock
from isotherm.devices.drive import SystemDrive
from isotherm.ids import SystemIds
from isotherm.objects.space import Space
from isotherm.protocols.s3.counters import Counters
from isotherm.protocols.s3.endpoint import S3Endpoint
from isotherm.protocols.s3.error_table import render_error
from isotherm.protocols.s3.limits import S3Settings
from isotherm.protocols.s3.listener import Gateway
from isotherm.protocols.s3.router import dispatch
from isotherm.segments.local import LocalSegments
from isotherm.segments.port import Media
from isotherm.telemetry import Log
from isotherm.tenancy.identity import Credential
from tests.metadata import open_meta


class FixedCredentials:
    """Pairs that are known beforehand."""

    def __init__(self, pairs: Mapping[str, tuple[str, int]]) -> None:
        self._found = {key: Credential(key, secret, tenant) for key, (secret, tenant) in pairs.items()}

    def find(self, access_key: str) -> Credential | None:
        return self._found.get(access_key)


@contextmanager
def serving(directory: Path, pairs: Mapping[str, tuple[str, int]], *, port: int = 0) -> Iterator[str]:
    """Serve a store in `directory`; the value is its URL. `pairs`: access key to (secret, tenant)."""
    clock, ids = SystemClock(), SystemIds()
    listener = socket.create_server(("127.0.0.1", port), backlog=128)
    listener.setblocking(False)
    meta = open_meta(directory / "meta", clock=clock, ids=ids)
    directories = {Media.PERFORMANCE: [directory / "fast"], Media.CAPACITY: [directory / "slow"]}
    segments = LocalSegments.open(directories, meta, clock=clock, ids=ids, drive=SystemDrive())
    endpoint = S3Endpoint(
        credentials=FixedCredentials(pairs),
        space_of=lambda tenant: Space(tenant, meta, segments, clock, ids),
        owner_of=lambda tenant: f"tenant-{tenant}",
        dispatch=dispatch,
        render_error=render_error,
        settings=S3Settings(),
        clock=clock,
        ids=ids,
        log=Log("test", clock),
        counters=Counters(),
    )
    loop = asyncio.new_event_loop()
    ended: asyncio.Event = asyncio.Event()
    started = threading.Event()

    async def main() -> None:
        gateway = Gateway(endpoint, listener)
        gateway.start()
        started.set()
        await ended.wait()
        await gateway.drain(5.0)

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()), name="server")
    thread.start()
    try:
        started.wait()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()
        listener.close()
        segments.close()
        meta.close()
