"""Versions in a bucket's three states, by S3's rules: "Using versioning in S3 buckets" and its pages on null versions."""

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import Invalid, NotFound
from isotherm.objects.model import Versioning
from tests.objects.stores import get, live_bytes, rows_of


class Keeper:
    """A bucket whose state is switched as a test goes, and short words for what the tests do."""

    def __init__(self, space):
        self.space = space

    def __getattr__(self, state):
        drive(self.space.set_versioning("box", Versioning[state.upper()]))
        return self

    def put(self, data):
        return drive(self.space.put("box", "key", data.encode())).version_id

    def delete(self, version=None):
        return drive(self.space.delete("box", "key", version))

    def read(self, version=None):
        try:
            return get(self.space, "box", "key", version).decode()
        except NotFound as missing:
            return missing.code
        except Invalid as refused:
            return refused.code

    def listed(self):
        """What a listing of versions shows, newest first: the bytes' length or † for a marker, `<` for the latest."""
        entries = drive(self.space.list_versions("box")).entries
        shown = [f"{'†' if e.is_marker else e.size}{' null' if e.version_id == 'null' else ''}" for e in entries]
        assert [e.is_latest for e in entries] == [True] + [False] * (len(entries) - 1) if entries else True
        live = [e.size for e in drive(self.space.list("box")).entries]
        assert live == ([entries[0].size] if entries and not entries[0].is_marker else [])
        return shown


@pytest.fixture
def key(space):
    return Keeper(space)


def test_unversioned_keeps_one_null_version(key, engines):
    assert key.put("a") == key.put("bb") == "null"
    assert key.listed() == ["2 null"]
    assert key.read("null") == "bb"
    deleted = key.delete()
    assert (deleted.version_id, deleted.marker) == (None, False)
    assert key.listed() == []
    assert key.delete().marker is False
    assert live_bytes(engines) == 0


def test_unversioned_delete_of_the_null_version_by_its_id(key, engines):
    key.put("a")
    deleted = key.delete("null")
    assert (deleted.version_id, deleted.marker) == ("null", False)
    assert key.listed() == []
    assert live_bytes(engines) == 0


def test_enabled_keeps_every_version_under_an_id_of_its_own(key, engines):
    ids = [key.enabled.put(word) for word in ("a", "bb", "ccc")]
    assert len({*ids, "null"}) == 4
    assert key.listed() == ["3", "2", "1"]
    assert [key.read(version) for version in ids] == ["a", "bb", "ccc"]
    assert key.read() == "ccc"
    assert live_bytes(engines) == 6


def test_a_delete_puts_a_marker_on_top_and_removes_nothing(key, space):
    first = key.enabled.put("a")
    marker = key.delete()
    assert marker.marker
    assert key.listed() == ["†", "1"]
    assert key.read() == "NoSuchKey"
    assert key.read(first) == "a"
    with pytest.raises(NotFound) as missing:
        drive(space.head("box", "key"))
    assert missing.value.detail["marker"] == marker.version_id
    with pytest.raises(Invalid) as refused:
        drive(space.head("box", "key", marker.version_id))
    assert (refused.value.code, refused.value.detail["marker"]) == ("MethodNotAllowed", marker.version_id)
    again = key.delete()
    assert again.version_id != marker.version_id
    assert key.listed() == ["†", "†", "1"]


def test_a_delete_of_what_never_was_makes_a_marker_where_versions_are_kept(key):
    assert key.enabled.delete().marker
    assert key.listed() == ["†"]


def test_removing_the_newest_brings_its_predecessor_back(key, engines):
    ids = [key.enabled.put(word) for word in ("a", "bb", "ccc")]
    removed = key.delete(ids[2])
    assert (removed.version_id, removed.marker) == (ids[2], False)
    assert (key.read(), key.listed()) == ("bb", ["2", "1"])
    assert key.read(ids[2]) == "NoSuchVersion"
    key.delete(ids[0])
    assert (key.read(), key.listed()) == ("bb", ["2"])
    key.delete(ids[1])
    assert (key.read(), key.listed()) == ("NoSuchKey", [])
    assert live_bytes(engines) == 0


def test_removing_a_marker_brings_the_object_back(key):
    key.enabled.put("a")
    first, second = key.delete().version_id, key.delete().version_id
    removed = key.delete(second)
    assert (removed.version_id, removed.marker) == (second, True)
    assert key.read() == "NoSuchKey"
    key.delete(first)
    assert (key.read(), key.listed()) == ("a", ["1"])


def test_removing_a_version_below_a_marker_leaves_the_marker_on_top(key):
    ids = [key.enabled.put(word) for word in ("a", "bb")]
    key.delete()
    key.delete(ids[1])
    assert (key.read(), key.listed()) == ("NoSuchKey", ["†", "1"])


def test_removing_the_newest_above_a_marker_shows_the_marker(key):
    key.enabled.put("a")
    marker = key.delete().version_id
    top = key.put("bb")
    key.delete(top)
    assert (key.read(), key.listed()) == ("NoSuchKey", ["†", "1"])
    key.delete(marker)
    assert key.read() == "a"


def test_a_version_from_before_versioning_is_the_null_version(key):
    key.put("a")
    second = key.enabled.put("bb")
    assert key.listed() == ["2", "1 null"]
    assert (key.read("null"), key.read()) == ("a", "bb")
    key.delete(second)
    assert (key.read(), key.listed()) == ("a", ["1 null"])
    key.delete("null")
    assert (key.read("null"), key.listed()) == ("NoSuchVersion", [])


def test_suspended_replaces_the_null_version_and_keeps_the_others(key, engines):
    key.put("a")
    kept = key.enabled.put("bb")
    assert key.suspended.put("ccc") == "null"
    assert key.listed() == ["3 null", "2"]
    assert key.put("dddd") == "null"
    assert key.listed() == ["4 null", "2"]
    assert (key.read("null"), key.read(kept)) == ("dddd", "bb")
    assert live_bytes(engines) == 6


def test_enabled_again_keeps_the_null_version_of_the_suspension(key):
    key.suspended.put("a")
    second = key.enabled.put("bb")
    assert key.listed() == ["2", "1 null"]
    key.suspended.put("ccc")
    assert key.listed() == ["3 null", "2"]
    assert key.read(second) == "bb"


def test_suspended_delete_replaces_the_null_version_by_a_null_marker(key, engines):
    key.put("a")
    kept = key.enabled.put("bb")
    key.suspended.put("ccc")
    marker = key.delete()
    assert (marker.version_id, marker.marker) == ("null", True)
    assert key.listed() == ["† null", "2"]
    assert key.read("null") == "MethodNotAllowed"
    assert key.delete().version_id == "null"
    assert key.listed() == ["† null", "2"]
    assert key.put("dddd") == "null"
    assert key.listed() == ["4 null", "2"]
    key.delete("null")
    assert (key.read(), key.listed()) == ("bb", ["2"])
    assert key.read(kept) == "bb"
    assert live_bytes(engines) == 2


def test_suspended_delete_below_a_kept_version_removes_the_old_null_one(key, engines):
    key.put("a")
    key.enabled.put("bb")
    key.suspended.delete()
    assert key.listed() == ["† null", "2"]
    assert live_bytes(engines) == 2
    removed = key.delete("null")
    assert (removed.version_id, removed.marker) == ("null", True)
    assert (key.read(), key.read("null")) == ("bb", "NoSuchVersion")


def test_a_null_marker_from_a_suspension_stays_when_versions_are_kept_again(key):
    key.suspended.delete()
    key.enabled.put("a")
    assert key.listed() == ["1", "† null"]
    key.suspended.put("bb")
    assert key.listed() == ["2 null", "1"]


def test_an_empty_history_leaves_no_row_behind(key, engines):
    before = set(rows_of(engines))
    key.put("a")
    key.enabled.put("bb")
    key.suspended.delete()
    key.enabled.put("ccc")
    key.delete()
    for entry in drive(key.space.list_versions("box")).entries:
        key.delete(entry.version_id)
    assert key.listed() == []
    assert set(rows_of(engines)) == before
    assert live_bytes(engines) == 0


@pytest.mark.parametrize("version", ["0" * 32, "f" * 32, "abc", "", "nulL", "g" * 32, "\0", "é" * 32, "٣" * 32])
def test_a_version_id_that_names_nothing(key, version):
    key.enabled.put("a")
    assert key.read(version) == "NoSuchVersion"
    deleted = key.delete(version)
    assert (deleted.version_id, deleted.marker) == (version, False)
    assert key.listed() == ["1"]


def test_a_null_version_answers_to_null_alone(key):
    key.put("a")
    stamp = drive(key.space.head("box", "key")).stamp.hex()
    assert key.read(stamp) == "NoSuchVersion"
    key.enabled.put("bb")
    assert key.read(stamp) == "NoSuchVersion"
    key.delete(stamp)
    assert key.read("null") == "a"


def test_a_version_of_one_key_is_not_one_of_another(key, space):
    version = key.enabled.put("a")
    drive(space.put("box", "other", b"x"))
    with pytest.raises(NotFound) as missing:
        drive(space.head("box", "other", version))
    assert missing.value.code == "NoSuchVersion"


def test_versions_keep_their_order_when_the_clock_steps(key, clock):
    ids = []
    for step in (0, -3_600_000, 7_200_000, -10_000_000, 1):
        clock.step_wall(step)
        ids.append(key.enabled.put("x"))
    listed = [entry.version_id for entry in drive(key.space.list_versions("box")).entries]
    assert listed == ids[::-1]
    assert drive(key.space.head("box", "key")).version_id == ids[-1]
    assert sorted(ids) == ids
