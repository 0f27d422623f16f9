"""The local engine passes the published suite of the `segments` port."""

import pytest

from isotherm.segments.format import trailer_bytes
from isotherm.testing.segments_suite import SegmentsSuite
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
        return trailer_bytes(extent.length)

    def live_bytes(self, rig, segment):
        return rigs.live(rig, segment)
