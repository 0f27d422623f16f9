"""Two gateways over one store, with a bug planted between them and their metadata: what the checker must find.

The gateways are real ones, each on a port and an event loop of its own, in threads of this process. A bug is a `Meta` that
is not quite what the port promises.
"""

import asyncio
import random
import socket
import threading
from contextlib import ExitStack, contextmanager

from isotherm.clock import SystemClock
from isotherm.errors import IsothermError
from isotherm.ids import SystemIds
from isotherm.objects.layout import ROOT_TENANT
from isotherm.objects.space import Space
from isotherm.protocols.s3.counters import Counters
from isotherm.protocols.s3.endpoint import S3Endpoint
from isotherm.protocols.s3.error_table import render_error
from isotherm.protocols.s3.limits import S3Settings
from isotherm.protocols.s3.listener import Gateway
from isotherm.protocols.s3.router import dispatch
from isotherm.settings import Settings
from isotherm.store.engines import compose
from isotherm.telemetry import Log
from isotherm.tenancy.identity import Credential

CREDENTIAL = Credential("AKIDEXAMPLE", "a secret of no consequence", ROOT_TENANT)


class Honest:
    """The engine as it is."""

    def __init__(self, meta):
        self.meta = meta

    def __getattr__(self, name):
        return getattr(self.meta, name)


class StaleCache(Honest):
    """A gateway remembers what it read, and serves it a few times more."""

    def __init__(self, meta):
        super().__init__(meta)
        self.kept = {}

    async def get(self, key):
        value, uses = self.kept.get(key, (None, 0))
        if not uses:
            value, uses = await self.meta.get(key), 3
        self.kept[key] = value, uses - 1
        return value


class UncheckedCondition(Honest):
    """A transaction reads beside itself: nobody compares at the commit what its decision rested on."""

    async def transact(self, fn):
        async def unchecked(txn):
            return await fn(BesideItself(txn, self.meta))

        return await self.meta.transact(unchecked)


class BesideItself(Honest):
    def __init__(self, txn, meta):
        super().__init__(txn)
        self.outside = meta

    async def get(self, key, likely=None):
        return await self.outside.get(key)


class TriedTwice(Honest):
    """A commit whose reply was lost is tried again, as if it could not have been done: now and then it had been."""

    def __init__(self, meta):
        super().__init__(meta)
        self.random = random.Random(1)

    async def transact(self, fn):
        done = await self.meta.transact(fn)
        if self.random.random() < 0.1:
            return await self.meta.transact(fn)
        return done


class TornListing(Honest):
    """A listing reads one row after the other, each as it is by then."""

    def snapshot(self):
        return Unsteady(self.meta)


class Unsteady(Honest):
    async def range(self, start, end, limit, *, reverse=False):
        rows = []
        while len(rows) < limit:
            if not (row := await self.meta.range(start, end, 1)):
                break
            rows += row
            start = row[0][0] + b"\0"
            await asyncio.sleep(0.001)
        return rows

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        pass


class LostWrite(Honest):
    """A write that met an error is acknowledged all the same."""

    def __init__(self, meta):
        super().__init__(meta)
        self.random = random.Random(1)
        self.last = None

    async def transact(self, fn):
        if self.last is not None and self.random.random() < 0.05:
            try:
                result, _ = await self.meta.transact(self.failing(fn))
            except NotWritten as kept:
                result = kept.result
            return result, self.last
        done = await self.meta.transact(fn)
        self.last = done[1]
        return done

    def failing(self, fn):
        async def failing(txn):
            raise NotWritten(await fn(txn))

        return failing


class NotWritten(IsothermError):
    def __init__(self, result):
        super().__init__()
        self.result = result


@contextmanager
def gateways(directory, bug, number=2):
    """URLs of gateways, each of which sees the store through a `bug` of its own."""
    clock, ids = SystemClock(), SystemIds()
    engines = compose(Settings(directory), role="foreign", clock=clock, ids=ids)
    with ExitStack() as stack:
        stack.callback(engines.close)
        yield [stack.enter_context(_gateway(bug(engines.meta), engines.segments, clock, ids)) for _ in range(number)]


@contextmanager
def _gateway(meta, segments, clock, ids):
    listener = socket.create_server(("127.0.0.1", 0), backlog=64)
    listener.setblocking(False)
    endpoint = S3Endpoint(
        credentials=OneCredential(),
        space_of=lambda tenant: Space(tenant, meta, segments, clock, ids),
        dispatch=dispatch,
        render_error=render_error,
        settings=S3Settings(),
        clock=clock,
        ids=ids,
        log=Log("planted", clock),
        counters=Counters(),
    )
    loop, ended, started = asyncio.new_event_loop(), asyncio.Event(), threading.Event()

    async def main():
        gateway = Gateway(endpoint, listener)
        gateway.start()
        started.set()
        await ended.wait()
        await gateway.drain(5.0)

    thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
    thread.start()
    try:
        started.wait()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        loop.close()
        listener.close()


class OneCredential:
    def find(self, access_key):
        return CREDENTIAL
