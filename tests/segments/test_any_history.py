"""Any history of writes, copies, deletes, crashes, compactions and long readers leaves what a dict would hold."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from isotherm.clock import VirtualClock
from isotherm.devices.faulty_drive import FaultyDrive
from isotherm.devices.waiting import drive
from isotherm.ids import SeededIds
from isotherm.movers.compaction import Compaction, CompactionSettings
from isotherm.segments.port import Media
from isotherm.segments.settings import SegmentSettings
from isotherm.testing.segments_suite import Rig, payload
from isotherm.testing.shelf import OWNER
from tests.segments import rigs
from tests.segments.checks import check_accounts, check_values

SETTINGS = SegmentSettings(segment_bytes=30_000, extent_bytes_most=120_000, idle_lanes=1, descriptors=4)
NAMES = st.sampled_from([b"a", b"b", b"c", b"d"])
SIZES = st.one_of(st.integers(1, 9_000), st.sampled_from([65_536, 65_537, 262_145, 300_000]))
MEDIA = st.sampled_from(list(Media))


class History(RuleBasedStateMachine):
    @initialize(seed=st.integers(0, 2**32))
    def start(self, seed):
        self.directory = Path(tempfile.mkdtemp(prefix="segments-history-"))
        self.ids = SeededIds(seed)
        self.expected = {}
        self.held = []
        self.count = 0
        self.meta = rigs.open_meta(self.directory)
        self.open()

    def open(self):
        self.device = FaultyDrive(self.ids)
        segments = rigs.open_segments(self.directory, self.meta, device=self.device, ids=self.ids, settings=SETTINGS)
        self.rig = Rig(segments, self.meta, 0)
        self.mover = Compaction(
            segments,
            self.meta,
            {OWNER: self.rig.shelf},
            clock=VirtualClock(1 << 50),
            settings=CompactionSettings(settle_s=0.0, batch_extents=2, step_bytes=200_000),
        )

    def value(self, size):
        self.count += 1
        return payload(size, self.count)

    @rule(name=NAMES, size=SIZES, media=MEDIA)
    def put(self, name, size, media):
        value = self.value(size)
        drive(self.rig.shelf.put(name, value, media))
        self.expected[name] = value

    @rule(size=SIZES, media=MEDIA)
    def write_and_forget(self, size, media):
        drive(self.rig.shelf.write(b"forgotten", self.value(size), media))

    @rule(name=NAMES)
    def delete(self, name):
        drive(self.rig.shelf.delete(name))
        self.expected.pop(name, None)

    @precondition(lambda self: self.expected)
    @rule(data=st.data(), to=NAMES)
    def copy(self, data, to):
        name = data.draw(st.sampled_from(sorted(self.expected)))
        drive(self.rig.shelf.copy(name, to))
        self.expected[to] = self.expected[name]

    @rule(size=SIZES)
    def abort_a_stream(self, size):
        async def abort():
            stream = self.rig.segments.stream(OWNER + b"aborted")
            await stream.write(self.value(size))
            await stream.abort()

        drive(abort())

    @rule()
    def compact(self):
        drive(self.mover.step())

    @rule()
    def recover(self):
        report = drive(self.rig.segments.recover())
        assert not report.missing
        assert not report.strangers

    @precondition(lambda self: self.expected)
    @rule(data=st.data())
    def hold(self, data):
        name = data.draw(st.sampled_from(sorted(self.expected)))
        held = drive(self.rig.segments.hold())
        self.held.append((held, drive(self.rig.shelf.extents(name)), self.expected[name]))

    @precondition(lambda self: self.held)
    @rule()
    def read_what_is_held(self):
        held, extents, value = self.held.pop(0)
        self.rig.segments.sweep()
        found = b"".join([drive(self.rig.segments.read(extent, 0, extent.length)) for extent in extents])
        assert found == value
        held.release()

    @rule()
    def close_and_open(self):
        self.rig.segments.close()
        self.held.clear()
        self.open()

    @rule(power=st.booleans())
    def crash_and_open(self, power):
        if power:
            self.device.cut_power()
        else:
            self.device.kill()
        self.held.clear()
        self.open()

    @invariant()
    def values_are_what_they_should_be(self):
        if hasattr(self, "rig"):
            check_values(self.rig, self.expected)

    def teardown(self):
        if not hasattr(self, "rig"):
            return
        try:
            drive(self.rig.segments.recover())
            check_accounts(self.rig, power_was_cut=True)
            for held, _, _ in self.held:
                held.release()
            for _ in range(6):
                report = drive(self.mover.step())
            assert not report.stuck
            assert not report.waiting
            check_values(self.rig, self.expected)
            check_accounts(self.rig, power_was_cut=True)
        finally:
            self.rig.segments.close()
            self.meta.close()
            shutil.rmtree(self.directory)


History.TestCase.settings = settings(
    max_examples=12, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)
TestHistory = History.TestCase
