"""The local engine passes the published suite of the `segments` port."""

from contextlib import contextmanager

import pytest

from isotherm.devices.waiting import drive
from isotherm.segments.format import SALT_BYTES, trailer_bytes
from isotherm.testing.segments_rig import sealed
from isotherm.testing.segments_suite import SegmentsSuite
from isotherm.testing.segments_suite_sealed import SealedSuite
from tests.segments import rigs


class TestLocalSegments(SegmentsSuite):
    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path):
        self.directory = tmp_path

    def opened(self, directory):
        return rigs.opened(directory)

    def flip(self, rig, extent, at):
        rigs.flip(rigs.path_of(self.directory, extent.segment), extent.offset + at)

    def trailer_bytes(self, extent):
        return trailer_bytes(extent.length, extent.sealed)

    def live_bytes(self, rig, segment):
        return rigs.live(rig, segment)


class TestSealedLocalSegments(TestLocalSegments, SealedSuite):
    @contextmanager
    def opened(self, directory):
        with rigs.opened(directory) as rig:
            yield sealed(rig)

    def stored(self, rig, extent):
        start = extent.offset - SALT_BYTES
        whole = rigs.path_of(self.directory, extent.segment).read_bytes()
        return whole[start : extent.offset + extent.length + trailer_bytes(extent.length, extent.sealed)]

    def overwrite(self, rig, extent, stored):
        with rigs.path_of(self.directory, extent.segment).open("r+b") as file:
            file.seek(extent.offset - SALT_BYTES)
            file.write(stored)

    def everything(self, rig):
        return b"".join(path.read_bytes() for path in self.directory.rglob("*.seg")) + metadata(rig)


def metadata(rig):
    return b"".join(key + value for key, value in drive(rig.meta.range(b"", b"\xfe", 1_000)))
