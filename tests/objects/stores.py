"""Stores for the tests of objects: the real engines in a directory, and questions to them that only tests ask."""

from __future__ import annotations

import asyncio

from isotherm.clock import VirtualClock
from isotherm.devices.waiting import drive
from isotherm.ids import SeededIds
from isotherm.movers.compaction import Compaction, CompactionSettings
from isotherm.objects import garbage
from isotherm.objects.layout import successor
from isotherm.objects.model import Body
from isotherm.objects.records import decode_part, decode_record
from isotherm.objects.referrer import PartReferrer, VersionReferrer
from isotherm.segments import accounting
from isotherm.settings import Settings
from isotherm.store import compose
from isotherm.tenancy.usage import Usage
from tests.metadata import address

TENANT = 1
KIB = 1 << 10
MIB = 1 << 20


def open_engines(path, *, seed=1, clock=None, role="foreign", meta=None):
    """The engines of a data directory, with repeatable ids and a clock that moves when told.

    `meta`: where its metadata lies; the one chosen for the test where omitted.
    """
    return compose(
        Settings(path, meta=address(path) if meta is None else meta),
        role=role,
        clock=clock or VirtualClock(),
        ids=SeededIds(seed),
    )


def payload(size, seed=0):
    """`size` bytes that differ everywhere: no two of their 8-byte words are alike, and none of two seeds'."""
    words = [(seed << 40 | at).to_bytes(8, "big") for at in range(-(-size // 8))]
    return b"".join(words)[:size]


def body(data, piece=100_000, *, declared=True):
    """The same bytes as they come over a wire: in pieces, their size known beforehand or not."""

    async def pieces():
        for at in range(0, len(data), piece):
            yield data[at : at + piece]

    return Body(pieces(), len(data) if declared else None)


async def many(calls, at_once=100):
    """The results of a great many calls: a store tells who asks for all at once to slow down."""
    results = []
    for start in range(0, len(calls), at_once):
        results += await asyncio.gather(*calls[start : start + at_once])
    return results


async def fetch(space, bucket, key, version_id=None, offset=0, length=None):
    reading = await space.open(bucket, key, version_id)
    with reading:
        rest = reading.version.size - offset
        return await reading.read(offset, rest if length is None else length)


def get(space, bucket, key, version_id=None, offset=0, length=None):
    return drive(fetch(space, bucket, key, version_id, offset, length))


def sweep(engines, tenant=TENANT):
    """Dismantle all garbage; how many rows of it there were."""
    found = 0
    while count := drive(garbage.sweep(engines.meta, engines.segments, tenant)):
        found += count
    return found


async def count_live_bytes(meta):
    """Payload that something refers to, by the segments' own accounts."""
    total, after = 0, -1
    while rows := await accounting.segment_rows(meta, after):
        for segment, _ in rows:
            total += await accounting.live_bytes(meta, segment)
        after = rows[-1][0]
    return total


def live_bytes(engines):
    return drive(count_live_bytes(engines.meta))


def rows_of(engines, tenant=TENANT):
    """Every row of a tenant, by table letter."""
    found = {}
    start, end = tenant.to_bytes(4, "big"), (tenant + 1).to_bytes(4, "big")
    while pairs := drive(engines.meta.range(start, end, 1_000)):
        for key, value in pairs:
            found.setdefault(chr(key[4]), {})[key] = value
        start = pairs[-1][0] + b"\0"
    return found


def changes(space, after=None, **options):
    """The whole feed from a cursor on, read to its end."""
    found = []
    while True:
        page, cursor = drive(space.changes(after, **options))
        found += page
        if cursor == after or (after is None and not page):
            return found
        after = cursor


async def compact(engines):
    """Move whatever lives in sealed segments, however little of them is dead, and unlink what is empty."""
    referrers = {b"o": VersionReferrer(), b"p": PartReferrer()}
    settings = CompactionSettings(dead_fraction=0.0, settle_s=0)
    mover = Compaction(engines.segments, engines.meta, referrers, clock=engines.clock, settings=settings)
    while (await mover.step()).more:
        continue


class Interleaved:
    """The engine itself, but for an event that happens right after its n-th read, through a snapshot or without one.

    Asked for every n, it shows a reader at each of its suspension points what others may do there.
    """

    def __init__(self, meta, reads, event):
        self.meta = meta
        self.left = reads
        self.event = event
        self.happened = False

    def __getattr__(self, name):
        return getattr(self.meta, name)

    async def count(self, value):
        self.left -= 1
        if self.left == 0 and not self.happened:
            self.happened = True
            await self.event()
        return value

    async def get(self, key):
        return await self.count(await self.meta.get(key))

    async def range(self, *args, **options):
        return await self.count(await self.meta.range(*args, **options))

    def snapshot(self):
        return _InterleavedSnapshot(self, self.meta.snapshot())


class _InterleavedSnapshot:
    def __init__(self, meta, inner):
        self.meta = meta
        self.inner = inner

    async def get(self, key):
        return await self.meta.count(await self.inner.get(key))

    async def range(self, *args, **options):
        return await self.meta.count(await self.inner.range(*args, **options))

    def close(self):
        self.inner.close()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()


def recounted(engines, tenant=TENANT):
    """What a tenant holds by itself, counted row by row."""
    rows = rows_of(engines, tenant)
    live = [decode_record(row) for row in rows.get("L", {}).values()]
    other = [decode_record(row) for row in rows.get("V", {}).values()]
    older = [record for record in other if not record.marker]
    uploads = {key[-16:] for key in rows.get("U", {})}
    parts = [decode_part(row, 1).size for key, row in rows.get("P", {}).items() if key[5:21] in uploads]
    size_bytes = sum(record.size for record in (*live, *older)) + sum(parts)
    markers = len(other) - len(older)
    return Usage(size_bytes, len(live), len(live) + len(older), markers, len(uploads), sum(parts))


def keys_under(engines, prefix):
    """The keys that start with `prefix`."""
    return [key for key, _ in drive(engines.meta.range(prefix, successor(prefix), 10_000))]
