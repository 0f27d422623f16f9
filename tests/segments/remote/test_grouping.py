"""Appends that arrive together share an object, all of them or none; the row comes before the object."""

import asyncio
import threading

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import Closed, Unavailable
from isotherm.meta.port import VALUE_BYTES
from isotherm.objects.model import PART_BYTES_MOST
from isotherm.segments.accounting import State
from isotherm.segments.port import EXTENT_PACKED_BYTES
from isotherm.segments.remote.bucket import Bucket
from isotherm.segments.remote.settings import RemoteSettings
from isotherm.testing.segments_suite import payload
from isotherm.testing.shelf import key_of
from tests.segments.checks import every_row
from tests.segments.remote import rigs


def objects(tmp_path):
    return list((tmp_path / "bucket").rglob("*.seg"))


def append_all(rig, count, size=20_000):
    async def check():
        return await asyncio.gather(
            *[rig.segments.append(key_of(b"%d" % n), payload(size, n)) for n in range(count)], return_exceptions=True
        )

    return asyncio.run(check())


def test_appends_at_once_share_objects(tmp_path):
    with rigs.opened(tmp_path, linger_s=0.5) as rig:
        extents = append_all(rig, 200)
        assert len({extent.segment for extent in extents}) == len(objects(tmp_path)) == 1
        for number, extent in enumerate(extents):
            assert drive(rig.segments.read(extent, 0, 20_000)) == payload(20_000, number)


def test_an_object_of_appends_is_bounded(tmp_path):
    with rigs.opened(tmp_path, linger_s=0.5, group_bytes=100_000) as rig:
        extents = append_all(rig, 50)
        assert max(path.stat().st_size for path in objects(tmp_path)) < 110_000
        assert len({extent.segment for extent in extents}) == len(objects(tmp_path)) >= 10


def test_a_group_fails_as_a_whole_and_the_next_one_works(tmp_path):
    with rigs.opened(tmp_path, linger_s=0.2) as rig:
        folder = tmp_path / "bucket" / "segments"
        folder.mkdir()
        folder.chmod(0o500)
        folder.rmdir()
        folder.write_bytes(b"in the way")
        assert {type(found) for found in append_all(rig, 20)} == {Unavailable}
        folder.unlink()
        assert not any(isinstance(found, BaseException) for found in append_all(rig, 20))
        # What failed has left rows at most, which say that nothing lives there.
        assert {row.state for row in every_row(rig.meta).values()} == {State.SEALED}


def test_the_row_is_there_before_the_object(tmp_path):
    seen = []

    class Watched(Bucket):
        def create(self, name, data):
            seen.append(int(name[-20:-4], 16) in every_row(meta) if name.endswith(".seg") else True)
            super().create(name, data)

    with rigs.opened(tmp_path) as rig:
        meta = rig.meta
        bucket = Watched.open((tmp_path / "bucket").as_uri(), rigs.SMALL)
        other = rigs.open_segments(bucket, meta)
        drive(other.append(key_of(b"a"), payload(20_000)))
        other.close()
    assert seen == [True]


def test_who_waits_for_an_upload_when_the_store_closes_is_told(tmp_path):
    begun, go_on = threading.Event(), threading.Event()

    class Slow(Bucket):
        def create(self, name, data):
            if name.endswith(".seg"):
                begun.set()
                go_on.wait()
            super().create(name, data)

    async def check(segments):
        first = asyncio.ensure_future(segments.append(key_of(b"a"), payload(20_000)))
        await asyncio.to_thread(begun.wait)
        second = asyncio.ensure_future(segments.append(key_of(b"b"), payload(20_000)))
        await asyncio.sleep(0)
        segments.close()
        with pytest.raises(Closed):
            await second
        go_on.set()
        assert (await first).length == 20_000

    with rigs.opened(tmp_path) as rig:
        bucket = Slow.open((tmp_path / "bucket").as_uri(), rigs.SMALL)
        asyncio.run(check(rigs.open_segments(bucket, rig.meta, uploads=1)))


def test_the_largest_part_fits_a_row_of_the_metadata():
    """A body of 5 GiB is one row that names all its extents."""
    extents = -(-PART_BYTES_MOST // RemoteSettings().extent_bytes_most)
    assert extents * EXTENT_PACKED_BYTES < VALUE_BYTES * 0.9
