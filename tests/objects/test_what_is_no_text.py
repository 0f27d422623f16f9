"""What a program hands in and is no text, number or mapping: refused as `Invalid`, and nothing of it is stored."""

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import Invalid, IsothermError, NotFound
from isotherm.objects.model import Attributes, Body
from isotherm.store import Store
from tests.objects.stores import live_bytes

SURROGATE = "\ud800"
NO_TEXT = [None, 0, 1.5, b"bytes", [], object()]


@pytest.fixture
def store(engines, space):
    drive(space.put("box", "key", b"hello", tags={"a": "b"}))
    return Store(engines)


@pytest.fixture
def upload(space):
    return drive(space.create_upload("box", "large")).id


@pytest.mark.parametrize("odd", [SURROGATE, 5, None, 1.5, b"bytes", True, ["list"]], ids=repr)
def test_attributes_that_no_record_gives_back_are_refused(odd, store, space, upload):
    """An object whose record cannot be read was acknowledged, and lost."""
    before = live_bytes(store.engines)
    attempts = [
        lambda: store.put("box", "odd", b"data", metadata={"name": odd}),
        lambda: drive(space.copy("box", "key", "box", "odd", attributes=Attributes({}, {"name": odd}))),
        lambda: drive(space.create_upload("box", "odd", attributes=Attributes({"content-type": odd}))),
    ]
    if odd is not None:
        attempts.append(lambda: store.put("box", "odd", b"", content_type=odd))
    if not isinstance(odd, list):
        attempts.append(lambda: store.put("box", "odd", b"data", metadata={odd: "value"}))
    for attempt in attempts:
        with pytest.raises(Invalid):
            attempt()
    assert live_bytes(store.engines) == before
    assert [entry.key for entry in store.iterate("box")] == ["key"]
    assert [one.key for one in drive(space.uploads("box")).uploads] == ["large"]


def test_attributes_are_looked_at_before_the_body(store):
    async def pieces():
        raise AssertionError("the body was asked for")
        yield b""

    with pytest.raises(Invalid):
        store.put("box", "odd", Body(pieces()), metadata={"name": SURROGATE})


@pytest.mark.parametrize("odd", [SURROGATE, *NO_TEXT], ids=lambda odd: type(odd).__name__)
def test_keys_and_names_are_text(odd, store, space):
    for attempt in [
        lambda: store.get("box", odd),
        lambda: store.head("box", odd),
        lambda: store.put("box", odd, b""),
        lambda: store.delete("box", odd),
        lambda: store.copy(("box", "key"), ("box", odd)),
        lambda: store.copy(("box", odd), ("box", "key")),
        lambda: store.tags("box", odd),
        lambda: store.list("box", prefix=odd),
        lambda: store.create_bucket(odd),
        lambda: drive(space.create_upload("box", odd)),
        lambda: drive(space.list_versions("box", prefix=odd)),
        lambda: drive(space.uploads("box", prefix=odd)),
        lambda: drive(space.buckets(prefix=odd)),
        lambda: drive(space.buckets(after=odd)) if odd else store.create_bucket(odd),
        lambda: drive(space.changes(None, prefix=odd)),
        lambda: store.set_tags("box", "key", {"name": odd}),
        lambda: store.put("box", "new", b"", tags={"name": odd}),
        lambda: store.find({"a": odd}),
    ]:
        with pytest.raises(Invalid):
            attempt()
    for attempt in (lambda: store.get(odd, "key"), lambda: store.delete_bucket(odd)):
        with pytest.raises((Invalid, NotFound)):
            attempt()
    assert [entry.key for entry in store.iterate("box")] == ["key"]
    assert store.tags("box", "key") == {"a": "b"}


@pytest.mark.parametrize("odd", ["text", 5, ["a", "b"], object()], ids=lambda odd: type(odd).__name__)
def test_tags_are_a_mapping(odd, store):
    for attempt in (
        lambda: store.put("box", "new", b"", tags=odd),
        lambda: store.set_tags("box", "key", odd),
        lambda: store.find(odd),
    ):
        with pytest.raises(Invalid):
            attempt()


@pytest.mark.parametrize("odd", [-1, -(2**70), 1.5, float("nan"), None, "5"], ids=repr)
def test_limits_are_numbers_from_zero_on(odd, store, space, upload):
    for attempt in [
        lambda: store.list("box", limit=odd),
        lambda: store.find({"a": "b"}, limit=odd),
        lambda: store.changes(limit=odd),
        lambda: drive(space.buckets(limit=odd)),
        lambda: drive(space.list_versions("box", limit=odd)),
        lambda: drive(space.uploads("box", limit=odd)),
        lambda: drive(space.parts("box", "large", upload, limit=odd)),
        lambda: drive(space.parts("box", "large", upload, after=odd)),
    ]:
        with pytest.raises(Invalid, match="limit"):
            attempt()


def test_a_limit_has_no_upper_end(store, space, upload):
    assert [entry.key for entry in store.list("box", limit=2**70).entries] == ["key"]
    assert len(store.find({"a": "b"}, limit=2**70)) == 1
    assert len(store.changes(limit=2**70)[0]) == 2
    assert len(drive(space.buckets(limit=2**70))) == 1
    assert drive(space.parts("box", "large", upload, limit=2**70, after=2**70)) == ([], False)


@pytest.mark.parametrize("odd", [(0, -1), (3, -2), (-1, 1), (-5, 10)], ids=str)
def test_a_part_is_copied_from_within_its_source(odd, space, store, upload):
    with pytest.raises(Invalid):
        drive(space.copy_part("box", "key", "box", "large", upload, 1, source_range=odd))
    assert drive(space.parts("box", "large", upload)) == ([], False)


@pytest.mark.parametrize("odd", [1.5, None, "1", 0, 10_001], ids=repr)
def test_part_numbers_are_numbers(odd, space, store, upload):
    with pytest.raises(Invalid):
        drive(space.put_part("box", "large", upload, odd, b""))


def test_versioning_is_one_of_its_states(store):
    for odd in (None, "Enabled", 1):
        with pytest.raises(IsothermError):
            store.set_versioning("box", odd)
