"""Part of the `meta` suite: the feed."""

from __future__ import annotations

from typing import cast

import pytest

from isotherm.errors import CursorExpired, Invalid
from isotherm.meta.port import FEED_BYTES, NO_STAMP, Engine, Meta, Transaction
from isotherm.testing.meta_children import Child, append_records
from isotherm.testing.meta_suite_base import StoreSuite


async def _append(meta: Meta, feed: bytes, *values: bytes) -> list[bytes]:
    """One transaction; the records' cursors."""

    async def fn(txn: Transaction) -> list[int]:
        return [txn.append(feed, value) for value in values]

    ordinals, committed = await meta.transact(fn)
    return [committed.stamp(ordinal) for ordinal in ordinals]  # type: ignore[arg-type]


async def _all(meta: Meta, feed: bytes, page: int = 1000) -> list[tuple[bytes, bytes]]:
    records: list[tuple[bytes, bytes]] = []
    cursor: bytes | None = None
    while True:
        got = await meta.feed(feed, cursor, page)
        records += got.records
        cursor = got.cursor
        if not got.records:
            return records


class FeedSuite(StoreSuite):
    def test_records_come_in_commit_order_page_by_page(self, place: str) -> None:
        async def body(meta: Meta) -> None:
            cursors = await _append(meta, b"f", b"0", b"1") + await _append(meta, b"f", b"2")
            cursors += await _append(meta, b"f", b"3", b"4")
            expected = [(cursor, b"%d" % number) for number, cursor in enumerate(cursors)]
            assert await _all(meta, b"f") == expected
            assert await _all(meta, b"f", 1) == expected
            assert await _all(meta, b"f", 2) == expected
            page = await meta.feed(b"f", cursors[1], 2)
            assert (page.records, page.cursor) == (expected[2:4], cursors[3])

        self.use(place, body)

    def test_whoever_read_to_the_end_sees_only_what_comes(self, place: str) -> None:
        async def body(meta: Meta) -> None:
            empty = await meta.feed(b"f", None, 10)
            end = await meta.feed_end(b"f")
            assert empty.records == []
            first = await _append(meta, b"f", b"1")
            for cursor in (empty.cursor, end):
                page = await meta.feed(b"f", cursor, 10)
                assert (page.records, page.cursor) == ([(first[0], b"1")], first[0])
            assert (await meta.feed(b"f", first[0], 10)).cursor == first[0]
            end = await meta.feed_end(b"f")
            second = await _append(meta, b"f", b"2")
            for cursor in (first[0], end):
                assert (await meta.feed(b"f", cursor, 10)).records == [(second[0], b"2")]

        self.use(place, body)

    def test_feeds_are_apart(self, place: str) -> None:
        names = (b"a", b"aa", b"a\x00", b"\xff", b"f" * FEED_BYTES)

        async def body(meta: Meta) -> None:
            for name in names:
                await _append(meta, name, b"of " + name)
            for name in names:
                assert [value for _, value in await _all(meta, name)] == [b"of " + name]
                assert await meta.trim(name, 0) == 1
                assert await _all(meta, name) == []

        self.use(place, body)

    @pytest.mark.parametrize("name", [b"", b"f" * (FEED_BYTES + 1)])
    def test_a_name_beyond_the_limits_is_refused(self, place: str, name: bytes) -> None:
        async def body(meta: Meta) -> None:
            with pytest.raises(Invalid):
                await _append(meta, name, b"")
            for call in (meta.feed(name, None, 1), meta.feed_end(name), meta.trim(name, 1)):
                with pytest.raises(Invalid):
                    await call

        self.use(place, body)

    def test_trimming_keeps_the_newest(self, place: str) -> None:
        async def body(meta: Meta) -> None:
            cursors = await _append(meta, b"f", *(b"%d" % number for number in range(10)))
            assert await meta.trim(b"f", 10) == 0
            assert await meta.trim(b"f", 4) == 6
            assert await meta.trim(b"f", 4) == 0
            assert [value for _, value in await _all(meta, b"f")] == [b"6", b"7", b"8", b"9"]
            await _append(meta, b"f", b"10")
            assert await meta.trim(b"f", 4) == 1
            assert (await meta.feed(b"f", cursors[8], 10)).records[0] == (cursors[9], b"9")

        self.use(place, body)

    def test_a_cursor_behind_what_was_trimmed_has_expired(self, place: str) -> None:
        async def body(meta: Meta) -> None:
            start = (await meta.feed(b"f", None, 10)).cursor
            cursors = await _append(meta, b"f", *(b"%d" % number for number in range(6)))
            await meta.trim(b"f", 3)
            for expired in (start, cursors[0], cursors[1]):
                with pytest.raises(CursorExpired):
                    await meta.feed(b"f", expired, 10)
            assert len((await meta.feed(b"f", cursors[2], 10)).records) == 3  # has missed nothing
            await meta.trim(b"f", 0)
            with pytest.raises(CursorExpired):
                await meta.feed(b"f", cursors[4], 10)
            page = await meta.feed(b"f", None, 10)
            assert page.records == []
            await _append(meta, b"f", b"new")
            for cursor in (cursors[5], page.cursor):
                assert [value for _, value in (await meta.feed(b"f", cursor, 10)).records] == [b"new"]

        self.use(place, body)

    def test_trimming_stops_at_a_stamp(self, place: str) -> None:
        async def body(meta: Meta) -> None:
            cursors = await _append(meta, b"f", *(b"%d" % number for number in range(6)))
            assert await meta.trim(b"f", 0, upto=cursors[1]) == 2
            assert await meta.trim(b"f", 0, upto=cursors[0]) == 0
            assert [value for _, value in await _all(meta, b"f")] == [b"2", b"3", b"4", b"5"]
            assert len((await meta.feed(b"f", cursors[1], 10)).records) == 4  # has missed nothing
            assert await meta.trim(b"f", 3, upto=cursors[5]) == 1

        self.use(place, body)

    def test_one_call_trims_no_more_than_ten_thousand(self, place: str) -> None:
        async def body(meta: Meta) -> None:
            for _ in range(3):
                await _append(meta, b"f", *(b"" for _ in range(4_000)))
            assert await meta.trim(b"f", 0) == 10_000
            assert len(await _all(meta, b"f")) == 2_000
            assert await meta.trim(b"f", 1_500) == 500

        self.use(place, body)

    def test_a_cursor_of_another_epoch_has_expired(self, place: str) -> None:
        async def body(meta: Meta) -> None:
            (cursor,) = await _append(meta, b"f", b"1")
            for epoch in (meta.epoch - 1, meta.epoch + 1):
                with pytest.raises(CursorExpired):
                    await meta.feed(b"f", epoch.to_bytes(4, "big") + cursor[4:], 10)

        self.use(place, body)

    def test_records_of_earlier_epochs_are_read_by_their_stamps(self, place: str) -> None:
        async def body(engine: Meta) -> None:
            meta = cast("Engine", engine)
            await _append(meta, b"another", b"no")
            stamps = await _append(meta, b"f", b"1", b"2", b"3")
            await meta.bump_epoch()
            stamps += await _append(meta, b"f", b"4")
            assert await meta.feed_records(b"f", NO_STAMP, 2) == list(zip(stamps[:2], (b"1", b"2"), strict=True))
            rest = await meta.feed_records(b"f", stamps[1], 10)
            assert rest == list(zip(stamps[2:], (b"3", b"4"), strict=True))
            assert await meta.feed_records(b"f", stamps[3], 10) == []

        self.use(place, body)

    def test_a_cursor_beyond_the_newest_commit_has_expired(self, place: str) -> None:
        """It can only come from a history that a restore has taken away."""

        async def body(meta: Meta) -> None:
            (cursor,) = await _append(meta, b"f", b"1")
            beyond = int.from_bytes(cursor[4:12], "big") + 1_000
            with pytest.raises(CursorExpired):
                await meta.feed(b"f", cursor[:4] + beyond.to_bytes(8, "big") + cursor[12:], 10)

        self.use(place, body)

    @pytest.mark.parametrize("cursor", [b"", b"short", bytes(17)])
    def test_what_is_no_cursor_is_refused(self, place: str, cursor: bytes) -> None:
        async def body(meta: Meta) -> None:
            with pytest.raises(Invalid):
                await meta.feed(b"f", cursor, 10)

        self.use(place, body)

    def test_a_feed_is_complete_and_in_order_while_several_processes_write(self, place: str) -> None:
        names, count, tasks = (b"a", b"b", b"c"), 150, 4
        children = [Child(type(self).opener, place, append_records, name, count, tasks) for name in names]
        records: list[tuple[bytes, bytes]] = []

        async def body(meta: Meta) -> None:
            cursor: bytes | None = None
            while len(records) < len(names) * count:
                page = await meta.feed(b"f", cursor, 7)
                records.extend(page.records)
                cursor = page.cursor
                if not page.records and not any(child.runs() for child in children):
                    page = await meta.feed(b"f", cursor, 10_000)  # what was committed before the last one ended
                    records.extend(page.records)
                    break
            assert await _all(meta, b"f") == records

        self.use(place, body)
        for child in children:
            child.end()
        cursors = [cursor for cursor, _ in records]
        assert cursors == sorted(set(cursors))
        by_task: dict[tuple[bytes, bytes], list[int]] = {}
        for _, value in records:
            name, task, number = value.split(b"/")
            by_task.setdefault((name, task), []).append(int(number))
        assert len(by_task) == len(names) * tasks
        for (_, task), numbers in by_task.items():
            assert numbers == list(range(int(task), count, tasks))
