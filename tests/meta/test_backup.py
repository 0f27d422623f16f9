"""Hot copies: consistent, usable as a store of their own, and told apart from what they are a copy of."""

import asyncio

import pytest

from isotherm.clock import SystemClock
from isotherm.devices.waiting import drive
from isotherm.errors import CursorExpired, Invalid
from isotherm.ids import SeededIds, SystemIds
from isotherm.meta.lmdb import CopyInfo, LmdbMeta, copy_info
from isotherm.meta.port import Ordinal


def open_meta(directory, ids=None):
    return LmdbMeta.open(directory, clock=SystemClock(), ids=ids or SystemIds(), role="foreign", sync=False)


def pair(number):
    async def fn(txn):
        txn.put(b"left/%06d" % number, b"x" * 500)
        txn.put(b"right/%06d" % number, b"y" * 500)
        txn.put(b"l" * 1000 + b"/%06d" % number, b"z")
        return txn.append(b"f", b"%d" % number)

    return fn


def test_a_copy_taken_under_writers_is_one_state_of_the_store(tmp_path):
    async def main():
        with open_meta(tmp_path / "meta") as meta:
            for number in range(200):
                await meta.transact(pair(number))
            copying = asyncio.ensure_future(meta.backup(tmp_path / "copy"))
            number = 200
            while not copying.done():
                await meta.transact(pair(number))
                number += 1
            return copying.result(), number

    info, written = asyncio.run(main())
    assert copy_info(tmp_path / "copy") == info
    with open_meta(tmp_path / "copy") as copy:
        left, right, long = (
            [key[-6:] for key, _ in drive(copy.range(start, end, 100_000))]
            for start, end in ((b"left/", b"left0"), (b"right/", b"right0"), (b"l" * 1000, b"l" * 1000 + b"0"))
        )
        records = [b"%06d" % int(value) for _, value in drive(copy.feed(b"f", None, 100_000)).records]
    assert left == right == long == records == [b"%06d" % number for number in range(len(left))]
    assert 200 <= len(left) <= written


def test_a_copy_has_an_epoch_of_its_own_from_the_first_time_it_is_opened(tmp_path):
    with open_meta(tmp_path / "meta") as meta:
        ordinal, committed = drive(meta.transact(pair(1)))
        info = drive(meta.backup(tmp_path / "one"))
        drive(meta.backup(tmp_path / "two"))
        assert info == CopyInfo(epoch=meta.epoch, commit=int.from_bytes(committed.base[4:12], "big"))
        epochs = {meta.epoch}
        for number, name in enumerate(("one", "two")):
            with open_meta(tmp_path / name, SeededIds(number)) as copy:
                epochs.add(copy.epoch)
                assert copy.epoch > meta.epoch
                with pytest.raises(CursorExpired):
                    drive(copy.feed(b"f", committed.stamp(ordinal), 10))
                later = drive(copy.transact(pair(2)))[1]
                assert later.stamp(Ordinal(0)) > committed.base
                epoch = copy.epoch
            assert copy_info(tmp_path / name) is None
            with open_meta(tmp_path / name) as copy:
                assert copy.epoch == epoch
        assert len(epochs) == 3
        assert drive(meta.feed(b"f", committed.stamp(ordinal), 10)).records == []


def test_a_copy_is_not_made_over_anything(tmp_path):
    with open_meta(tmp_path / "meta") as meta:
        (tmp_path / "copy").mkdir()
        with pytest.raises(Invalid, match="new directory"):
            drive(meta.backup(tmp_path / "copy"))
        assert list((tmp_path / "copy").iterdir()) == []


def test_a_new_epoch_expires_cursors_and_keeps_the_records(tmp_path):
    with open_meta(tmp_path) as meta:
        ordinal, committed = drive(meta.transact(pair(1)))
        before = meta.epoch
        assert drive(meta.bump_epoch()) == meta.epoch > before
        with pytest.raises(CursorExpired):
            drive(meta.feed(b"f", committed.stamp(ordinal), 10))
        _, later = drive(meta.transact(pair(2)))
        assert later.base > committed.base
        page = drive(meta.feed(b"f", None, 10))
        assert [value for _, value in page.records] == [b"1", b"2"]
        assert drive(meta.feed(b"f", page.cursor, 10)).records == []
