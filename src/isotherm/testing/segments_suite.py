"""What every engine of the `segments` port must do, as a published suite: subclass it and say how a store is opened.

    class TestMine(SegmentsSuite):
        @contextmanager
        def opened(self, directory): ...
        def flip(self, rig, extent, at): ...

Each behaviour is tried with an event loop and without one. Needs pytest; the tests run on one thread.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import Closed, Corrupt, ForkedHandle, Invalid, NotFound
from isotherm.segments.port import BLOCK_BYTES, Extent, Media, Segments, unpack_extents
from isotherm.testing.segments_rig import MIB, Rig, Run, payload
from isotherm.testing.segments_suite_places import PlaceSuite
from isotherm.testing.segments_suite_witness import WitnessSuite
from isotherm.testing.shelf import OWNER, key_of

LENGTHS = (1, 2, 4_095, 65_535, 65_536, 65_537, 131_072, MIB - 1, MIB, MIB + 1)


class SegmentsSuite(PlaceSuite, WitnessSuite):
    """Subclass with the hooks below.

    `sends_files`: whether the engine has descriptors for sendfile.
    """

    sends_files = True

    def opened(self, directory: Path) -> AbstractContextManager[Rig]:
        """A store in `directory`, new or as it was left; closed at the end. Extents of streams at most 8 MiB."""
        raise NotImplementedError

    def flip(self, rig: Rig, extent: Extent, at: int) -> None:
        """Invert one stored byte: `at` counts from the extent's first payload byte, on into what follows it."""
        raise NotImplementedError

    def trailer_bytes(self, extent: Extent) -> int:
        """How many bytes behind the payload are the extent's."""
        raise NotImplementedError

    def live_bytes(self, rig: Rig, segment: int) -> int:
        """What the engine counts as live in a segment."""
        raise NotImplementedError

    @pytest.fixture
    def rig(self, tmp_path: Path) -> Iterator[Rig]:
        with self.opened(tmp_path) as rig:
            yield rig

    @pytest.fixture(params=[drive, asyncio.run], ids=["without a loop", "on a loop"])
    def run(self, request: pytest.FixtureRequest) -> Run:
        run: Run = request.param
        return run

    @pytest.mark.parametrize("length", LENGTHS)
    def test_an_append_reads_back(self, rig: Rig, run: Run, length: int) -> None:
        data = payload(length)

        async def check() -> None:
            extent = await rig.segments.append(key_of(b"a"), data)
            assert extent.length == length
            assert await rig.segments.read(extent, 0, length) == data
            assert await _gathered(rig.segments, extent, 0, length) == data

        run(check())

    @pytest.mark.parametrize("length", [*LENGTHS, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1, 20 * MIB + 77])
    @pytest.mark.parametrize("piece", [70_001, 4 * MIB])
    def test_a_stream_reads_back(self, rig: Rig, run: Run, length: int, piece: int) -> None:
        data = payload(length)

        async def check() -> None:
            stream = rig.segments.stream(key_of(b"s"), Media.CAPACITY)
            for at in range(0, length, piece):
                await stream.write(data[at : at + piece])
            extents = await stream.finish()
            assert [extent.length for extent in extents[:-1]] == [rig.extent_bytes_most] * (len(extents) - 1)
            found = [await _gathered(rig.segments, extent, 0, extent.length) for extent in extents]
            assert b"".join(found) == data

        run(check())

    @pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
    def test_payload_may_be_reused_after_the_call(self, rig: Rig, run: Run, kind: Any) -> None:
        data = payload(300_000)

        async def check() -> None:
            buffer = bytearray(data)
            extent = await rig.segments.append(key_of(b"a"), kind(buffer))
            stream = rig.segments.stream(key_of(b"b"))
            for _ in range(8):
                await stream.write(kind(buffer))
                buffer[:] = bytes(len(buffer))
                buffer[:] = data
            buffer[:] = bytes(len(buffer))
            (long,) = await stream.finish()
            assert await rig.segments.read(extent, 0, len(data)) == data
            assert await rig.segments.read(long, 0, long.length) == data * 8

        run(check())

    def test_a_range_is_the_same_bytes(self, rig: Rig, run: Run) -> None:
        data = payload(3 * MIB + 11)
        edges = (0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, MIB, 2 * MIB + 5, len(data) - 1, len(data))

        async def check() -> None:
            for extent, whole in (
                (await rig.segments.append(key_of(b"a"), data), data),
                (await rig.segments.append(key_of(b"b"), data[:5_000]), data[:5_000]),
            ):
                for start in edges:
                    for end in edges:
                        if start <= end <= len(whole):
                            length = end - start
                            assert await rig.segments.read(extent, start, length) == whole[start:end]
                            assert await _gathered(rig.segments, extent, start, length) == whole[start:end]
                            assert rig.segments.read_now(extent, start, length) in (None, whole[start:end])

        run(check())

    def test_chunks_are_at_most_a_mebibyte(self, rig: Rig, run: Run) -> None:
        async def check() -> None:
            extent = await rig.segments.append(key_of(b"a"), payload(3 * MIB))
            sizes = [len(chunk) async for chunk in rig.segments.chunks(extent, 17, 2 * MIB + 100)]
            assert max(sizes) <= MIB
            assert sum(sizes) == 2 * MIB + 100

        run(check())

    @pytest.mark.parametrize(("offset", "length"), [(-1, 5), (0, 11), (11, 0), (5, 6), (0, -1)])
    def test_a_range_outside_the_extent_is_refused(self, rig: Rig, run: Run, offset: int, length: int) -> None:
        extent = run(rig.segments.append(key_of(b"a"), payload(10)))
        with pytest.raises(Invalid):
            run(rig.segments.read(extent, offset, length))
        with pytest.raises(Invalid):
            rig.segments.read_now(extent, offset, length)

    def test_nothing_and_too_much_are_refused(self, rig: Rig, run: Run) -> None:
        for owner, data in ((key_of(b"a"), b""), (key_of(b"a"), bytes(4 * MIB + 1)), (b"", b"1"), (bytes(2_501), b"1")):
            with pytest.raises(Invalid):
                run(rig.segments.append(owner, data))

    def test_an_empty_stream_has_no_extents(self, rig: Rig, run: Run) -> None:
        assert run(rig.segments.stream(key_of(b"a")).finish()) == []

    def test_an_aborted_stream_takes_no_more_and_later_ones_work(self, rig: Rig, run: Run) -> None:
        data = payload(2 * MIB)

        async def check() -> None:
            stream = rig.segments.stream(key_of(b"a"))
            await stream.write(data)
            await stream.abort()
            await stream.abort()
            with pytest.raises(Closed):
                await stream.write(data)
            with pytest.raises(Closed):
                await stream.finish()
            later = rig.segments.stream(key_of(b"b"))
            await later.write(data)
            (extent,) = await later.finish()
            await later.abort()
            assert await rig.segments.read(extent, 0, len(data)) == data

        run(check())

    def test_appends_at_once_keep_their_bytes_apart(self, rig: Rig) -> None:
        async def one(number: int) -> None:
            data = payload(1 + number * 97 % 9_000, number)
            extent = await rig.segments.append(key_of(b"%d" % number), data)
            assert await rig.segments.read(extent, 0, len(data)) == data

        async def check() -> None:
            await asyncio.gather(*[one(number) for number in range(400)])

        asyncio.run(check())

    def test_streams_at_once_keep_their_bytes_apart(self, rig: Rig) -> None:
        async def one(number: int) -> None:
            data = payload(1 + number * 70_003, number)
            stream = rig.segments.stream(key_of(b"%d" % number))
            for at in range(0, len(data), 50_000):
                await stream.write(data[at : at + 50_000])
                await asyncio.sleep(0)
            extents = await stream.finish()
            assert b"".join([await rig.segments.read(part, 0, part.length) for part in extents]) == data

        async def check() -> None:
            await asyncio.gather(*[one(number) for number in range(24)])

        asyncio.run(check())

    def test_a_cancelled_write_leaves_a_stream_that_can_only_be_aborted(self, rig: Rig) -> None:
        async def check() -> None:
            stream = rig.segments.stream(key_of(b"a"))
            task = asyncio.ensure_future(stream.write(bytes(3 * MIB)))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            with pytest.raises(Closed):
                await stream.finish()
            ending = asyncio.ensure_future(stream.abort())
            await asyncio.sleep(0)
            ending.cancel()
            await asyncio.wait([ending])
            assert await rig.shelf.put(b"b", payload(MIB))
            assert await rig.shelf.get(b"b") == payload(MIB)

        asyncio.run(check())

    @pytest.mark.parametrize("length", [1, 4_096, 65_536])
    def test_no_byte_of_a_small_extent_can_change_unseen(self, rig: Rig, run: Run, length: int) -> None:
        assert run(rig.shelf.put(b"a", payload(length)))
        (extent,) = run(rig.shelf.extents(b"a"))
        for at in sorted({0, length // 3, length // 2, length - 1}):
            self.flip(rig, extent, at)
            for offset, wanted in ((0, length), (length - 1, 1)):
                with pytest.raises(Corrupt):
                    run(rig.segments.read(extent, offset, wanted))
            self.flip(rig, extent, at)
            assert run(rig.segments.read(extent, 0, length)) == payload(length)

    def test_no_byte_of_a_large_extent_can_change_unseen(self, tmp_path: Path, run: Run) -> None:
        length = 5 * BLOCK_BYTES + 100
        with self.opened(tmp_path) as rig:
            (extent,) = run(rig.shelf.put(b"a", payload(length)))
            end = length + self.trailer_bytes(extent)
            offsets = sorted({*range(0, end, BLOCK_BYTES // 2), length - 1, *range(length, end)})
        for at in offsets:
            # Opened anew each time: what an engine keeps in memory must not be what is compared.
            with self.opened(tmp_path) as rig:
                self.flip(rig, extent, at)
                with pytest.raises(Corrupt):
                    run(rig.segments.read(extent, 0, length))
                self.flip(rig, extent, at)
        with self.opened(tmp_path) as rig:
            assert run(rig.segments.read(extent, 0, length)) == payload(length)

    def test_damage_in_one_block_leaves_the_others_readable(self, rig: Rig, run: Run) -> None:
        data = payload(4 * BLOCK_BYTES)
        (extent,) = run(rig.shelf.put(b"a", data))
        self.flip(rig, extent, 2 * BLOCK_BYTES + 7)
        assert run(rig.segments.read(extent, 0, 2 * BLOCK_BYTES)) == data[: 2 * BLOCK_BYTES]
        assert run(rig.segments.read(extent, 3 * BLOCK_BYTES, 10)) == data[3 * BLOCK_BYTES :][:10]
        with pytest.raises(Corrupt):
            run(rig.segments.read(extent, 2 * BLOCK_BYTES - 1, 2))

    def test_a_segment_that_is_gone_is_not_found(self, rig: Rig, run: Run) -> None:
        assert rig.segments.read_now(Extent(77, 64, 10, 0), 0, 10) is None
        with pytest.raises(NotFound):
            run(rig.segments.read(Extent(77, 64, 10, 0), 0, 10))

    def test_only_verified_blocks_are_sendable(self, rig: Rig, run: Run) -> None:
        data = payload(4 * BLOCK_BYTES)
        (extent,) = run(rig.shelf.put(b"a", data))
        assert rig.segments.sendable(extent, 0, len(data)) is None
        run(rig.segments.read(extent, BLOCK_BYTES, 2 * BLOCK_BYTES))
        assert (rig.segments.sendable(extent, BLOCK_BYTES, 2 * BLOCK_BYTES) is not None) == self.sends_files
        assert rig.segments.sendable(extent, BLOCK_BYTES - 1, 2) is None
        assert rig.segments.sendable(extent, 0, len(data)) is None

    def test_live_bytes_follow_references(self, rig: Rig, run: Run) -> None:
        async def check() -> None:
            shelf = rig.shelf
            (extent,) = await shelf.write(b"a", payload(1_000))
            segment = extent.segment
            assert self.live_bytes(rig, segment) == 0
            await rig.meta.transact(lambda txn: shelf.assign(txn, b"a", [extent]))
            assert self.live_bytes(rig, segment) == 1_000
            await shelf.copy(b"a", b"b")
            await shelf.copy(b"b", b"c")
            assert self.live_bytes(rig, segment) == 1_000
            await shelf.delete(b"a")
            await shelf.delete(b"c")
            assert self.live_bytes(rig, segment) == 1_000
            assert await shelf.get(b"b") == payload(1_000)
            await shelf.delete(b"b")
            assert self.live_bytes(rig, segment) == 0

        run(check())

    def test_a_moved_reference_stays_live(self, rig: Rig, run: Run) -> None:
        """Sharing and discarding in one transaction hands an extent over to another owner."""

        async def check() -> None:
            (extent,) = await rig.shelf.put(b"a", payload(1_000))

            async def hand_over(txn: Any) -> None:
                packed = await txn.get(key_of(b"a"))
                await rig.segments.share(txn, unpack_extents(packed), key_of(b"a"), key_of(b"b"))
                await rig.segments.discard(txn, unpack_extents(packed), key_of(b"a"))
                txn.put(key_of(b"b"), packed)
                txn.delete(key_of(b"a"))

            await rig.meta.transact(hand_over)
            assert self.live_bytes(rig, extent.segment) == 1_000
            await rig.shelf.delete(b"b")
            assert self.live_bytes(rig, extent.segment) == 0

        run(check())

    def test_values_outlive_the_store_that_wrote_them(self, tmp_path: Path, run: Run) -> None:
        values = {b"%d" % n: payload(size, n) for n, size in enumerate((1, 5_000, 65_537, MIB + 3, 9 * MIB))}
        with self.opened(tmp_path) as rig:
            for name, value in values.items():
                run(rig.shelf.put(name, value))
        with self.opened(tmp_path) as rig:
            assert {name: run(rig.shelf.get(name)) for name in run(rig.shelf.names())} == values
            assert run(rig.shelf.put(b"more", payload(100)))
            assert run(rig.shelf.get(b"more")) == payload(100)

    def test_a_closed_store_takes_nothing(self, tmp_path: Path, run: Run) -> None:
        with self.opened(tmp_path) as rig:
            stream = rig.segments.stream(key_of(b"late"))
            rig.segments.close()
            with pytest.raises(Closed):
                run(rig.segments.append(key_of(b"a"), b"1"))
            with pytest.raises(Closed):
                rig.segments.stream(key_of(b"a"))
            run(stream.abort())

    def test_a_forked_child_is_refused_and_its_parent_undisturbed(self, rig: Rig, run: Run) -> None:
        (kept,) = run(rig.shelf.put(b"before", payload(5_000)))
        stream = rig.segments.stream(key_of(b"half"))
        run(stream.write(payload(2 * MIB)))
        context = multiprocessing.get_context("fork")
        mine, theirs = context.Pipe()
        child = context.Process(target=_try_everything, args=(rig.segments, stream, kept, theirs))
        child.start()
        assert mine.recv() == ["ForkedHandle"] * 7
        child.join()
        run(stream.write(payload(MIB, 2)))
        (extent,) = run(stream.finish())
        assert run(rig.segments.read(extent, 0, extent.length)) == payload(2 * MIB) + payload(MIB, 2)
        assert run(rig.shelf.put(b"after", payload(5_000)))
        assert run(rig.segments.read(kept, 0, 5_000)) == payload(5_000)


async def _gathered(segments: Segments, extent: Extent, offset: int, length: int) -> bytes:
    return b"".join([chunk async for chunk in segments.chunks(extent, offset, length)])


def _try_everything(segments: Segments, stream: Any, kept: Extent, answer: Connection) -> None:
    async def chunked() -> None:
        async for _ in segments.chunks(kept, 0, 10):
            pass

    attempts: list[Callable[[], Any]] = [
        lambda: drive(segments.append(OWNER, b"1")),
        lambda: drive(segments.place(OWNER, b"1")),
        lambda: drive(stream.write(bytes(2 * MIB))),
        lambda: segments.read_now(kept, 0, 10),
        lambda: drive(segments.read(kept, 0, 10)),
        lambda: drive(chunked()),
        lambda: segments.sendable(kept, 0, 10),
    ]
    outcomes = []
    for attempt in attempts:
        try:
            outcomes.append(repr(attempt()))
        except BaseException as error:
            outcomes.append("ForkedHandle" if isinstance(error, ForkedHandle) else repr(error))
    segments.close()
    answer.send(outcomes)
