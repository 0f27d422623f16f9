"""Part of the `meta` suite: transactions within one process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from isotherm.errors import Invalid, NoSpace
from isotherm.meta.port import NO_STAMP, Meta, Ordinal, Transaction
from isotherm.testing.meta_children import Draw
from isotherm.testing.meta_suite_base import StoreSuite, counter, delete_all, everything, put_all

Change = Callable[[Meta], Awaitable[object]]


class Bytes:
    """Something a transaction waits for, which says when it was settled, or fails."""

    def __init__(self, settled: Callable[[], None]) -> None:
        self.settle = settled


class TransactionSuite(StoreSuite):
    def test_a_transaction_commits_after_what_it_waits_for(self, place: str) -> None:
        async def body(meta: Meta) -> None:
            seen: list[bytes | None] = []
            held = asyncio.get_running_loop()

            def settle() -> None:
                seen.append(asyncio.run_coroutine_threadsafe(meta.get(b"k"), held).result())

            async def fn(txn: Transaction) -> None:
                txn.after(Bytes(settle))
                txn.put(b"k", b"v")

            await meta.transact(fn)
            assert seen == [None]
            assert await meta.get(b"k") == b"v"

        self.use(place, body)

    def test_what_cannot_be_settled_fails_those_alone_who_wait_for_it(self, place: str) -> None:
        def fail() -> None:
            raise NoSpace("full")

        async def one(meta: Meta, number: int) -> bool:
            async def fn(txn: Transaction) -> None:
                if number % 3 == 0:
                    txn.after(Bytes(fail))
                txn.after(Bytes(lambda: None))
                txn.put(b"%03d" % number, b"v")

            try:
                await meta.transact(fn)
            except NoSpace:
                return False
            return True

        async def body(meta: Meta) -> None:
            done = await asyncio.gather(*[one(meta, number) for number in range(100)])
            assert done == [number % 3 != 0 for number in range(100)]
            assert sorted(await everything(meta)) == [b"%03d" % number for number in range(100) if number % 3]

        self.use(place, body)

    def test_a_transaction_reads_its_own_writes(self, place: str) -> None:
        async def fn(txn: Transaction) -> None:
            txn.put(b"b", b"2")
            txn.delete(b"c")
            txn.put(b"k" * 700, b"long")
            assert await txn.get(b"a") == b"1"
            assert await txn.get(b"b") == b"2"
            assert await txn.get(b"c") is None
            assert await txn.range(b"a", b"z", 10) == [(b"a", b"1"), (b"b", b"2"), (b"d", b"1"), (b"k" * 700, b"long")]
            assert await txn.range(b"a", b"z", 2) == [(b"a", b"1"), (b"b", b"2")]
            assert await txn.range(b"a", b"e", 2, reverse=True) == [(b"d", b"1"), (b"b", b"2")]
            txn.delete(b"b")
            txn.put(b"c", b"3")
            assert await txn.range(b"b", b"z", 1) == [(b"c", b"3")]

        async def body(meta: Meta) -> None:
            await put_all(meta, dict.fromkeys((b"a", b"b", b"c", b"d"), b"1"))
            await meta.transact(fn)
            assert await everything(meta) == {b"a": b"1", b"c": b"3", b"d": b"1", b"k" * 700: b"long"}

        self.use(place, body)

    @pytest.mark.parametrize("seed", range(5))
    def test_ranges_over_own_writes_equal_those_of_a_dictionary(self, place: str, seed: int) -> None:
        draw = Draw(seed)
        keys = [bytes((97 + draw.below(9),)) * draw.choice((1, 2, 3, 499, 500, 501, 901)) for _ in range(40)]

        async def check(txn: Transaction, model: dict[bytes, bytes]) -> None:
            start, end = draw.choice(keys), draw.choice(keys)
            limit, reverse = draw.choice((1, 2, 3, 5, 100)), draw.coin()
            inside = sorted((pair for pair in model.items() if start <= pair[0] < end), reverse=reverse)
            assert await txn.range(start, end, limit, reverse=reverse) == inside[:limit]

        async def fn(txn: Transaction) -> None:
            model = dict(before)
            for number in range(300):
                key = draw.choice(keys)
                if draw.coin():
                    model[key] = b"%d" % number
                    txn.put(key, model[key])
                else:
                    model.pop(key, None)
                    txn.delete(key)
                await check(txn, model)
            after.update(model)

        before = {key: b"old" for key in keys if draw.coin()}
        after: dict[bytes, bytes] = {}

        async def body(meta: Meta) -> None:
            await put_all(meta, before)
            await meta.transact(fn)
            assert await everything(meta) == after

        self.use(place, body)

    def test_reading_what_only_the_commit_will_know_is_refused(self, place: str) -> None:
        async def prepare(txn: Transaction) -> None:
            txn.add(b"counter", 1)
            ordinal = txn.stamp()
            txn.put(b"stamped", b"v", stamp=ordinal)
            txn.put_at(b"versions/", ordinal, b"v")

        async def reads(txn: Transaction) -> None:
            await prepare(txn)
            for key in (b"counter", b"stamped"):
                with pytest.raises(Invalid):
                    await txn.get(key)
                with pytest.raises(Invalid):
                    await txn.range(key, key + b"\x00", 1)
            with pytest.raises(Invalid):
                await txn.range(b"versions/", b"versions0", 1)
            assert await txn.range(b"counterz", b"stampe", 10) == []

        self.use(place, lambda meta: meta.transact(reads))

    def test_the_last_write_to_a_key_counts(self, place: str) -> None:
        async def fn(txn: Transaction) -> None:
            ordinal = txn.stamp()
            txn.put(b"a", b"stamped", stamp=ordinal)
            txn.put(b"a", b"plain")
            txn.put(b"b", b"plain")
            txn.put(b"b", b"stamped", stamp=ordinal)
            txn.put(b"c", b"gone")
            txn.delete(b"c")
            txn.add(b"d", 5)
            txn.put(b"d", b"plain")
            txn.put(b"e", counter(5))
            txn.add(b"e", 2)
            txn.delete(b"f")
            txn.add(b"f", 3)
            txn.add(b"g", 3)
            txn.delete(b"g")

        async def body(meta: Meta) -> None:
            await put_all(meta, {b"f": counter(100), b"g": counter(100)})
            _, committed = await meta.transact(fn)
            assert await everything(meta) == {
                b"a": b"plain",
                b"b": committed.stamp(Ordinal(0)) + b"stamped",
                b"d": b"plain",
                b"e": counter(7),
                b"f": counter(3),
            }

        self.use(place, body)

    def test_a_function_that_raises_writes_nothing(self, place: str) -> None:
        class Stop(Exception):
            pass

        async def fn(txn: Transaction) -> None:
            txn.put(b"k", b"v")
            txn.append(b"f", b"v")
            raise Stop

        async def body(meta: Meta) -> None:
            with pytest.raises(Stop):
                await meta.transact(fn)
            assert await everything(meta) == {}
            assert (await meta.feed(b"f", None, 10)).records == []

        self.use(place, body)

    def test_a_transaction_that_only_reads_has_no_stamp(self, place: str) -> None:
        async def fn(txn: Transaction) -> bytes | None:
            return await txn.get(b"k")

        async def body(meta: Meta) -> None:
            await put_all(meta, {b"k": b"v"})
            value, committed = await meta.transact(fn)
            assert (value, committed.base) == (b"v", NO_STAMP)

        self.use(place, body)

    @pytest.mark.parametrize(
        "change",
        [
            lambda meta: put_all(meta, {b"k": b"2"}),
            lambda meta: delete_all(meta, b"k"),
            lambda meta: put_all(meta, {b"j" * 800 + b"new": b""}),
            lambda meta: put_all(meta, {b"new": b"1"}),
            lambda meta: delete_all(meta, b"l"),
            lambda meta: put_all(meta, {b"l": b"2"}),
        ],
        ids=["key changed", "key deleted", "long key came", "key came", "key in range deleted", "key in range changed"],
    )
    def test_a_function_is_run_again_when_what_it_read_has_changed(self, place: str, change: Change) -> None:
        runs: list[object] = []

        async def body(meta: Meta) -> None:
            async def fn(txn: Transaction) -> None:
                seen = (await txn.get(b"k"), await txn.get(b"new"), await txn.range(b"j", b"m", 10))
                runs.append(seen)
                if len(runs) == 1:
                    await change(meta)
                txn.put(b"out", repr(seen).encode())

            await put_all(meta, {b"k": b"1", b"l": b"1"})
            await meta.transact(fn)
            assert len(runs) == 2
            assert runs[0] != runs[1]
            assert await meta.get(b"out") == repr(runs[1]).encode()

        self.use(place, body)

    @pytest.mark.parametrize("stored", [b"1", None])
    def test_a_row_may_be_expected_not_to_be_there(self, place: str, stored: bytes | None) -> None:
        seen: list[bytes | None] = []

        async def body(meta: Meta) -> None:
            async def fn(txn: Transaction) -> None:
                seen.append(await txn.expect(b"k", None))
                assert await txn.get(b"k") == await txn.expect(b"k", b"other") == seen[-1]
                txn.put(b"out", seen[-1] or b"none")

            if stored is not None:
                await put_all(meta, {b"k": stored})
            await meta.transact(fn)
            assert await meta.get(b"out") == (stored or b"none")
            assert seen == ([None] if stored is None else [None, stored])

        self.use(place, body)

    @pytest.mark.parametrize("stored", [b"1", b"2", None])
    @pytest.mark.parametrize("end", ["writes", "returns", "raises"])
    def test_what_was_taken_for_likely_is_judged_by_what_is_there(
        self, place: str, stored: bytes | None, end: str
    ) -> None:
        seen: list[bytes | None] = []

        async def body(meta: Meta) -> None:
            async def fn(txn: Transaction) -> bytes | None:
                value = await txn.get(b"k", b"1")
                assert await txn.get(b"k") == value
                seen.append(value)
                if end == "writes":
                    txn.put(b"out", value or b"none")
                if end == "raises":
                    raise ValueError(value)
                return value

            if stored is not None:
                await put_all(meta, {b"k": stored})
            if end == "raises":
                with pytest.raises(ValueError, match=str(stored)):
                    await meta.transact(fn)
            else:
                assert (await meta.transact(fn))[0] == stored
            assert await meta.get(b"out") == ((stored or b"none") if end == "writes" else None)
            assert seen == [b"1"] if stored == b"1" and end == "writes" else [b"1", stored]

        self.use(place, body)

    def test_a_blind_write_never_runs_again(self, place: str) -> None:
        runs = 0

        async def body(meta: Meta) -> None:
            async def fn(txn: Transaction) -> None:
                nonlocal runs
                runs += 1
                txn.put(b"k", b"mine")
                if runs == 1:
                    await put_all(meta, {b"k": b"theirs"})

            await meta.transact(fn)
            assert runs == 1
            assert await meta.get(b"k") == b"mine"

        self.use(place, body)

    def test_write_skew_fails(self, place: str) -> None:
        """Two doctors are on call; each leaves if the other stays. Both must not leave."""

        def leave(meta: Meta, mine: bytes, meanwhile: Callable[[], Awaitable[object]] | None) -> Awaitable[object]:
            waiting = [meanwhile] if meanwhile else []

            async def fn(txn: Transaction) -> None:
                on_call = [await txn.get(key) for key in (b"ann", b"bob")]
                if waiting:
                    await waiting.pop()()
                if all(on_call):
                    txn.delete(mine)

            return meta.transact(fn)

        async def body(meta: Meta) -> None:
            await put_all(meta, {b"ann": b"on", b"bob": b"on"})
            await leave(meta, b"ann", lambda: leave(meta, b"bob", None))
            assert await everything(meta) == {b"ann": b"on"}

        self.use(place, body)

    def test_write_skew_fails_among_many(self, place: str) -> None:
        """Each of many may put its own key while the range holds none: exactly one does."""

        async def body(meta: Meta) -> None:
            async def claim(name: bytes) -> bool:
                async def fn(txn: Transaction) -> bool:
                    free = not await txn.range(b"claim/", b"claim0", 1)
                    await asyncio.sleep(0)
                    if free:
                        txn.put(b"claim/" + name, name)
                    return free

                return (await meta.transact(fn))[0]

            for _ in range(10):
                won = await asyncio.gather(*(claim(b"%d" % number) for number in range(16)))
                assert sum(won) == 1
                claims = await meta.range(b"claim/", b"claim0", 100)
                assert len(claims) == 1
                await delete_all(meta, claims[0][0])

        self.use(place, body)

    def test_no_increment_is_lost(self, place: str) -> None:
        async def body(meta: Meta) -> None:
            async def fn(txn: Transaction) -> None:
                number = int(await txn.get(b"n") or b"0")
                await asyncio.sleep(0)
                txn.put(b"n", b"%d" % (number + 1))

            async def write() -> None:
                for _ in range(10):
                    await meta.transact(fn)

            await asyncio.gather(*(write() for _ in range(8)))
            assert await meta.get(b"n") == b"80"

        self.use(place, body)
