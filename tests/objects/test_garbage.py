"""Dismantling what deletes left behind: in any number of attempts, whatever dies in between."""

import asyncio
import itertools

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import Corrupt
from isotherm.objects import garbage
from isotherm.objects.space import Space
from tests.objects.stores import MIB, TENANT, get, live_bytes, many, payload, rows_of, sweep

PARTS = 1_100  # more than one transaction dismantles, twice over
TAGS = {f"tag-{n:05}": "x" for n in range(1_100)}


class Died(Exception):
    """The process is no more, as far as the engine can tell."""


class MortalMeta:
    """The engine itself, of a process that dies right before its n-th commit, or right after it."""

    def __init__(self, meta, commits, *, after):
        self.meta = meta
        self.left = commits
        self.after = after

    def __getattr__(self, name):
        return getattr(self.meta, name)

    async def transact(self, fn):
        self.left -= 1
        if self.left == 0 and not self.after:
            raise Died
        outcome = await self.meta.transact(fn)
        if self.left == 0:
            raise Died
        return outcome


def leave_garbage(engines, space):
    """A manifest of many parts, one of one part, and a set of many tags, all out of reach."""
    small = Space(TENANT, engines.meta, engines.segments, engines.clock, engines.ids, part_bytes_least=1)
    upload = drive(small.create_upload("box", "parts", tags=TAGS)).id

    async def send():
        return await many([small.put_part("box", "parts", upload, n, b"12345") for n in range(1, PARTS + 1)])

    named = [(part.number, part.etag, None) for part in asyncio.run(send())]
    drive(small.complete_upload("box", "parts", upload, named))
    drive(space.put("box", "large", payload(2 * MIB), tags=TAGS))
    for key in ("parts", "large"):
        drive(space.delete("box", key))


def test_nothing_is_left(engines, space):
    leave_garbage(engines, space)
    assert live_bytes(engines) == PARTS * 5 + 2 * MIB
    assert sweep(engines) > 4
    assert live_bytes(engines) == 0
    assert set(rows_of(engines)) == {"B", "b"}
    assert sweep(engines) == 0


@pytest.mark.parametrize("after", [False, True])
def test_a_sweep_that_dies_is_finished_by_the_next(engines, space, after):
    drive(space.put("box", "kept", payload(2 * MIB, 7), tags={"tag-00007": "x"}))
    leave_garbage(engines, space)
    for commits in itertools.count(1):
        mortal = MortalMeta(engines.meta, commits, after=after)
        try:
            while drive(garbage.sweep(mortal, engines.segments, TENANT)):
                continue
        except Died:
            assert live_bytes(engines) >= 2 * MIB
            assert get(space, "box", "kept") == payload(2 * MIB, 7)
        else:
            break
    assert live_bytes(engines) == 2 * MIB
    assert [found.key for found in drive(space.find({"tag-00007": "x"}))] == ["kept"]
    assert {table: len(rows) for table, rows in rows_of(engines).items()} == {
        "B": 1,
        "b": 1,
        "L": 1,
        "M": 1,
        "P": 1,
        "I": 1,
    }


def test_sweepers_beside_each_other(engines, space):
    leave_garbage(engines, space)

    async def race():
        sweeps = [garbage.sweep(engines.meta, engines.segments, TENANT) for _ in range(4)]
        while any(await asyncio.gather(*sweeps)):
            sweeps = [garbage.sweep(engines.meta, engines.segments, TENANT) for _ in range(4)]

    asyncio.run(race())
    assert live_bytes(engines) == 0
    assert set(rows_of(engines)) == {"B", "b"}


def test_other_tenants_garbage_is_theirs(engines, space):
    other = engines.space(2)
    drive(other.create_bucket("box"))
    for owner in (space, other):
        drive(owner.put("box", "large", payload(2 * MIB)))
        drive(owner.delete("box", "large"))
    assert sweep(engines) == 1
    assert live_bytes(engines) == 2 * MIB
    assert sweep(engines, tenant=2) == 1
    assert live_bytes(engines) == 0


def test_garbage_that_cannot_be_read_holds_up_no_other(engines, space):
    for number in range(6):
        drive(space.put("box", f"{number}", payload(2 * MIB, number)))
    damaged = sorted(rows_of(engines)["P"].items())[2]

    async def damage(txn):
        txn.put(damaged[0], b"\xc1")

    drive(engines.meta.transact(damage))
    drive(space.delete_many("box", [(f"{number}", None) for number in range(6)]))
    for _ in range(2):
        with pytest.raises(Corrupt):
            drive(garbage.sweep(engines.meta, engines.segments, TENANT, limit=4))
        with pytest.raises(Corrupt):
            drive(garbage.sweep(engines.meta, engines.segments, TENANT, limit=4))
    assert live_bytes(engines) == 2 * MIB
    assert len(rows_of(engines)["X"]) == 1
