"""Directories of segments beside the data directory's own: remembered, marked, and missed where they are missing."""

import pytest

import isotherm
from isotherm.errors import Invalid, Unavailable
from isotherm.settings import Settings
from isotherm.store import Store, compose

MIB = 1 << 20


def opened(home, *, performance=(), capacity=()):
    return Store(compose(Settings(home, performance=tuple(performance), capacity=tuple(capacity)), role="foreign"))


def filled(home, **named):
    """A store whose segments are spread over every directory it may use."""
    with opened(home, **named) as store:
        store.create_bucket("box")
        for number in range(6):
            store.put("box", f"{number}", bytes([number]) * (3 * MIB))
    return {str(number): bytes([number]) * (3 * MIB) for number in range(6)}


def moved_to(home, extra):
    """The store's segments lie in `extra` from now on, as if they had been written there."""
    for file in (home / "performance").glob("*.seg"):
        file.rename(extra / file.name)


@pytest.fixture
def spread(tmp_path):
    extra = tmp_path / "extra"
    held = filled(tmp_path / "data", performance=[extra])
    moved_to(tmp_path / "data", extra)
    return tmp_path / "data", extra, held


def test_whoever_opens_the_store_finds_what_lies_in_directories_named_once(spread):
    home, _, held = spread
    with isotherm.open(home) as store:
        assert {key: store.get("box", key) for key in held} == held
        store.put("box", "more", b"x")
    with opened(home, capacity=[home.parent / "slow"]) as store:
        assert store.get("box", "more") == b"x"
        assert {key: store.get("box", key) for key in held} == held


def test_a_directory_that_is_not_there_stops_the_store_from_opening(spread):
    home, extra, held = spread
    extra.rename(extra.with_name("away"))
    for there in (False, True):  # gone with its mount point, or the mount point alone
        if there:
            extra.mkdir()
        with pytest.raises(Unavailable, match="mount its medium"):
            isotherm.open(home)
        with pytest.raises(Unavailable, match="mount its medium"):
            opened(home, performance=[extra])
    extra.rmdir()
    extra.with_name("away").rename(extra)
    with isotherm.open(home) as store:
        assert {key: store.get("box", key) for key in held} == held


def test_a_directory_is_one_stores_and_of_one_class(spread, tmp_path):
    home, extra, _ = spread
    with pytest.raises(Invalid, match="another store"):
        opened(tmp_path / "other", performance=[extra])
    with pytest.raises(Invalid, match="media class"):
        opened(home, capacity=[extra])
    with opened(tmp_path / "other") as other:
        assert [bucket.name for bucket in other.buckets()] == []


def test_a_directory_that_holds_something_else_is_refused(tmp_path):
    full = tmp_path / "documents"
    full.mkdir()
    (full / "letter.txt").write_bytes(b"dear")
    with pytest.raises(Invalid, match=r"letter\.txt"):
        opened(tmp_path / "data", performance=[full])
    with isotherm.open(tmp_path / "data"):
        pass


@pytest.mark.parametrize("place", ["no/such/parent", "data/inside"])
def test_a_directory_that_cannot_be_one_is_named(tmp_path, place):
    with pytest.raises(Invalid, match=place):
        opened(tmp_path / "data", capacity=[tmp_path / place])


def test_the_same_directory_by_another_name_is_the_same(spread):
    home, extra, _ = spread
    link = extra.with_name("link")
    link.symlink_to(extra)
    with opened(home, performance=[link, extra, home / "performance"]) as store:
        assert store.engines.roots == [home, extra]
