"""Pages of keys against a brute-force model: prefix × delimiter × after × limit, over keys that are hard to order."""

import asyncio
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isotherm.devices.waiting import drive
from isotherm.errors import Invalid, NotFound
from isotherm.objects.space import Space
from tests.objects.stores import TENANT, many, open_engines

SHARED = "s" * 600
PIECES = ["a", "b", "/", "//", "\0", "\x01", "é", "~", "\uffff", "\U0010ffff", "a/", "-"]
KEYS = sorted(
    {
        *PIECES,
        *("".join(pieces) for pieces in itertools.product(PIECES[:7], repeat=3)),
        *(f"dir{n % 7}/sub{n % 3}/{n:03}" for n in range(120)),
        *(SHARED + tail for tail in ("", "a", "a/b", "b\0", "\0", "/" + "x" * 400, "/" + "x" * 400 + "/y", "é" * 200)),
        *("k" * 1023 + end for end in "ab"),
        "k" * 511,
        "k" * 510,
        "\U0010ffff" * 256,
        "\0" * 1024,
        "\0" * 512,
    },
    key=str.encode,
)


def model(keys, prefix, delimiter, after, limit):
    """(shown, whether more follow): the keys and common prefixes of one page, in order, by the letter of S3's manual."""
    shown = []
    done = after if delimiter and _common(after, prefix, delimiter) == after else None
    for key in keys:
        if not key.startswith(prefix) or key.encode() <= after.encode() or (done and key.startswith(done)):
            continue
        row = _common(key, prefix, delimiter) or key
        if shown and shown[-1] == row != key:
            continue
        shown.append(row)
    return shown[:limit], len(shown) > limit > 0


def _common(key, prefix, delimiter):
    if not delimiter or not key.startswith(prefix):
        return None
    at = key.find(delimiter, len(prefix))
    return None if at < 0 else key[: at + len(delimiter)]


def merged(page):
    """Keys and common prefixes of a page in one order."""
    assert [*page.prefixes] == sorted(page.prefixes, key=str.encode)
    return sorted([entry.key for entry in page.entries] + list(page.prefixes), key=str.encode)


@pytest.fixture(scope="module")
def space(tmp_path_factory, metadata_of_module):
    engines = open_engines(tmp_path_factory.mktemp("listing"))
    space = engines.space()
    drive(space.create_bucket("box"))
    drive(space.create_bucket("before"))

    async def fill():
        await many([space.put("box", key, key.encode()[:50]) for key in KEYS])
        await many([space.put("before", key, b"") for key in KEYS[::3]])

    asyncio.run(fill())
    yield space
    engines.close()


fragments = st.one_of(
    st.just(""),
    st.sampled_from(KEYS).flatmap(lambda key: st.integers(0, len(key)).map(lambda at: key[:at])),
    st.sampled_from(KEYS),
    st.sampled_from(KEYS).map(lambda key: key + "\0"),
    st.lists(st.sampled_from(PIECES), max_size=3).map("".join),
    st.sampled_from(["s" * 601, "t", "dir3/sub", "z" * 1024, "z" * 5_000]),
)
delimiters = st.sampled_from(["", "/", "/", "/", "//", "a", "é", "\0", "sub", "~", "x" * 400, "nowhere"])


@settings(max_examples=400, deadline=None)
@given(prefix=fragments, delimiter=delimiters, after=fragments, limit=st.sampled_from([0, 1, 2, 3, 7, 50, 1_000]))
def test_a_page_is_what_the_model_says(space, prefix, delimiter, after, limit):
    page = drive(space.list("box", prefix=prefix, delimiter=delimiter, after=after, limit=limit))
    shown, more = model(KEYS, prefix, delimiter, after, limit)
    assert merged(page) == shown
    assert page.next_key == (shown[-1] if more else None)
    for entry in page.entries:
        assert entry.size == len(entry.key.encode()[:50])


@settings(max_examples=60, deadline=None)
@given(prefix=fragments, delimiter=delimiters, limit=st.sampled_from([1, 2, 3, 10, 99]))
def test_pages_together_are_the_whole(space, prefix, delimiter, limit):
    seen, after = [], ""
    while after is not None:
        page = drive(space.list("box", prefix=prefix, delimiter=delimiter, after=after, limit=limit))
        seen += merged(page)
        assert len(seen) <= len(KEYS)
        after = page.next_key
    assert seen == model(KEYS, prefix, delimiter, "", len(KEYS) + 1)[0]


class Metered:
    """The engine's own snapshots, counting the rows they hand out."""

    def __init__(self, meta):
        self.meta = meta
        self.rows = 0

    def snapshot(self):
        return MeteredSnapshot(self, self.meta.snapshot())


class MeteredSnapshot:
    def __init__(self, meter, inner):
        self.meter = meter
        self.inner = inner

    async def get(self, key):
        return await self.inner.get(key)

    async def range(self, *args, **options):
        found = await self.inner.range(*args, **options)
        self.meter.rows += len(found)
        return found

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.inner.close()


def test_common_prefixes_cost_what_they_show_and_not_what_lies_beneath(tmp_path, metadata):
    engines = open_engines(tmp_path)
    space = engines.space()
    drive(space.create_bucket("box"))
    costs = []
    for files in (40, 400):

        async def fill(files=files):
            await many([space.put("box", f"d{d}/{n:04}", b"") for d in range(7) for n in range(files)])

        asyncio.run(fill())
        meter = Metered(engines.meta)
        metered = Space(TENANT, meter, engines.segments, engines.clock, engines.ids)
        page = drive(metered.list("box", delimiter="/"))
        assert page.prefixes == [f"d{d}/" for d in range(7)]
        costs.append(meter.rows)
    assert costs[0] == costs[1] < 7 * 40
    engines.close()


def test_a_page_is_one_state_while_writers_go_on(tmp_path, metadata):
    """A writer moves one object from key to key; no page ever shows it twice or not at all."""
    engines = open_engines(tmp_path)
    space = engines.space()
    drive(space.create_bucket("box"))
    for number in range(50):
        drive(space.put("box", f"fix-{number:02}", b""))
    drive(space.put("box", "a-wanderer", b""))

    async def wander(stop):
        places = itertools.cycle(["z-wanderer", "m-wanderer", "a-wanderer"])
        at = "a-wanderer"
        while not stop.is_set():
            to = next(places)
            await space.put("box", to, b"")
            await space.delete("box", at)
            at = to

    async def watch():
        stop = asyncio.Event()
        wandering = asyncio.create_task(wander(stop))
        for _ in range(200):
            page = await space.list("box")
            places = [entry.key for entry in page.entries if "wanderer" in entry.key]
            assert len(places) in (1, 2)  # two while it is between its put and its delete
            assert len(page.entries) == 50 + len(places)
            await asyncio.sleep(0)
        stop.set()
        await wandering

    asyncio.run(watch())
    engines.close()


def test_what_cannot_be_listed(space):
    with pytest.raises(NotFound):
        drive(space.list("nowhere"))
    for options in ({"prefix": "\ud800"}, {"delimiter": "\ud800"}, {"after": "\ud800"}):
        for call in (space.list, space.list_versions, space.uploads):
            with pytest.raises(Invalid):
                drive(call("box", **options))
