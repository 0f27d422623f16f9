"""How the tests of segments open a store: real LMDB metadata, real files, small segments."""

from contextlib import contextmanager

from isotherm.clock import SystemClock
from isotherm.devices.drive import SystemDrive
from isotherm.devices.waiting import drive
from isotherm.ids import SystemIds
from isotherm.meta.lmdb import LmdbMeta
from isotherm.segments.accounting import live_bytes
from isotherm.segments.local import LocalSegments
from isotherm.segments.port import Media
from isotherm.segments.settings import SegmentSettings
from isotherm.testing.segments_suite import MIB, Rig

# Without a reserve, so that a medium that is filled is met at its very end.
SMALL = SegmentSettings(segment_bytes=16 * MIB, extent_bytes_most=8 * MIB, reserve_bytes=0)


def open_meta(directory):
    # Nothing here cuts the power under the metadata, so its own syncs would only take time.
    return LmdbMeta.open(
        directory / "meta", clock=SystemClock(), ids=SystemIds(), role="foreign", map_bytes=1 << 30, sync=False
    )


def open_segments(directory, meta, *, settings=SMALL, clock=None, device=None, ids=None):
    return LocalSegments.open(
        {Media.PERFORMANCE: [directory / "fast"], Media.CAPACITY: [directory / "slow" / "0", directory / "slow" / "1"]},
        meta,
        clock=clock or SystemClock(),
        ids=ids or SystemIds(),
        drive=device or SystemDrive(),
        settings=settings,
    )


@contextmanager
def opened(directory, **options):
    meta = open_meta(directory)
    try:
        segments = open_segments(directory, meta, **options)
        try:
            yield Rig(segments, meta, (options.get("settings") or SMALL).extent_bytes_most)
        finally:
            segments.close()
    finally:
        meta.close()


def path_of(directory, segment):
    (path,) = directory.rglob(f"{segment:016x}.seg")
    return path


def flip(path, at):
    """Invert one byte of a file."""
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes((byte ^ 0xFF,)))


def live(rig, segment):
    return drive(live_bytes(rig.meta, segment))
