"""A reader beside a writer gets one version whole, or an error that says to try again; never a mixture.

The writer strikes after each of the reader's look-ups in turn.
"""

import itertools

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import NotFound, Unavailable
from isotherm.objects import garbage
from isotherm.objects.model import Versioning
from isotherm.objects.space import Space
from tests.objects.stores import MIB, TENANT, Interleaved, compact, fetch, get, live_bytes, open_engines, payload, sweep

SIZES = {"small": 1_000, "streamed": 3 * MIB}


@pytest.fixture
def sealed(tmp_path, metadata):
    """Makes a store of objects whose segments are sealed, so that they can be compacted away."""
    opened = []

    def make(**objects):
        path = tmp_path / f"store-{len(opened)}"
        engines = open_engines(path)
        drive(engines.space().create_bucket("box"))
        for key, data in objects.items():
            drive(engines.space().put("box", key, data))
        engines.close()
        opened.append(open_engines(path, seed=2))
        return opened[-1]

    yield make
    for engines in opened:
        engines.close()


@pytest.mark.parametrize("kind", SIZES)
@pytest.mark.parametrize("strike", ["overwrite", "move", "overwrite and move"])
def test_a_read_while_the_object_is_overwritten_or_moved(sealed, kind, strike):
    old, new = payload(SIZES[kind], 1), payload(SIZES[kind] + 5, 2)
    for reads in itertools.count(1):
        engines = sealed(key=old, other=b"other")
        space = engines.space()

        async def event(engines=engines, space=space):
            if "overwrite" in strike:
                await space.put("box", "key", new)
                await garbage.sweep(engines.meta, engines.segments, TENANT)
            if "move" in strike:
                await compact(engines)

        meta = Interleaved(engines.meta, reads, event)
        reader = Space(TENANT, meta, engines.segments, engines.clock, engines.ids)
        try:
            seen = drive(fetch(reader, "box", "key"))
        except Unavailable:
            assert "overwrite" in strike
        else:
            assert seen in ((old, new) if "overwrite" in strike else (old,))
        if not meta.happened:
            assert reads > 2
            return


def test_a_small_object_that_was_overwritten_and_whose_segment_is_gone(sealed):
    """The name "null" stands for another version by then: its bytes must not be taken for those that were opened."""
    engines = sealed(key=payload(1_000, 1))
    space = engines.space()
    reading = drive(space.open("box", "key"))
    drive(space.put("box", "key", payload(1_000, 2)))
    drive(compact(engines))
    with pytest.raises(Unavailable):
        drive(reading.read(0, 1_000))
    assert get(space, "box", "key") == payload(1_000, 2)


def test_a_large_object_is_held_from_opening_to_closing(sealed):
    engines = sealed(key=payload(3 * MIB, 1), other=payload(2 * MIB, 3))
    space = engines.space()
    reading = drive(space.open("box", "key"))
    drive(space.put("box", "key", payload(3 * MIB, 2)))
    drive(space.delete("box", "other"))
    for _ in range(2):
        assert sweep(engines) == 0
        drive(compact(engines))
        assert drive(reading.read(0, 3 * MIB)) == payload(3 * MIB, 1)
    reading.close()
    assert sweep(engines) == 2
    assert live_bytes(engines) == 3 * MIB


def test_garbage_from_before_a_reader_goes_on_being_collected(sealed):
    engines = sealed(**{f"key-{n:02}": payload(2 * MIB, n) for n in range(6)})
    space = engines.space()
    for number in range(3):
        drive(space.delete("box", f"key-{number:02}"))
    with drive(space.open("box", "key-05")) as reading:
        for number in range(3, 6):
            drive(space.delete("box", f"key-{number:02}"))
        assert sum(drive(garbage.sweep(engines.meta, engines.segments, TENANT, limit=1)) for _ in range(5)) == 3
        assert live_bytes(engines) == 3 * 2 * MIB
        assert drive(reading.read(0, 2 * MIB)) == payload(2 * MIB, 5)
    assert sweep(engines) == 3
    assert live_bytes(engines) == 0


@pytest.mark.parametrize("kind", SIZES)
def test_an_opened_object_that_was_moved_is_found_again(sealed, kind):
    data = payload(SIZES[kind])
    engines = sealed(key=data)
    space = engines.space()
    reading = drive(space.open("box", "key"))
    before = live_bytes(engines)
    drive(compact(engines))
    assert drive(reading.read(0, len(data))) == data
    assert live_bytes(engines) == before


def test_a_reader_that_says_so_keeps_what_it_has_opened(sealed):
    engines = sealed(key=payload(1_000, 1))
    space = engines.space()

    async def read():
        async with engines.segments.reading():
            reading = await space.open("box", "key")
            await space.put("box", "key", b"new")
            await compact(engines)
            return await reading.read(0, 1_000)

    assert drive(read()) == payload(1_000, 1)


def test_a_version_asked_for_by_its_id_is_found_while_it_moves_between_tables(engines, space):
    """Removing the newest makes its predecessor live: who looks for that one meanwhile must not miss it."""
    drive(space.put("box", "null", b"old"))
    drive(space.set_versioning("box", Versioning.ENABLED))
    for key in ("null", "id"):
        for reads in itertools.count(1):
            old = "null" if key == "null" else drive(space.put("box", key, b"old")).version_id
            new = drive(space.put("box", key, b"new")).version_id

            async def event(key=key, new=new):
                await space.delete("box", key, new)

            meta = Interleaved(engines.meta, reads, event)
            reader = Space(TENANT, meta, engines.segments, engines.clock, engines.ids)
            assert drive(fetch(reader, "box", key, old)) == b"old"
            assert dict(drive(reader.tags("box", key, old))[0]) == {}
            if not meta.happened:
                assert reads > 3
                break


@pytest.mark.parametrize("change", ["undelete", "overwrite"])
def test_what_stands_for_a_deleted_key_is_told_as_it_was_in_one_instant(sealed, change):
    """The marker that is named is the newest version, and there is one, unless the key is there again."""
    for reads in itertools.count(1):
        engines = sealed()
        space = engines.space()
        drive(space.set_versioning("box", Versioning.ENABLED))
        drive(space.put("box", "key", b"old"))
        marker = drive(space.delete("box", "key")).version_id

        async def event(space=space, marker=marker):
            if change == "undelete":
                await space.delete("box", "key", marker)
            else:
                await space.put("box", "key", b"new")
                await space.put("box", "key", b"newest")

        meta = Interleaved(engines.meta, reads, event)
        reader = Space(TENANT, meta, engines.segments, engines.clock, engines.ids)
        try:
            seen = drive(reader.head("box", "key")).size
        except NotFound as missing:
            seen = missing.detail["marker"]
        assert seen in (marker, len("old" if change == "undelete" else "newest"))
        if not meta.happened:
            break
    assert reads > 2
