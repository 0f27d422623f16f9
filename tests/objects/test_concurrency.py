"""Many writers on the same few keys: the outcome is that of some order, and the feed is that order.

Whatever the writers were told, replaying the feed must give what listings show; nothing leaks, and nothing is counted twice.
"""

import asyncio
import random
import threading

import pytest

from isotherm.clock import SystemClock
from isotherm.devices.waiting import drive
from isotherm.errors import Invalid, NotFound, PreconditionFailed, Unavailable
from isotherm.ids import SystemIds
from isotherm.movers.fsck.check import check
from isotherm.objects.model import Attributes, Condition, Versioning
from isotherm.segments.settings import SegmentSettings
from isotherm.settings import Settings
from isotherm.store import compose
from tests.metadata import address
from tests.objects.stores import body, changes, compact, get, live_bytes, payload, rows_of, sweep

KEYS = ["a", "b", "c"]
EXPECTED = (NotFound, Invalid, PreconditionFailed, Unavailable)
SMALL_SEGMENTS = SegmentSettings(segment_bytes=300_000, extent_bytes_most=100_000, idle_lanes=2)


@pytest.fixture
def engines(tmp_path, metadata):
    settings = Settings(tmp_path / "store", segments=SMALL_SEGMENTS, meta=address(tmp_path / "store"))
    opened = compose(settings, role="foreign", clock=SystemClock(), ids=SystemIds())
    drive(opened.space().create_bucket("box"))
    yield opened
    opened.close()


async def write(space, writer, operations):
    """Random operations on the shared keys; (how many of them succeeded and are told in the feed)."""
    choose = random.Random(writer)
    told = 0
    for number in range(operations):
        key, other = choose.choice(KEYS), choose.choice(KEYS)
        data = payload(choose.choice([10, 5_000, 150_000]), writer << 16 | number)
        try:
            match choose.randrange(9):
                case 0 | 1:
                    await space.put("box", key, data, tags={"w": str(writer)})
                    told += 1
                case 2:
                    await space.put("box", key, body(data, declared=False))
                    told += 1
                case 3:
                    await space.put("box", key, data, condition=Condition(if_none_match="*"))
                    told += 1
                case 4:
                    await space.copy("box", key, "box", other, attributes=Attributes({}, {"n": str(number)}))
                    told += 1
                case 5:
                    await space.set_tags("box", key, {f"t{n}": "x" for n in range(choose.choice([1, 60]))})
                    told += 1
                case 6:
                    await space.delete("box", key)
                case 7:
                    entries = (await space.list_versions("box", prefix=key)).entries
                    if entries:
                        await space.delete("box", key, choose.choice(entries).version_id)
                case 8:
                    upload = (await space.create_upload("box", key, tags={"w": "u"})).id
                    part = await space.put_part("box", key, upload, 1, data)
                    await space.complete_upload("box", key, upload, [(1, part.etag, None)])
                    told += 1
        except EXPECTED:
            continue
    return told


def replayed(feed, versioning):
    """Versions of each key from the newest, as (id, whether it is a marker), by the feed alone."""
    state = {key: [] for key in KEYS}
    for change in feed:
        rows = state.get(change.key)
        if change.kind in ("put", "marker"):
            if versioning is not Versioning.ENABLED:
                rows[:] = [row for row in rows if row[0] != "null"]
            rows.insert(0, (change.version_id, change.kind == "marker"))
        elif change.kind == "delete":
            assert change.version_id in [version for version, _ in rows]
            rows[:] = [row for row in rows if row[0] != change.version_id]
        elif change.kind == "tags":
            assert change.version_id in [version for version, _ in rows]
    return {key: rows for key, rows in state.items() if rows}


def assert_consistent(engines, versioning, told, scratch):
    space = engines.space()
    feed = changes(space)
    assert sum(change.kind in ("put", "tags") for change in feed) == told
    assert len({change.cursor for change in feed}) == len(feed)
    listed = {}
    for entry in drive(space.list_versions("box")).entries:
        listed.setdefault(entry.key, []).append((entry.version_id, entry.is_marker))
        if not entry.is_marker:
            assert len(get(space, "box", entry.key, entry.version_id)) == entry.size
    assert listed == replayed(feed, versioning)
    sweep(engines)
    drive(engines.segments.recover())
    report = check(engines.opened(), scratch)
    assert report.exit_code == 0, [finding.text for finding in report.findings]
    for key, rows in listed.items():
        for version, _ in rows:
            drive(space.delete("box", key, version))
    sweep(engines)
    assert live_bytes(engines) == 0
    assert set(rows_of(engines)) <= {"B", "b", "U", "P"}


def prepare(engines, versioning):
    if versioning is not Versioning.UNVERSIONED:
        drive(engines.space().set_versioning("box", versioning))


@pytest.mark.parametrize("versioning", Versioning)
def test_writers_on_one_event_loop(engines, tmp_path, versioning):
    prepare(engines, versioning)

    async def race():
        return sum(await asyncio.gather(*[write(engines.space(), writer, 40) for writer in range(12)]))

    assert_consistent(engines, versioning, asyncio.run(race()), tmp_path)


@pytest.mark.parametrize("versioning", Versioning)
def test_writers_on_threads_beside_compaction(engines, tmp_path, versioning):
    prepare(engines, versioning)
    told = {}
    stop = threading.Event()

    def work(writer):
        told[writer] = drive(write(engines.space(), writer, 40))

    def move():
        while not stop.is_set():
            drive(compact(engines))

    writers = [threading.Thread(target=work, args=(writer,)) for writer in range(6)]
    mover = threading.Thread(target=move)
    for thread in [*writers, mover]:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    mover.join()
    assert len(told) == len(writers)
    assert_consistent(engines, versioning, sum(told.values()), tmp_path)
