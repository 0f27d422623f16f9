"""The remote engine passes the published suite of the `segments` port, in a bucket that is a directory."""

from contextlib import contextmanager

import pytest

from isotherm.devices.waiting import drive
from isotherm.segments.format import SALT_BYTES, trailer_bytes
from isotherm.segments.remote.inline import is_inline, value_key
from isotherm.testing.segments_rig import sealed
from isotherm.testing.segments_suite import SegmentsSuite
from isotherm.testing.segments_suite_sealed import SealedSuite
from tests.conformance.test_segments_local import metadata
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
        return 0 if is_inline(extent) and not extent.sealed else trailer_bytes(extent.length, extent.sealed)

    def live_bytes(self, rig, segment):
        return rigs.live(rig, segment)


class TestSealedRemoteSegments(TestRemoteSegments, SealedSuite):
    @contextmanager
    def opened(self, directory):
        with rigs.opened(directory) as rig:
            yield sealed(rig)

    def stored(self, rig, extent):
        if is_inline(extent):
            return drive(rig.meta.get(value_key(extent)))
        start = extent.offset - SALT_BYTES
        end = extent.offset + extent.length + trailer_bytes(extent.length, extent.sealed)
        return self.path_of(extent).read_bytes()[start:end]

    def overwrite(self, rig, extent, stored):
        if is_inline(extent):

            async def put(txn):
                txn.put(value_key(extent), stored)

            drive(rig.meta.transact(put))
            return
        with self.path_of(extent).open("r+b") as file:
            file.seek(extent.offset - SALT_BYTES)
            file.write(stored)

    def everything(self, rig):
        return b"".join(path.read_bytes() for path in self.directory.rglob("*.seg")) + metadata(rig)

    def path_of(self, extent):
        return self.directory / "bucket" / "segments" / f"{extent.segment:016x}.seg"
