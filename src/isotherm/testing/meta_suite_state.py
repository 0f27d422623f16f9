"""Part of the `meta` suite: snapshots, counters and stamps."""

from __future__ import annotations

import asyncio

import pytest

from isotherm.clock import VirtualClock
from isotherm.errors import Invalid, SnapshotExpired
from isotherm.meta.port import STAMP_BYTES, TRANSACTION_S, Meta, Ordinal, Transaction, invert
from isotherm.testing.meta_suite_base import StoreSuite, counter, delete_all, everything, put_all


class SnapshotSuite(StoreSuite):
    def test_a_snapshot_does_not_move(self, place: str) -> None:
        async def body(meta: Meta) -> None:
            await put_all(meta, {b"a": b"1", b"b": b"1"})
            with meta.snapshot() as snapshot:
                assert await snapshot.get(b"b") == b"1"  # its state is fixed by its first read at the latest
                await put_all(meta, {b"a": b"2", b"c": b"2"})
                await delete_all(meta, b"b")
                assert await snapshot.get(b"a") == b"1"
                assert await snapshot.get(b"c") is None
                assert await snapshot.range(b"a", b"z", 10) == [(b"a", b"1"), (b"b", b"1")]
                assert await meta.range(b"a", b"z", 10) == [(b"a", b"2"), (b"c", b"2")]

        self.use(place, body)

    def test_a_transaction_sees_one_state(self, place: str) -> None:
        written: list[bytes] = []

        async def body(meta: Meta) -> None:
            async def fn(txn: Transaction) -> tuple[bytes | None, bytes | None]:
                first = await txn.get(b"a")
                if len(written) < 3:
                    written.append(b"%d" % len(written))
                    await put_all(meta, dict.fromkeys((b"a", b"b"), written[-1]))
                return first, await txn.get(b"b")

            await put_all(meta, {b"a": b"-", b"b": b"-"})
            (first, second), _ = await meta.transact(fn)
            assert first == second  # it wrote nothing, so one consistent state is all it needs

        self.use(place, body)

    def test_a_transaction_that_fails_has_seen_one_state(self, place: str) -> None:
        class Torn(Exception):
            pass

        async def body(meta: Meta) -> None:
            async def fn(txn: Transaction) -> None:
                first = await txn.get(b"a")
                if first == b"1":
                    await put_all(meta, {b"a": b"2", b"b": b"2"})
                second = await txn.get(b"b")
                txn.put(b"c", b"")
                if first != second:
                    raise Torn

            await put_all(meta, {b"a": b"1", b"b": b"1"})
            await meta.transact(fn)
            assert await meta.get(b"c") == b""

        self.use(place, body)

    def test_a_snapshot_expires(self, place: str) -> None:
        clock = VirtualClock()

        async def body(meta: Meta) -> None:
            await put_all(meta, {b"a": b"1"})
            with meta.snapshot() as snapshot:
                clock.advance(TRANSACTION_S)
                assert await snapshot.get(b"a") == b"1"
                clock.advance(0.001)
                with pytest.raises(SnapshotExpired):
                    await snapshot.get(b"a")
                with pytest.raises(SnapshotExpired):
                    await snapshot.range(b"a", b"b", 1)
            assert await meta.get(b"a") == b"1"

        self.use(place, body, clock)

    def test_a_transaction_that_takes_too_long_writes_nothing(self, place: str) -> None:
        clock = VirtualClock()

        async def late_read(txn: Transaction) -> None:
            txn.put(b"a", b"late")
            clock.advance(TRANSACTION_S + 1)
            await txn.get(b"b")

        async def late_commit(txn: Transaction) -> None:
            txn.put(b"a", b"late")
            clock.advance(TRANSACTION_S + 1)

        async def body(meta: Meta) -> None:
            for fn in (late_read, late_commit):
                with pytest.raises(SnapshotExpired):
                    await meta.transact(fn)
            assert await everything(meta) == {}

        self.use(place, body, clock)


class CounterSuite(StoreSuite):
    def test_additions_never_conflict(self, place: str) -> None:
        runs = 0

        async def body(meta: Meta) -> None:
            async def fn(txn: Transaction) -> None:
                nonlocal runs
                runs += 1
                txn.add(b"n", 3)
                txn.add(b"n" * 900, -1)
                await asyncio.sleep(0)

            await asyncio.gather(*(meta.transact(fn) for _ in range(100)))
            assert await everything(meta) == {b"n": counter(300), b"n" * 900: counter(-100)}
            assert runs == 100

        self.use(place, body)

    def test_a_counter_at_zero_is_gone(self, place: str) -> None:
        async def add(meta: Meta, *deltas: int) -> None:
            async def fn(txn: Transaction) -> None:
                for delta in deltas:
                    txn.add(b"n", delta)

            await meta.transact(fn)

        async def body(meta: Meta) -> None:
            await add(meta, 7)
            await add(meta, -7)
            assert await meta.get(b"n") is None
            await add(meta, 7, -7)
            assert await meta.get(b"n") is None
            await add(meta, -1)
            assert await meta.get(b"n") == counter(-1)

        self.use(place, body)

    def test_adding_to_what_is_no_counter_is_refused(self, place: str) -> None:
        async def fn(txn: Transaction) -> None:
            txn.put(b"other", b"1")
            txn.add(b"n", 1)

        async def body(meta: Meta) -> None:
            for value in (b"", b"seven", bytes(9), counter((1 << 63) - 1)):
                await put_all(meta, {b"n": value})
                with pytest.raises(Invalid):
                    await meta.transact(fn)
                assert await everything(meta) == {b"n": value}

        self.use(place, body)


class StampSuite(StoreSuite):
    def test_stamps_stand_where_they_were_asked_for(self, place: str) -> None:
        async def fn(txn: Transaction) -> tuple[Ordinal, Ordinal, Ordinal]:
            first, second, third = txn.stamp(), txn.append(b"f", b"record"), txn.stamp()
            txn.put(b"first", b"v", stamp=first)
            txn.put(b"l" * 800, b"v", stamp=second)
            txn.put_at(b"at/", third, b"v")
            txn.put_at(b"p" * 700, third, b"v")
            return first, second, third

        async def body(meta: Meta) -> None:
            ordinals, committed = await meta.transact(fn)
            first, second, third = map(committed.stamp, ordinals)
            assert {len(first), len(second), len(third)} == {STAMP_BYTES}
            assert first < second < third
            assert int.from_bytes(first[:4], "big") == meta.epoch
            assert await everything(meta) == {
                b"first": first + b"v",
                b"l" * 800: second + b"v",
                b"at/" + invert(third): third + b"v",
                b"p" * 700 + invert(third): third + b"v",
            }
            assert (await meta.feed(b"f", None, 10)).records == [(second, b"record")]

        self.use(place, body)

    def test_later_commits_have_greater_stamps_and_no_stamp_comes_twice(self, place: str) -> None:
        async def body(meta: Meta) -> None:
            async def fn(txn: Transaction) -> list[Ordinal]:
                ordinals = [txn.stamp(), txn.append(b"f", b""), txn.stamp()]
                for ordinal in ordinals:
                    txn.put_at(b"at/", ordinal, b"")
                return ordinals

            async def write() -> list[bytes]:
                stamps: list[bytes] = []
                for _ in range(20):
                    ordinals, committed = await meta.transact(fn)
                    stamps += map(committed.stamp, ordinals)
                return stamps

            written = await asyncio.gather(*(write() for _ in range(8)))
            for stamps in written:
                assert stamps == sorted(stamps)
            every = sorted(stamp for stamps in written for stamp in stamps)
            assert len(set(every)) == 8 * 20 * 3
            newest_first = [value for _, value in await meta.range(b"at/", b"at0", 10_000)]
            assert newest_first == every[::-1]

        self.use(place, body)

    def test_not_even_commits_that_change_nothing_share_a_stamp(self, place: str) -> None:
        async def body(meta: Meta) -> None:
            async def fn(txn: Transaction) -> Ordinal:
                txn.delete(b"absent")
                return txn.stamp()

            stamps: list[bytes] = []
            for _ in range(5):
                ordinal, committed = await meta.transact(fn)
                stamps.append(committed.stamp(ordinal))
            assert stamps == sorted(set(stamps))
            assert stamps[-1] <= await meta.readable_since()

        self.use(place, body)

    def test_an_ordinal_of_another_transaction_is_refused(self, place: str) -> None:
        async def fn(txn: Transaction) -> None:
            txn.put(b"k", b"v", stamp=Ordinal(0))

        async def body(meta: Meta) -> None:
            with pytest.raises(Invalid):
                await meta.transact(fn)
            assert await everything(meta) == {}

        self.use(place, body)

    def test_what_was_committed_is_readable_since(self, place: str) -> None:
        async def body(meta: Meta) -> None:
            _, first = await meta.transact(self._stamping)
            readable = await meta.readable_since()
            assert len(readable) == STAMP_BYTES
            assert first.stamp(Ordinal(0)) <= readable
            _, second = await meta.transact(self._stamping)
            assert readable < second.stamp(Ordinal(0)) <= await meta.readable_since()

        self.use(place, body)

    @staticmethod
    async def _stamping(txn: Transaction) -> None:
        txn.put(b"k", b"v", stamp=txn.stamp())
