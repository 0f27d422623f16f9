"""Part of the `meta` suite: accounts, which are bounded to the last unit whoever charges them at once."""

from __future__ import annotations

import asyncio

import pytest

from isotherm.errors import Invalid, OverQuota
from isotherm.meta.accounts import balance
from isotherm.meta.port import ACCOUNT_ROWS, ACCOUNTS, Meta, Transaction, account_rows
from isotherm.testing.meta_suite_base import StoreSuite

ONE, TWO = (ACCOUNTS + b"test" + kind for kind in (b"1", b"2"))


async def charge(meta: Meta, charges: dict[bytes, tuple[int, int | None]], also: bytes = b"") -> bool:
    """Whether the accounts took the charges."""

    async def fn(txn: Transaction) -> None:
        for account, (delta, most) in charges.items():
            txn.charge(account, delta, most)
        if also:
            txn.put(also, b"v")

    try:
        await meta.transact(fn)
    except OverQuota:
        return False
    return True


class AccountSuite(StoreSuite):
    @pytest.mark.parametrize("size", [1, 7, 1_000])
    def test_an_account_is_filled_to_the_last_unit_and_no_further(self, place: str, size: int) -> None:
        most = 40 * size + size // 2

        async def body(meta: Meta) -> None:
            async def writer(number: int) -> int:
                taken = [await charge(meta, {ONE: (size, most)}, b"w%d-%d" % (number, n)) for n in range(4)]
                return sum(taken)

            assert sum(await asyncio.gather(*map(writer, range(32)))) == 40
            assert await balance(meta, ONE) == 40 * size
            assert len(await meta.range(b"w", b"x", 1_000)) == 40
            assert await charge(meta, {ONE: (most - 40 * size, most)})
            assert not await charge(meta, {ONE: (1, most)})
            assert await balance(meta, ONE) == most

        self.use(place, body)

    def test_what_is_taken_away_can_be_charged_again(self, place: str) -> None:
        async def body(meta: Meta) -> None:
            assert await charge(meta, {ONE: (100, 100)})
            assert not await charge(meta, {ONE: (1, 100)})
            assert await charge(meta, {ONE: (-30, 100)})
            assert not await charge(meta, {ONE: (31, 100)})
            assert await charge(meta, {ONE: (30, 100)})
            assert await charge(meta, {ONE: (-100, 100)})
            assert await balance(meta, ONE) == 0
            assert len(await meta.range(*account_rows(ONE), 1_000)) <= ACCOUNT_ROWS

        self.use(place, body)

    def test_a_bound_may_come_go_and_change_and_holds_from_then_on(self, place: str) -> None:
        async def body(meta: Meta) -> None:
            assert await charge(meta, {ONE: (5, 10)})
            assert await charge(meta, {ONE: (1_000, None)})
            assert not await charge(meta, {ONE: (1, 10)})
            assert await charge(meta, {ONE: (-1_000, 10)})
            assert await charge(meta, {ONE: (5, 10)})
            assert await charge(meta, {ONE: (5, 15)})
            assert not await charge(meta, {ONE: (1, 10)})
            assert not await charge(meta, {ONE: (1, 15)})
            assert await balance(meta, ONE) == 15

        self.use(place, body)

    def test_a_transaction_is_refused_as_a_whole(self, place: str) -> None:
        async def body(meta: Meta) -> None:
            assert not await charge(meta, {ONE: (5, 10), TWO: (5, 4)}, b"k")
            assert await balance(meta, ONE) == await balance(meta, TWO) == 0
            assert await meta.get(b"k") is None
            assert await charge(meta, {ONE: (5, 10), TWO: (4, 4)}, b"k")
            assert not await charge(meta, {ONE: (5, 10), TWO: (1, 4)})
            assert await charge(meta, {ONE: (5, 10), TWO: (-1, 4)})
            assert (await balance(meta, ONE), await balance(meta, TWO)) == (10, 3)

        self.use(place, body)

    def test_several_charges_of_a_transaction_are_judged_by_their_sum(self, place: str) -> None:
        async def body(meta: Meta) -> None:
            async def replace(txn: Transaction) -> None:
                txn.charge(ONE, 15, 10)
                txn.charge(ONE, -10, 10)

            assert await charge(meta, {ONE: (5, 10)})
            await meta.transact(replace)
            with pytest.raises(OverQuota):
                await meta.transact(replace)
            assert await balance(meta, ONE) == 10

        self.use(place, body)

    def test_charges_of_a_full_account_hold_up_nobody_elses(self, place: str) -> None:
        async def body(meta: Meta) -> None:
            assert await charge(meta, {ONE: (10, 10)})
            full = [charge(meta, {ONE: (1, 10), TWO: (1, 1 << 40)}) for _ in range(20)]
            free = [charge(meta, {TWO: (1, 1 << 40)}) for _ in range(20)]
            assert await asyncio.gather(*full, *free) == [False] * 20 + [True] * 20
            assert (await balance(meta, ONE), await balance(meta, TWO)) == (10, 20)

        self.use(place, body)

    def test_a_balance_that_was_read_must_hold_at_the_commit(self, place: str) -> None:
        runs: list[int] = []

        async def body(meta: Meta) -> None:
            async def fn(txn: Transaction) -> None:
                runs.append(await balance(txn, ONE))
                if len(runs) == 1:
                    await charge(meta, {ONE: (7, None)})
                txn.charge(ONE, -runs[-1])
                txn.charge(TWO, runs[-1])

            await charge(meta, {ONE: (5, None)})
            await meta.transact(fn)
            assert runs == [5, 12]
            assert (await balance(meta, ONE), await balance(meta, TWO)) == (0, 12)

        self.use(place, body)

    def test_an_account_that_is_charged_cannot_be_read_in_the_same_transaction(self, place: str) -> None:
        async def body(meta: Meta) -> None:
            async def fn(txn: Transaction) -> None:
                txn.charge(ONE, 1)
                await balance(txn, ONE)

            with pytest.raises(Invalid):
                await meta.transact(fn)
            with pytest.raises(Invalid):
                await charge(meta, {b"elsewhere!": (1, None)})
            with pytest.raises(Invalid):
                await charge(meta, {ONE + b"!": (1, None)})
            assert await balance(meta, ONE) == 0

        self.use(place, body)
