"""Many deletes in one call: one result each, in order, each key's errors its own."""

import asyncio

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import Invalid, NotFound
from isotherm.objects.model import Deleted, Versioning
from tests.objects.stores import changes, live_bytes, rows_of, sweep


def remove(space, *items):
    return drive(space.delete_many("box", items))


def test_results_come_in_order_whether_or_not_there_was_anything(space, engines):
    for number in range(250):
        drive(space.put("box", f"{number}", b"x" * 10))
    items = [(f"{number}", None) for number in range(260)]
    assert remove(space, *items) == [Deleted(key, None, False) for key, _ in items]
    assert not drive(space.list("box")).entries
    assert live_bytes(engines) == 0
    assert remove(space) == []


def test_a_key_named_twice(space):
    drive(space.set_versioning("box", Versioning.ENABLED))
    version = drive(space.put("box", "a", b"x")).version_id
    first, second, third = remove(space, ("a", None), ("a", None), ("a", version))
    assert first.marker
    assert second.marker
    assert first.version_id != second.version_id
    assert third == Deleted("a", version, False)
    assert [e.version_id for e in drive(space.list_versions("box")).entries] == [second.version_id, first.version_id]
    again = remove(space, ("a", first.version_id), ("a", first.version_id), ("a", second.version_id))
    assert [deleted.marker for deleted in again] == [True, False, True]
    assert not drive(space.list_versions("box")).entries


def test_markers_of_one_transaction_have_ids_of_their_own(space):
    drive(space.set_versioning("box", Versioning.ENABLED))
    for key in "abc":
        drive(space.put("box", key, b"x"))
    results = remove(space, *((key, None) for key in "abc"))
    listed = {e.key: e.version_id for e in drive(space.list_versions("box")).entries if e.is_marker}
    assert {deleted.key: deleted.version_id for deleted in results} == listed
    assert len(set(listed.values())) == 3
    for key in "abc":
        with pytest.raises(NotFound) as missing:
            drive(space.head("box", key))
        assert missing.value.detail["marker"] == listed[key]


def test_suspended_markers_are_null(space):
    drive(space.set_versioning("box", Versioning.SUSPENDED))
    assert remove(space, ("a", None), ("b", None)) == [Deleted("a", "null", True), Deleted("b", "null", True)]


def test_versions_of_many_keys(space, engines):
    drive(space.set_versioning("box", Versioning.ENABLED))
    versions = [(key, drive(space.put("box", key, b"x" * 9)).version_id) for key in "abcabc"]
    results = remove(space, *versions)
    assert results == [Deleted(key, version, False) for key, version in versions]
    assert live_bytes(engines) == 0


def test_a_key_that_cannot_be_is_an_error_of_its_own(space):
    drive(space.put("box", "a", b"x"))
    good, long, odd, empty = remove(space, ("a", None), ("k" * 1_025, None), ("\ud800", None), ("", None))
    assert good == Deleted("a", None, False)
    assert [error.code for error in (long, odd, empty)] == ["KeyTooLongError", "InvalidURI", "InvalidArgument"]
    assert all(isinstance(error, Invalid) for error in (long, odd, empty))
    with pytest.raises(NotFound):
        drive(space.head("box", "a"))


def test_nothing_is_deleted_from_a_bucket_that_is_not_there(space):
    with pytest.raises(NotFound) as missing:
        drive(space.delete_many("nowhere", [("a", None)]))
    assert missing.value.code == "NoSuchBucket"


def test_the_feed_tells_of_each(space):
    for key in "abc":
        drive(space.put("box", key, b"x"))
    cursor = drive(space.changes(None))[1]
    remove(space, ("a", None), ("b", None), ("c", None), ("d", None))
    assert [(change.kind, change.key) for change in changes(space, cursor)] == [("delete", key) for key in "abc"]


def test_more_than_one_transaction_holds(space, engines):
    """A hundred of the longest keys, with fifty tags each, make more index rows than one transaction may remove."""
    tags = {f"{n:02}" + "\0" * 18: "\0" * 20 for n in range(50)}
    keys = [f"{n:02}" + "\0" * 1_022 for n in range(100)]

    async def put_all():
        await asyncio.gather(*[space.put("box", key, b"", tags=tags) for key in keys])

    asyncio.run(put_all())
    results = remove(space, *((key, None) for key in keys), ("k" * 1_025, None))
    assert results[:-1] == [Deleted(key, None, False) for key in keys]
    assert results[-1].code == "KeyTooLongError"
    sweep(engines)
    assert set(rows_of(engines)) == {"B", "b"}
