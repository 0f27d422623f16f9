"""The remote engine passes the published suite of the `segments` port, in a bucket that is a directory."""

import pytest

from isotherm.segments.format import trailer_bytes
from isotherm.segments.remote.inline import is_inline
from isotherm.testing.segments_suite import SegmentsSuite
from tests.segments.remote import rigs


class TestRemoteSegments(SegmentsSuite):
    sends_files = False

    @pytest.fixture(autouse=True)
    def _directory(self, tmp_path):
        self.directory = tmp_path

    def opened(self, directory):
        return rigs.opened(directory)

    def flip(self, rig, extent, at):
        rigs.flip(self.directory, rig, extent, at)

    def trailer_bytes(self, extent):
        return 0 if is_inline(extent) else trailer_bytes(extent.length)

    def live_bytes(self, rig, segment):
        return rigs.live(rig, segment)
