"""Searches by tags that walk far: none is lost to the time a snapshot lasts, none walks what cannot be live."""

import pytest

from isotherm.devices.waiting import drive
from isotherm.objects.model import Versioning
from isotherm.objects.space import Space
from tests.objects.stores import TENANT, sweep


class Slow:
    """The engine itself, but that every read in a range takes a while; `reads` counts them."""

    def __init__(self, meta, clock, read_s):
        self.meta = meta
        self.clock = clock
        self.read_s = read_s
        self.reads = 0

    def __getattr__(self, name):
        return getattr(self.meta, name)

    def snapshot(self):
        return SlowSnapshot(self, self.meta.snapshot())


class SlowSnapshot:
    def __init__(self, meta, inner):
        self.meta = meta
        self.inner = inner

    async def get(self, key):
        return await self.inner.get(key)

    async def range(self, *args, **options):
        self.meta.reads += 1
        self.meta.clock.advance(self.meta.read_s)
        return await self.inner.range(*args, **options)

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.inner.close()


def slow(engines, read_s=0.02):
    meta = Slow(engines.meta, engines.clock, read_s)
    return meta, Space(TENANT, meta, engines.segments, engines.clock, engines.ids)


def found(space, wanted, **options):
    return [one.key for one in drive(space.find(wanted, **options))]


@pytest.mark.parametrize("both", [(), (299,), (0, 150, 151)])
def test_a_search_may_take_longer_than_a_snapshot_lasts(space, engines, both):
    for number in range(300):
        tags = {"a": "1", "b": "1"} if number in both else {"ab"[number % 2]: "1"}
        drive(space.put("box", f"{number:03}", b"", tags=tags))
    meta, searching = slow(engines)
    assert found(searching, {"a": "1", "b": "1"}) == [f"{number:03}" for number in both]
    assert meta.reads > 250
    assert len(found(searching, {"a": "1"})) == 150 + sum(number % 2 for number in both)


def test_more_tags_than_steps_to_a_snapshot(space, engines):
    wanted = {f"tag-{number}": "1" for number in range(500)}
    drive(space.put("box", "all", b"", tags=wanted))
    drive(space.put("box", "one", b"", tags={"tag-0": "1"}))
    assert found(slow(engines, 0.001)[1], wanted) == ["all"]


def test_old_versions_of_a_key_are_stepped_over(space, engines):
    drive(space.set_versioning("box", Versioning.ENABLED))
    for _ in range(100):
        drive(space.put("box", "key", b"", tags={"a": "1"}))
    drive(space.put("box", "key", b""))
    drive(space.put("box", "later", b"", tags={"a": "1"}))
    meta, searching = slow(engines)
    assert found(searching, {"a": "1"}) == ["later"]
    assert meta.reads < 10


def test_a_version_is_found_behind_rows_that_a_newer_one_left(space, engines):
    drive(space.set_versioning("box", Versioning.ENABLED))
    drive(space.put("box", "key", b"", tags={"a": "1"}))
    many = {"a": "1"} | {f"tag-{number}": "1" for number in range(60)}
    newer = drive(space.put("box", "key", b"", tags=many)).version_id
    drive(space.delete("box", "key", newer))
    assert found(space, {"a": "1"}) == ["key"]
    sweep(engines)
    assert found(space, {"a": "1"}) == ["key"]
