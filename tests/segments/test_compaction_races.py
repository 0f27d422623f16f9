"""Compaction while others write, delete, copy and read: what they do wins, and they never notice."""

import asyncio
import threading

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import Unavailable
from isotherm.movers.compaction import CompactionSettings
from isotherm.testing.segments_suite import payload
from tests.segments import rigs
from tests.segments.checks import check_accounts, check_values, every_row
from tests.segments.movers import SETTINGS, compaction, files_of, filled, to_the_end


@pytest.fixture
def rig(tmp_path):
    with rigs.opened(tmp_path, settings=SETTINGS) as rig:
        yield rig


def test_a_segment_given_up_cannot_be_referred_to(rig):
    late = drive(rig.shelf.write(b"late", payload(3_000)))
    for number in range(60):
        drive(rig.shelf.write(b"%d" % number, payload(3_000)))
    to_the_end(compaction(rig))
    assert late[0].segment not in every_row(rig.meta)
    with pytest.raises(Unavailable):
        drive(rig.meta.transact(lambda txn: rig.shelf.assign(txn, b"late", late)))
    check_values(rig, {})


def test_a_late_reference_keeps_a_segment_from_being_given_up(rig):
    late = drive(rig.shelf.write(b"late", payload(3_000)))
    filled(rig, keep=1_000)

    async def check():
        # Referred to between the emptying transaction's reads and its commit.
        raced = []
        original = rig.meta.transact

        async def transact(fn):
            async def with_race(txn):
                result = await fn(txn)
                if not raced:
                    raced.append(True)
                    await original(lambda other: rig.shelf.assign(other, b"late", late))
                return result

            return await original(with_race)

        rig.meta.transact = transact
        try:
            emptied = await rig.segments.empty(late[0].segment)
        finally:
            rig.meta.transact = original
        assert raced
        assert not emptied

    drive(check())
    to_the_end(compaction(rig))
    check_values(rig, {b"late": payload(3_000), b"0": payload(3_000, 0)})
    check_accounts(rig)


class Racing:
    """A referrer whose owners change between the question and the move."""

    def __init__(self, shelf, act):
        self.shelf = shelf
        self.act = act

    async def referenced(self, reader, wanted):
        return await self.shelf.referenced(reader, wanted)

    async def relocate(self, txn, owner, moves):
        found = await self.shelf.relocate(txn, owner, moves)
        await self.act(owner[1:])
        return found


@pytest.mark.parametrize("what", ["delete", "overwrite", "copy", "delete the copy"])
def test_what_changes_during_a_move_wins(rig, what):
    expected = filled(rig)
    acted = set()
    if what == "delete the copy":
        for name in list(expected):
            drive(rig.shelf.copy(name, b"copy of " + name))
            expected[b"copy of " + name] = expected[name]

    async def act(name):
        if name in acted or len(acted) > 6:
            return
        acted.add(name)
        if what == "delete" or (what == "delete the copy" and name.startswith(b"copy")):
            await rig.shelf.delete(name)
            del expected[name]
        elif what == "overwrite":
            await rig.shelf.put(name, payload(10))
            expected[name] = payload(10)
        elif what == "copy":
            await rig.shelf.copy(name, b"copy of " + name)
            expected[b"copy of " + name] = expected[name]

    to_the_end(compaction(rig, shelf=Racing(rig.shelf, act)))
    assert acted
    check_values(rig, expected)
    check_accounts(rig)


def test_readers_never_notice(rig):
    """Values are read, and streamed under `reading`, while others are overwritten and segments go."""
    stop = threading.Event()
    failures = []
    big = payload(500_000)
    drive(rig.shelf.put(b"big", big))

    async def read():
        while not stop.is_set():
            for name in await rig.shelf.names():
                value = await rig.shelf.get(name)
                assert value is None or name == b"big" or value in (payload(2_000, 1), payload(2_000, 2))
                await asyncio.sleep(0)

    async def stream():
        while not stop.is_set():
            async with rig.segments.reading():
                extents = await rig.shelf.extents(b"big")
                found = bytearray()
                for extent in extents:
                    async for chunk in rig.segments.chunks(extent, 0, extent.length):
                        found += chunk
                        await asyncio.sleep(0)
                assert found == big

    def in_thread(work):
        try:
            asyncio.run(work())
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=in_thread, args=(work,)) for work in (read, stream)]
    for thread in threads:
        thread.start()
    mover = compaction(rig, CompactionSettings(settle_s=0.0, dead_fraction=0.3))
    gone = 0
    try:
        for number in range(80):
            drive(rig.shelf.put(b"%d" % (number % 12), payload(2_000, 1 + number % 2)))
            if number % 5 == 0:
                drive(rig.shelf.put(b"big", big))
                gone += len(drive(mover.step()).unlinked)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures
    assert gone > 2
    to_the_end(mover)
    check_accounts(rig)


def test_a_reader_that_began_before_keeps_its_segments(rig, tmp_path):
    filled(rig)
    mover = compaction(rig)

    async def check():
        async with rig.segments.reading():
            held = await rig.shelf.extents(b"0")
            first = await mover.step()
            assert first.waiting > 0
            assert held[0].segment in files_of(tmp_path)
            async with rig.segments.reading():
                assert (await mover.step()).unlinked == []
            assert await rig.segments.read(held[0], 0, 3_000) == payload(3_000, 0)
        async with rig.segments.reading():
            # Who comes after the emptying does not keep what was emptied before.
            last = await mover.step()
        assert len(last.unlinked) == first.waiting
        assert last.waiting == 0

    drive(check())
