"""Part of the `segments` suite: payloads that are placed, and become durable with the transaction that refers to them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from isotherm.errors import NotFound
from isotherm.meta.port import Transaction
from isotherm.segments.port import Media
from isotherm.testing.segments_rig import MIB, Rig, Run, payload
from isotherm.testing.shelf import key_of


class PlaceSuite:
    @pytest.mark.parametrize("length", [1, 4_096, 65_537, MIB])
    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_a_placed_payload_reads_back_once_it_is_referred_to(
        self, rig: Rig, run: Run, length: int, kind: Any
    ) -> None:
        data = payload(length)

        async def check() -> None:
            buffer = bytearray(data)
            extent, placed = await rig.segments.place(key_of(b"a"), kind(buffer), Media.CAPACITY)
            buffer[:] = bytes(length)

            async def refer(txn: Transaction) -> None:
                if placed is not None:
                    txn.after(placed)
                await rig.shelf.assign(txn, b"a", [extent])

            await rig.meta.transact(refer)
            assert extent.length == length
            assert await rig.segments.read(extent, 0, length) == data
            assert await rig.shelf.get(b"a") == data

        run(check())

    def test_a_place_that_nothing_refers_to_harms_no_other(self, rig: Rig, run: Run) -> None:
        async def refuse(txn: Transaction) -> None:
            raise NotFound("no")

        async def check() -> None:
            await rig.segments.place(key_of(b"a"), payload(5_000, 1))
            await rig.shelf.put(b"b", payload(6_000, 2))
            extent, placed = await rig.segments.place(key_of(b"c"), payload(7_000, 3))
            with pytest.raises(NotFound):
                await rig.meta.transact(refuse)
            assert await rig.segments.append(key_of(b"d"), payload(1, 4))
            await rig.shelf.put(b"e", payload(8_000, 5))
            assert await rig.shelf.get(b"b") == payload(6_000, 2)
            assert await rig.shelf.get(b"e") == payload(8_000, 5)
            if placed is not None:
                placed.settle()
            assert await rig.segments.read(extent, 0, 7_000) == payload(7_000, 3)

        run(check())

    def test_places_at_once_keep_their_bytes_apart(self, rig: Rig) -> None:
        async def one(number: int) -> None:
            data = payload(1 + number * 97 % 9_000, number)
            name = b"%d" % (number % 300)
            if number % 5 == 0:
                await rig.segments.place(key_of(b"nobody's"), data)
            elif number % 5 == 1:
                extent = await rig.segments.append(key_of(name), data)
                assert await rig.segments.read(extent, 0, len(data)) == data
            else:
                (extent,) = await rig.shelf.put(name, data)
                assert await rig.segments.read(extent, 0, len(data)) == data

        async def check() -> None:
            await asyncio.gather(*[one(number) for number in range(400)])

        asyncio.run(check())
