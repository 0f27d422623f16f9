"""A store that nothing has happened to is clean, whatever it has been through, and fsck knows every byte of it."""

import asyncio
import threading
from contextlib import suppress

import pytest

from isotherm.clock import VirtualClock
from isotherm.devices.waiting import drive
from isotherm.errors import Unavailable
from isotherm.movers.compaction import Compaction, CompactionSettings
from isotherm.movers.fsck.check import QUICK
from isotherm.movers.fsck.findings import Kind
from isotherm.objects import garbage
from isotherm.objects.referrer import PartReferrer, VersionReferrer
from tests.movers.stores import (
    SMALL_SEGMENTS,
    checked,
    checked_at,
    contents,
    files,
    fill,
    kinds,
    opened,
    repaired_at,
    space_of,
)
from tests.objects.stores import compact, payload, rows_of


def adds_up(space):
    return space.files_bytes == (
        space.header_bytes + space.live_bytes + space.dead_bytes + space.gap_bytes + space.tail_bytes
    )


def test_a_store_with_something_of_everything_is_clean(engines, tmp_path, filled):
    assert set(rows_of(engines)) == set("BbLVNUPMCGIX"), "the store must have rows in every table"
    report = checked(engines, tmp_path)
    assert kinds(report) == {}
    assert report.exit_code == 0
    assert report.space.files_bytes == sum(file.stat().st_size for file in files(filled).values())
    assert adds_up(report.space)
    assert report.space.gap_bytes == report.space.tail_bytes == 0
    assert report.space.verified_bytes == report.space.live_bytes > 1_000_000


def test_the_numbers_are_those_of_the_store(engines, tmp_path, held):
    objects = checked(engines, tmp_path).objects
    rows = rows_of(engines)
    assert (objects.buckets, objects.uploads, objects.garbage) == (3, 1, len(rows["X"]))
    assert (objects.live, objects.older) == (len(rows["L"]), len(rows["V"]))
    assert objects.live + objects.older - objects.markers == len(held)
    assert objects.logical_bytes == sum(map(len, held.values()))
    assert objects.feed_records > len(held)
    assert (objects.parts, objects.manifests) == (len(rows["P"]), len(rows["M"]))


def test_it_stays_clean_swept_and_compacted(engines, tmp_path, held):
    while drive(garbage.sweep(engines.meta, engines.segments, 1)):
        continue
    assert kinds(checked(engines, tmp_path)) == {}
    engines.close()
    engines = opened(tmp_path / "store", seed=5)
    before = checked(engines, tmp_path).space
    drive(compact(engines))
    report = checked(engines, tmp_path)
    assert kinds(report) == {}
    assert report.space.live_bytes == before.live_bytes
    assert report.space.dead_bytes < before.dead_bytes
    assert contents(engines) == held
    engines.close()


def test_a_quick_check_reads_no_payload(engines, tmp_path):
    report = checked(engines, tmp_path, depth=QUICK)
    assert kinds(report) == {}
    assert report.space.verified_bytes == 0
    assert not report.payload_verified


def test_an_empty_store_is_clean(tmp_path):
    report = checked_at(tmp_path / "empty", tmp_path)
    assert kinds(report) == {}
    assert report.space.files_bytes == 0


def test_what_is_open_and_what_a_dead_process_left_is_no_damage(tmp_path):
    engines = opened(tmp_path / "store")
    drive(fill(space_of(engines)))
    stream = engines.segments.stream(b"o someone")
    drive(stream.write(payload(300_000)))
    report = checked(engines, tmp_path)
    assert kinds(report) == {}
    assert report.space.tail_bytes >= 0
    assert adds_up(report.space)
    drive(stream.abort())
    # the process dies: its locks go, its segments stay open in the metadata
    engines.meta.close()
    engines.segments._writers.clear()
    for lane in engines.segments._lanes._idle.values():
        for one in lane:
            one.close()
    report = checked_at(tmp_path / "store", tmp_path)
    assert set(kinds(report)) <= {Kind.SEGMENT_CRASHED.value}
    assert report.exit_code == 0


def test_nothing_changes_by_being_checked(filled, tmp_path):
    def state():
        return {path.name: path.read_bytes() for path in files(filled).values()}, held_rows()

    def held_rows():
        engines = opened(filled, seed=7)
        try:
            return rows_of(engines), rows_of(engines, tenant=0)
        finally:
            engines.close()

    before = state()
    checked_at(filled, tmp_path)
    assert state() == before
    assert not list((tmp_path).glob("fsck-*")), "scratch is removed"


def test_a_repair_of_a_clean_store_does_nothing(filled, tmp_path, held):
    before, after = repaired_at(filled, tmp_path)
    assert kinds(before) == {}
    assert after is before
    engines = opened(filled, seed=4)
    assert contents(engines) == held
    engines.close()


@pytest.mark.parametrize("rounds", [4])
def test_checked_hot_beside_writers_and_compaction_it_finds_nothing(tmp_path, rounds):
    """Writers overwrite, delete, copy and upload, and segments are compacted and unlinked, while fsck looks on."""
    engines = opened(tmp_path / "store", clock=VirtualClock(), segments=SMALL_SEGMENTS)
    drive(fill(space_of(engines)))
    ended = threading.Event()
    counts = {"written": 0, "unlinked": 0}
    thread = threading.Thread(target=lambda: asyncio.run(_busy(engines, ended, counts)))
    thread.start()
    reports = []
    try:
        while len(reports) < rounds or counts["unlinked"] < 5 or counts["written"] < 100:
            assert thread.is_alive()
            reports.append(checked(engines, tmp_path))
    finally:
        ended.set()
        thread.join()
    for report in reports:
        assert kinds(report) == {}, report.findings
        assert adds_up(report.space)
    assert kinds(checked(engines, tmp_path)) == {}
    engines.close()


async def _busy(engines, ended, counts):
    space = space_of(engines)

    async def writer(number):
        turn = 0
        while not ended.is_set():
            turn += 1
            with suppress(Unavailable):  # compaction that does not let segments settle may take one too early
                await write(number, turn)
            counts["written"] += 1

    async def write(number, turn):
        key = f"busy {number} {turn % 5}"
        await space.put("kept", key, payload(turn * 997 % 70_000, turn), tags={"turn": str(turn)})
        await space.copy("kept", key, "plain", key)
        if turn % 3 == 0:
            await space.delete("plain", key)
        if turn % 20 == 0:
            await space.put("plain", f"busy large {number}", payload(1_100_000, turn))

    async def mover():
        referrers = {b"o": VersionReferrer(), b"p": PartReferrer()}
        settings = CompactionSettings(dead_fraction=0.2, settle_s=0, step_bytes=200_000)
        compaction = Compaction(engines.segments, engines.meta, referrers, clock=engines.clock, settings=settings)
        while not ended.is_set():
            counts["unlinked"] += len((await compaction.step()).unlinked)
            await garbage.sweep(engines.meta, engines.segments, 1)
            await asyncio.sleep(0)

    await asyncio.gather(mover(), *map(writer, range(3)))
