"""Credentials on a store whose reads take their time: nobody waits who need not, and nobody for ever."""

import asyncio

import pytest

from isotherm.clock import VirtualClock
from isotherm.devices.waiting import drive
from isotherm.errors import SlowDown, Unavailable
from isotherm.ids import SeededIds
from isotherm.meta.lmdb import LmdbMeta
from isotherm.tenancy import generation
from isotherm.tenancy.identity import FRESH_S, REFRESH_S, STRANGERS_MOST, Credentials, NotAtHand
from isotherm.tenancy.keystore import FileKeys

IDS = SeededIds(1)


class Slow:
    """The engine itself, but that reads wait until they are let go on, or fail."""

    def __init__(self, meta):
        self.meta = meta
        self.reads = 0
        """But for those of the counter that says whether anything has changed."""
        self.failure = None
        self.open = asyncio.Event()
        self.open.set()

    def __getattr__(self, name):
        return getattr(self.meta, name)

    async def get(self, key):
        self.reads += key != generation.ROW
        await asyncio.sleep(0)
        await self.open.wait()
        if self.failure is not None:
            raise self.failure
        return await self.meta.get(key)


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def slow(tmp_path, clock):
    with LmdbMeta.open(tmp_path, clock=clock, ids=IDS, role="server", map_bytes=1 << 28, sync=False) as meta:
        yield Slow(meta)


@pytest.fixture
def credentials(slow, tmp_path, clock):
    return Credentials(slow, FileKeys(tmp_path, IDS), clock, IDS)


async def settled():
    for _ in range(10):
        await asyncio.sleep(0)


def test_callers_of_one_key_share_a_read(credentials, slow):
    made = drive(credentials.create())

    async def ask():
        with pytest.raises(NotAtHand):
            credentials.find(made.access_key)
        found = await asyncio.gather(*[credentials.look_up(made.access_key) for _ in range(50)])
        assert found == [made] * 50
        assert slow.reads == 1
        assert credentials.find(made.access_key) == made

    asyncio.run(ask())


def test_a_key_in_use_is_read_again_only_when_something_has_changed(credentials, slow, clock):
    made = drive(credentials.create())

    async def use(times):
        for _ in range(times):
            clock.advance(REFRESH_S)
            assert credentials.find(made.access_key) == made  # at hand, and asked for behind it
            await settled()

    async def history():
        await credentials.generation.renew()
        await credentials.look_up(made.access_key)
        await use(3)
        reads = slow.reads
        await use(40)
        assert slow.reads == reads
        other = await credentials.create()
        await use(1)  # by what was known half a second ago
        with pytest.raises(NotAtHand):
            credentials.find(made.access_key)
        await credentials.look_up(made.access_key)
        assert slow.reads == reads + 1
        await credentials.revoke(other.access_key)
        await credentials.revoke(made.access_key)
        await use(1)
        credentials.find(made.access_key)  # half a second old, and asked for again behind it
        await settled()
        assert credentials.find(made.access_key) is None

    asyncio.run(history())


def test_a_key_is_read_again_after_a_while_whatever_the_counter_says(credentials, slow, clock):
    """A fail-over that lost something may bring the counter back to where it was, by other changes."""
    made = drive(credentials.create())

    async def history():
        await credentials.look_up(made.access_key)
        reads = slow.reads
        for _ in range(int(2 * generation.KEPT_S / REFRESH_S)):
            clock.advance(REFRESH_S)
            try:
                credentials.find(made.access_key)
            except NotAtHand:
                await credentials.look_up(made.access_key)
            await settled()
        assert reads < slow.reads < reads + 8

    asyncio.run(history())


def test_a_store_that_stands_still_makes_nobody_trust_what_is_too_old(credentials, slow, clock):
    made = drive(credentials.create())

    async def use():
        await credentials.look_up(made.access_key)
        slow.open.clear()
        clock.advance(FRESH_S)
        with pytest.raises(NotAtHand):
            credentials.find(made.access_key)
        waiting = asyncio.create_task(credentials.look_up(made.access_key))
        await settled()
        assert not waiting.done()
        slow.failure = Unavailable("gone")
        slow.open.set()
        with pytest.raises(Unavailable):
            await waiting
        with pytest.raises(NotAtHand):
            credentials.find(made.access_key)
        slow.failure = None
        assert await credentials.look_up(made.access_key) == made

    asyncio.run(use())


def test_a_caller_that_goes_away_leaves_the_others_their_answer(credentials, slow):
    made = drive(credentials.create())

    async def use():
        slow.open.clear()
        first, second = (asyncio.create_task(credentials.look_up(made.access_key)) for _ in range(2))
        await settled()
        first.cancel()
        await settled()
        slow.open.set()
        assert await second == made

    asyncio.run(use())


def test_a_flood_of_unknown_keys_does_not_hold_up_those_that_are_known(credentials, slow, clock):
    made = drive(credentials.create())

    async def use():
        await credentials.look_up(made.access_key)
        slow.open.clear()
        flood = [asyncio.create_task(credentials.look_up(f"GUESS{n}")) for n in range(3 * STRANGERS_MOST)]
        await settled()
        assert slow.reads == 1 + STRANGERS_MOST
        clock.advance(FRESH_S)
        known = asyncio.create_task(credentials.look_up(made.access_key))
        await settled()
        slow.open.set()
        assert await known == made
        outcomes = await asyncio.gather(*flood, return_exceptions=True)
        assert [outcome for outcome in outcomes if outcome is not None and not isinstance(outcome, SlowDown)] == []
        assert outcomes.count(None) == STRANGERS_MOST

    asyncio.run(use())
