"""Part of the `meta` suite: keys, order, ranges, limits."""

from __future__ import annotations

import itertools

import pytest

from isotherm.errors import Closed, Invalid
from isotherm.meta.port import KEY_BYTES, TRANSACTION_BYTES, VALUE_BYTES, Meta, Transaction
from isotherm.testing.meta_suite_base import StoreSuite, delete_all, everything, put_all

_LENGTHS = (1, 2, 31, 32, 399, 400, 431, 432, 499, 500, 501, 510, 511, 512, 899, 900, 901, 1300, 2090, KEY_BYTES)


def _keys() -> list[bytes]:
    """Keys of every awkward length that share prefixes of every awkward length, with neighbours of every kind."""
    runs = [b"a" * length for length in _LENGTHS]
    ends = (b"", b"\x00", b"\x00\x00", b"b", b"\xfe", b"\xff", b"\xff\xff")
    near = [run[:-2] + end for run in runs for end in ends if run[:-2] + end]
    others = [bytes((first,)) * length for first in (0, 0x7F, 0xFE) for length in (1, 499, 500, 501, 1000)]
    return sorted({key for key in runs + near + others if len(key) <= KEY_BYTES and key < b"\xff"})


class KeySuite(StoreSuite):
    def test_keys_of_any_length_come_in_byte_order(self, place: str) -> None:
        pairs = {key: b"%d" % number for number, key in enumerate(_keys())}

        async def body(meta: Meta) -> None:
            await put_all(meta, dict(reversed(pairs.items())))
            assert await meta.range(b"", b"\xff", 10_000) == list(pairs.items())
            assert await meta.range(b"", b"\xff", 10_000, reverse=True) == list(reversed(pairs.items()))
            for key, value in pairs.items():
                assert await meta.get(key) == value
                assert await meta.get(key[:-1] + b"\x01") is None

        self.use(place, body)

    def test_ranges_start_and_end_anywhere(self, place: str) -> None:
        keys = _keys()
        pairs = [(key, key[-3:]) for key in keys[::2]]  # every other one is there, every one is a bound
        bounds = [b"", *keys, b"\xff"]

        async def body(meta: Meta) -> None:
            await put_all(meta, dict(pairs))
            for start, end in itertools.product(bounds[::3], bounds[1::3]):
                inside = [pair for pair in pairs if start <= pair[0] < end]
                for limit in (1, 2, 7, 1000):
                    assert await meta.range(start, end, limit) == inside[:limit]
                    assert await meta.range(start, end, limit, reverse=True) == inside[::-1][:limit]

        self.use(place, body)

    def test_a_range_may_be_empty(self, place: str) -> None:
        async def body(meta: Meta) -> None:
            assert await meta.range(b"", b"\xff", 10) == []
            assert await meta.range(b"", b"\xff", 10, reverse=True) == []
            await put_all(meta, {b"k": b"v"})
            assert await meta.range(b"k", b"k", 10) == []
            assert await meta.range(b"l", b"k", 10) == []
            assert await meta.range(b"", b"\xff", 0) == []
            assert await meta.range(b"l", b"z", 10) == []
            assert await meta.range(b"a", b"b", 10, reverse=True) == []

        self.use(place, body)

    def test_deleting_a_key_leaves_those_that_share_its_prefix(self, place: str) -> None:
        keys = _keys()

        async def body(meta: Meta) -> None:
            left = dict.fromkeys(keys, b"v")
            await put_all(meta, left)
            for gone in keys[1::2] + keys[::2]:
                await delete_all(meta, gone, gone + b"absent" if len(gone) < 1000 else b"absent")
                del left[gone]
                assert await everything(meta) == left

        self.use(place, body)

    def test_values_may_be_empty_and_as_long_as_the_limit(self, place: str) -> None:
        async def body(meta: Meta) -> None:
            long = bytes(range(250)) * (VALUE_BYTES // 250)
            await put_all(meta, {b"empty": b"", b"full": long, b"e" * 700: b"", b"f" * 700: long})
            assert await meta.get(b"empty") == b""
            assert await meta.get(b"full") == long
            assert await meta.range(b"e" * 700, b"g", 10) == [
                (b"e" * 700, b""),
                (b"empty", b""),
                (b"f" * 700, long),
                (b"full", long),
            ]

        self.use(place, body)

    @pytest.mark.parametrize("key", [b"", b"k" * (KEY_BYTES + 1), b"\xff", b"\xffkey"])
    def test_a_key_that_no_user_may_have_is_refused(self, place: str, key: bytes) -> None:
        async def read(txn: Transaction) -> None:
            await txn.get(key)

        async def add(txn: Transaction) -> None:
            txn.add(key, 1)

        async def delete(txn: Transaction) -> None:
            txn.delete(key)

        async def put_at(txn: Transaction) -> None:
            txn.put_at(key or b"k", txn.stamp(), b"")

        async def body(meta: Meta) -> None:
            for fn in (read, add, delete) if not key else (read, add, delete, put_at):
                with pytest.raises(Invalid):
                    await meta.transact(fn)
            with pytest.raises(Invalid):
                await put_all(meta, {b"good": b"1", key: b"v"})
            with pytest.raises(Invalid):
                await meta.get(key)
            assert await everything(meta) == {}

        self.use(place, body)

    def test_a_range_never_shows_what_is_reserved(self, place: str) -> None:
        async def body(meta: Meta) -> None:
            async def append(txn: Transaction) -> None:
                txn.put(b"k" * 600, b"v")
                txn.append(b"f", b"record")
                assert await txn.range(b"", b"\xff" * 9, 10) == [(b"k" * 600, b"v")]

            await meta.transact(append)
            assert await meta.range(b"", b"\xff" * 9, 10) == [(b"k" * 600, b"v")]
            assert await meta.range(b"\xff", b"\xff" * 9, 10) == []
            assert await meta.range(b"", b"\xff" * 9, 10, reverse=True) == [(b"k" * 600, b"v")]
            with meta.snapshot() as snapshot:
                assert await snapshot.range(b"", b"\xff" * 9, 10) == [(b"k" * 600, b"v")]

        self.use(place, body)

    def test_a_value_over_the_limit_is_refused(self, place: str) -> None:
        long = bytes(VALUE_BYTES + 1)

        async def put(txn: Transaction) -> None:
            txn.put(b"other", b"1")
            txn.put(b"k", long)

        async def append(txn: Transaction) -> None:
            txn.put(b"other", b"1")
            txn.append(b"f", long)

        async def body(meta: Meta) -> None:
            for fn in (put, append):
                with pytest.raises(Invalid):
                    await meta.transact(fn)
            assert await everything(meta) == {}

        self.use(place, body)

    def test_a_transaction_over_the_limit_is_refused(self, place: str) -> None:
        async def too_large(txn: Transaction) -> None:
            for number in range(TRANSACTION_BYTES // VALUE_BYTES + 1):
                txn.put(b"k%d" % number, bytes(VALUE_BYTES))

        async def rewriting(txn: Transaction) -> None:
            for number in range(TRANSACTION_BYTES // VALUE_BYTES + 1):
                txn.put(b"k%d" % (number % 50), bytes(VALUE_BYTES))

        async def body(meta: Meta) -> None:
            with pytest.raises(Invalid):
                await meta.transact(too_large)
            assert await everything(meta) == {}
            await meta.transact(rewriting)
            assert len(await everything(meta)) == 50

        self.use(place, body)

    def test_a_closed_store_says_so(self, place: str) -> None:
        async def body(meta: Meta) -> None:
            snapshot = meta.snapshot()
            meta.close()
            with pytest.raises(Closed):
                await meta.get(b"k")
            with pytest.raises(Closed):
                await meta.range(b"a", b"z", 1)
            with pytest.raises(Closed):
                await put_all(meta, {b"k": b"v"})
            with pytest.raises(Closed):
                await snapshot.get(b"k")
            snapshot.close()

        self.use(place, body)
