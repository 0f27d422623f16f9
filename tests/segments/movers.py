"""How the tests of compaction fill a store and run the mover."""

from isotherm.clock import VirtualClock
from isotherm.devices.waiting import drive
from isotherm.movers.compaction import Compaction, CompactionSettings
from isotherm.segments.settings import SegmentSettings
from isotherm.testing.segments_suite import payload
from isotherm.testing.shelf import OWNER

SETTINGS = SegmentSettings(segment_bytes=64 << 10, extent_bytes_most=256 << 10, idle_lanes=1)
AT_ONCE = CompactionSettings(settle_s=0.0)


def compaction(rig, settings=AT_ONCE, clock=None, shelf=None, **options):
    referrers = {OWNER: shelf or rig.shelf}
    clock = clock or VirtualClock(1 << 50)
    return Compaction(rig.segments, rig.meta, referrers, clock=clock, settings=settings, **options)


def to_the_end(mover):
    """Step until nothing is left to do; what all steps reported."""
    reports = []
    while not reports or reports[-1].more or reports[-1].moved or reports[-1].unlinked:
        reports.append(drive(mover.step()))
        assert len(reports) < 1_000
    return reports


EVERYTHING = CompactionSettings(settle_s=0.0, dead_fraction=0.0)


def files_of(directory):
    return {int(path.stem, 16): path for path in directory.rglob("*.seg")}


def filled(rig, count=120, size=3_000, keep=5):
    """Values of which one in `keep` is left."""
    expected = {}
    for number in range(count):
        name = b"%d" % number
        expected[name] = payload(size, number)
        drive(rig.shelf.put(name, expected[name]))
    for number in range(count):
        if number % keep:
            drive(rig.shelf.delete(b"%d" % number))
            del expected[b"%d" % number]
    return expected
