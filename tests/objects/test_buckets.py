"""Buckets: names, what may be deleted, and that a name used again means a new bucket."""

import asyncio

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import AlreadyExists, Invalid, NotEmpty, NotFound
from isotherm.objects.model import Body, Versioning
from tests.objects.stores import live_bytes, many, payload, rows_of, sweep

GOOD = ["abc", "a-b", "a.b", "0ab", "b" * 63, "1.2.3", "1.2.3.4.5", "xn-a", "a--b"]
BAD = ["", "ab", "b" * 64, "Abc", "a_b", "-ab", "ab-", ".ab", "ab.", "a..b", "192.168.5.4", "xn--abc", "sthree-x"]
BAD += [
    "a b",
    "a/b",
    "a\nb",
    "abc\n",
    "äbc",
    "a-s3alias",
    "a--ol-s3",
    "\ud800bc",
    "a\0b",
    "a.mrap",
    "a--x-s3",
    "a--table-s3",
]


@pytest.mark.parametrize("name", GOOD)
def test_names_that_are_allowed(engines, name):
    space = engines.space()
    made = drive(space.create_bucket(name))
    assert drive(space.bucket(name)) == made
    drive(space.delete_bucket(name))


@pytest.mark.parametrize("name", BAD)
def test_names_that_are_not(engines, name):
    with pytest.raises(Invalid) as refused:
        drive(engines.space().create_bucket(name))
    assert refused.value.code == "InvalidBucketName"
    assert not drive(engines.space().buckets())


def test_creating_what_exists_changes_nothing(space):
    drive(space.set_versioning("box", Versioning.ENABLED))
    before = drive(space.bucket("box"))
    with pytest.raises(AlreadyExists) as refused:
        drive(space.create_bucket("box"))
    assert refused.value.code == "BucketAlreadyOwnedByYou"
    assert drive(space.bucket("box")) == before


def test_pages_of_buckets_in_order(engines):
    space = engines.space()
    names = sorted(f"{letter}{number:02}" for letter in "abc" for number in range(7))
    for name in reversed(names):
        drive(space.create_bucket(name))
    seen, after = [], ""
    while page := drive(space.buckets(after=after, limit=4)):
        seen += [bucket.name for bucket in page]
        after = seen[-1]
    assert seen == names
    assert [bucket.name for bucket in drive(space.buckets(prefix="b", after="b03"))] == ["b04", "b05", "b06"]
    assert [bucket.name for bucket in drive(space.buckets(prefix="b", after="a06"))] == names[7:14]
    assert not drive(space.buckets(prefix="b", after="c"))


def test_a_bucket_that_holds_anything_stays(space):
    drive(space.set_versioning("box", Versioning.ENABLED))
    drive(space.put("box", "key", b"1"))
    marker = drive(space.delete("box", "key"))
    version = drive(space.list_versions("box")).entries[-1]
    for last in (version.version_id, marker.version_id):
        with pytest.raises(NotEmpty) as refused:
            drive(space.delete_bucket("box"))
        assert refused.value.code == "BucketNotEmpty"
        drive(space.delete("box", "key", last))
    drive(space.delete_bucket("box"))
    with pytest.raises(NotFound):
        drive(space.bucket("box"))


def test_a_bucket_made_anew_is_empty_and_knows_nothing_of_the_old_one(space):
    drive(space.set_versioning("box", Versioning.ENABLED))
    drive(space.set_bucket_tags("box", {"a": "1"}))
    old = drive(space.bucket("box"))
    kept = drive(space.put("box", "key", b"old", tags={"t": "1"}))
    drive(space.delete("box", "key", kept.version_id))
    drive(space.delete_bucket("box"))
    new = drive(space.create_bucket("box"))
    assert new.id != old.id
    assert (new.versioning, dict(new.tags)) == (Versioning.UNVERSIONED, {})
    assert not drive(space.list_versions("box")).entries
    assert not drive(space.find({"t": "1"}))


def test_open_uploads_do_not_hold_a_bucket_and_their_bytes_go(space, engines):
    for key in ("a", "b"):
        upload = drive(space.create_upload("box", key))
        drive(space.put_part("box", key, upload.id, 1, payload(1_000)))
    drive(space.delete_bucket("box"))
    assert live_bytes(engines) == 2_000
    assert sweep(engines) == 2
    assert live_bytes(engines) == 0
    assert set(rows_of(engines)) == set()


def test_more_open_uploads_than_one_transaction_aborts(space, engines):
    async def begin():
        await many([space.create_upload("box", f"key-{number}") for number in range(1_100)])

    asyncio.run(begin())
    drive(space.delete_bucket("box"))
    assert {table: len(rows) for table, rows in rows_of(engines).items()} == {"X": 1_100}


def test_a_put_under_way_does_not_end_up_in_the_next_bucket_of_that_name(space, engines):
    async def pieces():
        yield payload(100)
        await space.delete_bucket("box")
        await space.create_bucket("box")
        yield payload(100)

    with pytest.raises(NotFound) as refused:
        drive(space.put("box", "key", Body(pieces(), 200)))
    assert refused.value.code == "NoSuchBucket"
    assert not drive(space.list("box")).entries
    assert live_bytes(engines) == 0


def test_versioning_can_be_suspended_and_not_taken_back(space):
    for state in (Versioning.ENABLED, Versioning.SUSPENDED, Versioning.ENABLED):
        drive(space.set_versioning("box", state))
        assert drive(space.bucket("box")).versioning is state
    with pytest.raises(Invalid) as refused:
        drive(space.set_versioning("box", Versioning.UNVERSIONED))
    assert refused.value.code == "IllegalVersioningConfigurationException"


def test_bucket_tags_are_replaced_whole(space):
    drive(space.set_bucket_tags("box", {"a": "1", "b": "2"}))
    drive(space.set_bucket_tags("box", {"c": "é"}))
    assert dict(drive(space.bucket("box")).tags) == {"c": "é"}


def test_what_one_caller_does_to_a_buckets_tags_reaches_nobody_else(space):
    drive(space.set_bucket_tags("box", {"a": "1"}))
    with pytest.raises(TypeError):
        drive(space.bucket("box")).tags["evil"] = "1"
    drive(space.set_versioning("box", Versioning.ENABLED))
    assert dict(drive(space.bucket("box")).tags) == {"a": "1"}


def test_tenants_do_not_see_each_other(engines):
    one, two = engines.space(1), engines.space(2)
    for space, data in ((one, b"one"), (two, b"two")):
        drive(space.create_bucket("box"))
        drive(space.put("box", "key", data, tags={"t": "1"}))
    for space, data in ((one, b"one"), (two, b"two")):
        assert drive(space.open("box", "key")).version.size == 3
        assert drive(drive(space.open("box", "key")).read(0, 3)) == data
        assert len(drive(space.find({"t": "1"}))) == 1
        assert {change.bucket for change in drive(space.changes(None))[0]} == {"box"}
        assert len(drive(space.changes(None))[0]) == 2
    drive(one.delete("box", "key"))
    drive(one.delete_bucket("box"))
    assert drive(two.head("box", "key")).size == 3
