"""How the tests of remote segments open a store: LMDB metadata, and a bucket that is a directory."""

from contextlib import contextmanager
from dataclasses import replace

from isotherm.clock import SystemClock
from isotherm.devices.waiting import drive
from isotherm.ids import SystemIds
from isotherm.segments.accounting import live_bytes
from isotherm.segments.format import SALT_BYTES, TAG_BYTES
from isotherm.segments.remote import inline
from isotherm.segments.remote.bucket import Bucket
from isotherm.segments.remote.engine import RemoteSegments
from isotherm.segments.remote.settings import RemoteSettings
from isotherm.segments.tenant_segments import TenantSegments
from isotherm.testing.segments_suite import MIB, Rig
from tests.segments.rigs import flip as flip_file
from tests.segments.rigs import open_meta

# Nothing is kept in memory, so that what is read is what is stored.
SMALL = RemoteSettings(segment_bytes=16 * MIB, extent_bytes_most=4 * MIB, cache_bytes=0, linger_s=0.0)


def open_bucket(directory, settings=SMALL):
    return Bucket.open((directory / "bucket").as_uri(), settings)


def open_segments(bucket, meta, *, settings=SMALL, clock=None, ids=None, **changed):
    settings = replace(settings, **changed)
    opening = RemoteSegments.open(bucket, meta, clock=clock or SystemClock(), ids=ids or SystemIds(), settings=settings)
    return drive(opening)


@contextmanager
def opened(directory, **options):
    meta = open_meta(directory)
    try:
        segments = open_segments(open_bucket(directory), meta, **options)
        try:
            yield Rig(segments, meta, (options.get("settings") or SMALL).extent_bytes_most)
        finally:
            segments.close()
    finally:
        meta.close()


def flip(directory, rig, extent, at):
    """Invert one stored byte of an extent, wherever it lies."""
    if not inline.is_inline(extent):
        flip_file(directory / "bucket" / "segments" / f"{extent.segment:016x}.seg", extent.offset + at)
        return

    async def invert(txn):
        key = inline.value_key(extent)
        value = bytearray(await txn.get(key))
        value[at + (SALT_BYTES if extent.sealed else 0)] ^= 0xFF
        txn.put(key, bytes(value))

    drive(rig.meta.transact(invert))


def live(rig, segment):
    """Payload bytes of a segment that something refers to."""
    if segment >= inline.SEGMENTS_FROM:
        return drive(live_bytes(rig.meta, segment))
    prefix = inline.VALUES + segment.to_bytes(8, "big")
    dropped = {value for _, _, value in drive(inline.dropped(rig.meta, 1_000))}
    values = drive(rig.meta.range(prefix, prefix + b"\xff" * 9, 1_000))
    around = SALT_BYTES + TAG_BYTES if isinstance(rig.segments, TenantSegments) else 0
    return sum(len(value) - around for key, value in values if key not in dropped)
