"""Tags: any number of them, in the object's own transaction; the index follows whatever happens to the version."""

import itertools

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import Invalid, NotFound
from isotherm.objects.model import Attributes, Versioning
from tests.objects.stores import MIB, get, live_bytes, rows_of, sweep


def tags(space, key="key", version=None, bucket="box"):
    return dict(drive(space.tags(bucket, key, version))[0])


def found(space, wanted, **options):
    return [(f.bucket, f.key) for f in drive(space.find(wanted, **options))]


def put(space, key, wanted, data=b"x", bucket="box"):
    return drive(space.put(bucket, key, data, tags=wanted))


def many(count, value="v", start=0):
    return {f"tag-{n:06}": f"{value}{n}" for n in range(start, start + count)}


BORDERS = [0, 1, 49, 50, 51, 52, 200]


@pytest.mark.parametrize("count", BORDERS)
def test_tags_come_back_and_are_found_and_go(space, engines, count):
    wanted = many(count)
    made = put(space, "key", wanted)
    assert made.tag_count == drive(space.head("box", "key")).tag_count == count
    assert tags(space) == wanted
    for name, value in itertools.islice(wanted.items(), 3):
        assert found(space, {name: value}) == [("box", "key")]
    drive(space.delete("box", "key"))
    sweep(engines)
    assert set(rows_of(engines)) == {"B", "b"}


@pytest.mark.parametrize("before", BORDERS)
@pytest.mark.parametrize("after", BORDERS)
def test_replacing_and_merging_across_the_inline_limit(space, engines, before, after):
    put(space, "key", many(before, "old"))
    fresh = many(after, "new", start=before // 2)
    merged = {**many(before, "old"), **fresh}
    changed = drive(space.set_tags("box", "key", fresh, replace=False))
    assert tags(space) == merged
    assert changed.tag_count == drive(space.head("box", "key")).tag_count == len(merged)
    changed = drive(space.set_tags("box", "key", fresh))
    assert tags(space) == fresh
    assert changed.tag_count == drive(space.head("box", "key")).tag_count == len(fresh)
    assert len(rows_of(engines).get("I", {})) == len(fresh)
    assert get(space, "box", "key") == b"x"
    drive(space.set_tags("box", "key", {}))
    assert tags(space) == {}
    assert not rows_of(engines).get("I")
    assert not rows_of(engines).get("G")


def test_ten_thousand_tags_in_several_calls(space, engines):
    put(space, "key", {})
    put(space, "other", {"tag-000007": "v7"})
    for start in range(0, 10_000, 2_500):
        drive(space.set_tags("box", "key", many(2_500, start=start), replace=False))
    assert drive(space.head("box", "key")).tag_count == 10_000
    assert tags(space) == many(10_000)
    assert found(space, {"tag-000007": "v7", "tag-009999": "v9999", "tag-005000": "v5000"}) == [("box", "key")]
    assert found(space, {"tag-000007": "v7"}) == [("box", "key"), ("box", "other")]
    drive(space.set_tags("box", "key", {"tag-000007": "changed"}, replace=False))
    assert found(space, {"tag-000007": "v7"}) == [("box", "other")]
    drive(space.copy("box", "key", "box", "copy"))
    assert drive(space.head("box", "copy")).tag_count == 10_000
    put(space, "key", {"a": "1"})
    assert found(space, {"tag-009999": "v9999"}) == [("box", "copy")]
    sweep(engines)
    assert tags(space, "copy") == {**many(10_000), "tag-000007": "changed"}
    drive(space.set_tags("box", "copy", {}))
    assert found(space, {"tag-009999": "v9999"}) == []
    assert len(rows_of(engines)["I"]) == 2
    assert not rows_of(engines).get("G")


def test_four_megabytes_of_tags_in_one_call(space, engines):
    wanted = {f"{n:04}": "é" * 19_000 for n in range(104)}
    put(space, "key", wanted)
    assert tags(space) == wanted
    assert found(space, {"0103": "é" * 19_000}) == [("box", "key")]
    put(space, "key", {})
    sweep(engines)
    assert not rows_of(engines).get("G")
    with pytest.raises(Invalid) as refused:
        put(space, "key", {f"{n:04}": "é" * 19_000 for n in range(106)})
    assert refused.value.code == "EntityTooLarge"


def test_long_tags_are_told_apart(space):
    long = "v" * 60_000
    wanted = {"key": long + "1", "k" * 1_000: "x", "k" * 1_000 + "2": "y", "\0" * 96: "\0" * 96, "é" * 48: "é" * 49}
    put(space, "one", wanted)
    put(space, "two", {**wanted, "key": long + "2"})
    assert tags(space, "one") == wanted
    assert found(space, {"key": long + "1"}) == [("box", "one")]
    assert found(space, {"key": long + "2"}) == [("box", "two")]
    assert found(space, {"key": long}) == []
    assert found(space, {"k" * 1_000: "y"}) == []
    for name in ("k" * 1_000 + "2", "\0" * 96, "é" * 48):
        assert found(space, {name: wanted[name]}) == [("box", "one"), ("box", "two")]


@pytest.mark.parametrize(
    ("name", "value"), [("a", "bc"), ("ab", "c"), ("a\0", "b"), ("a", "\0b"), ("a\0\0b", ""), ("a", "")]
)
def test_key_and_value_do_not_run_into_each_other(space, name, value):
    pairs = [("a", "bc"), ("ab", "c"), ("a\0", "b"), ("a", "\0b"), ("a\0\0b", ""), ("a", "")]
    for at, (other, text) in enumerate(pairs):
        put(space, f"{at}", {other: text})
    assert found(space, {name: value}) == [("box", str(pairs.index((name, value))))]


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"": "x"}, "InvalidTag"),
        ({"k": "\ud800"}, "InvalidTag"),
        ({"\ud800": "k"}, "InvalidTag"),
        ({"k": "v" * 64_000}, "InvalidTag"),
    ],
)
def test_what_cannot_be_a_tag(space, wanted, code):
    put(space, "key", {"a": "1"})
    for call in (
        space.put("box", "key", b"y", tags=wanted),
        space.set_tags("box", "key", wanted),
        space.copy("box", "key", "box", "copy", tags=wanted),
        space.create_upload("box", "key", tags=wanted),
        space.set_bucket_tags("box", wanted),
    ):
        with pytest.raises(Invalid) as refused:
            drive(call)
        assert refused.value.code == code
    assert tags(space) == {"a": "1"}
    assert get(space, "box", "key") == b"x"


def test_the_index_follows_overwriting_and_deleting(space):
    put(space, "key", {"a": "1", "b": "2"})
    put(space, "key", {"a": "1"})
    assert found(space, {"a": "1"}) == [("box", "key")]
    assert found(space, {"b": "2"}) == []
    drive(space.delete("box", "key"))
    assert found(space, {"a": "1"}) == []


@pytest.mark.parametrize("count", [1, 60])
def test_the_index_follows_versions_that_come_and_go(space, engines, count):
    drive(space.set_versioning("box", Versioning.ENABLED))
    old, new = many(count, "old"), many(count, "new")
    first = put(space, "key", old).version_id
    second = put(space, "key", new).version_id
    one, two = {"tag-000000": "old0"}, {"tag-000000": "new0"}
    assert (found(space, one), found(space, two)) == ([], [("box", "key")])
    marker = drive(space.delete("box", "key")).version_id
    assert (found(space, one), found(space, two)) == ([], [])
    drive(space.delete("box", "key", marker))
    assert (found(space, one), found(space, two)) == ([], [("box", "key")])
    drive(space.delete("box", "key", second))
    sweep(engines)
    assert (found(space, one), found(space, two)) == ([("box", "key")], [])
    assert tags(space, version=first) == old
    drive(space.delete("box", "key", first))
    sweep(engines)
    assert set(rows_of(engines)) == {"B", "b"}


def test_tags_of_an_old_version_are_its_own(space):
    drive(space.set_versioning("box", Versioning.ENABLED))
    first = put(space, "key", {"a": "1"}).version_id
    second = put(space, "key", {"a": "2"}).version_id
    drive(space.set_tags("box", "key", {"a": "3"}, version_id=first))
    assert (tags(space), tags(space, version=first)) == ({"a": "2"}, {"a": "3"})
    assert found(space, {"a": "3"}) == []
    drive(space.delete("box", "key", second))
    assert found(space, {"a": "3"}) == [("box", "key")]
    assert found(space, {"a": "1"}) == []


def test_setting_tags_changes_nothing_else(space, engines, clock):
    before = drive(space.put("box", "key", b"d" * 2 * MIB, tags={"a": "1"}))
    clock.advance(100)
    drive(space.set_tags("box", "key", {"b": "2"}))
    after = drive(space.head("box", "key"))
    assert (after.version_id, after.stamp, after.etag, after.modified_ms) == (
        *(before.version_id, before.stamp, before.etag, before.modified_ms),
    )
    assert live_bytes(engines) == 2 * MIB


def test_what_has_no_tags_to_read_or_set(space):
    drive(space.set_versioning("box", Versioning.ENABLED))
    put(space, "gone", {"a": "1"})
    marker = drive(space.delete("box", "gone")).version_id
    for key, version, kind in [("nothing", None, NotFound), ("gone", None, NotFound), ("gone", marker, Invalid)]:
        with pytest.raises(kind):
            drive(space.tags("box", key, version))
        with pytest.raises(kind):
            drive(space.set_tags("box", key, {"b": "2"}, version_id=version))
    assert found(space, {"b": "2"}) == []


def test_finding_by_several_tags_is_an_intersection(space):
    colours, shapes, sizes = ("red", "blue"), ("round", "square", "flat"), ("s", "m", "l", "xl", "xxl")
    expected = {}
    for bucket in ("box", "aaa", "zzz"):
        if bucket != "box":
            drive(space.create_bucket(bucket))
        for number, (colour, shape, size) in enumerate(itertools.product(colours, shapes, sizes)):
            wanted = {"colour": colour, "shape": shape, "size": size, "all": "1"}
            put(space, f"{number:02}", wanted, bucket=bucket)
            expected[bucket, f"{number:02}"] = wanted
    order = sorted(expected, key=lambda at: (drive(space.bucket(at[0])).id, at[1]))
    for wanted in (
        {"all": "1"},
        {"colour": "red"},
        {"colour": "blue", "shape": "flat"},
        {"size": "xl", "shape": "round", "colour": "red"},
        {"size": "xl", "shape": "none"},
        {"all": "1", "size": "m"},
    ):
        everything = [at for at in order if wanted.items() <= expected[at].items()]
        assert found(space, wanted) == everything
        assert found(space, wanted, bucket="box") == [at for at in everything if at[0] == "box"]
        for limit in (1, 2, 7):
            seen, after = [], None
            while page := drive(space.find(wanted, after=after, limit=limit)):
                assert len(page) <= limit
                seen += [(f.bucket, f.key) for f in page]
                after = page[-1]
            assert seen == everything


def test_paging_goes_on_when_the_last_one_found_is_gone(space):
    for number in range(6):
        put(space, f"{number}", {"a": "1"})
    page = drive(space.find({"a": "1"}, limit=2))
    drive(space.delete("box", page[-1].key))
    assert [f.key for f in drive(space.find({"a": "1"}, after=page[-1]))] == ["2", "3", "4", "5"]


def test_paging_goes_on_when_its_bucket_is_gone(space):
    drive(space.create_bucket("two"))
    for bucket in ("box", "two"):
        put(space, "key", {"a": "1"}, bucket=bucket)
    first, second = drive(space.find({"a": "1"}))
    drive(space.delete(first.bucket, "key"))
    drive(space.delete_bucket(first.bucket))
    with pytest.raises(NotFound):
        drive(space.find({"a": "1"}, after=first))
    assert [f.bucket for f in drive(space.find({"a": "1"}))] == [second.bucket]


def test_finding_needs_a_tag_and_takes_any(space):
    with pytest.raises(Invalid):
        drive(space.find({}))
    with pytest.raises(NotFound):
        drive(space.find({"a": "1"}, bucket="nowhere"))
    for odd in ({"": ""}, {"\0": "\0"}, {"k" * 70_000: "v" * 70_000}):
        assert drive(space.find(odd)) == []
    for odd in ({"\ud800": ""}, {"a": "\ud800"}):
        with pytest.raises(Invalid):
            drive(space.find(odd))


def test_tags_of_an_upload_are_indexed_when_it_is_complete(space):
    upload = drive(space.create_upload("box", "key", tags=many(60))).id
    part = drive(space.put_part("box", "key", upload, 1, b"x"))
    assert found(space, {"tag-000000": "v0"}) == []
    drive(space.complete_upload("box", "key", upload, [(1, part.etag, None)]))
    assert found(space, {"tag-000000": "v0"}) == [("box", "key")]
    assert tags(space) == many(60)


def test_tags_whose_index_is_too_much_for_one_transaction(space, engines):
    """A tag has an index row that names its object: many tags of a long key are refused before a byte is written."""
    wanted = many(9_000)
    long = "k" * 1_024
    drive(space.put("box", long, b"x"))
    upload = drive(space.create_upload("box", long)).id
    before = rows_of(engines)
    for call in (
        space.put("box", long, b"y", tags=wanted),
        space.set_tags("box", long, wanted),
        space.set_tags("box", long, wanted, replace=False),
        space.copy("box", long, "box", long, attributes=Attributes({}, {"a": "b"}), tags=wanted),
        space.create_upload("box", "key", tags=many(5_000)),
    ):
        with pytest.raises(Invalid) as refused:
            drive(call)
        assert refused.value.code == "EntityTooLarge"
    assert rows_of(engines) == before
    for start in range(0, 9_000, 4_500):
        drive(space.set_tags("box", long, many(4_500, start=start), replace=False))
    assert tags(space, long) == wanted
    with pytest.raises(Invalid) as refused:
        drive(space.copy("box", long, "box", long[1:]))
    assert refused.value.code == "EntityTooLarge"
    drive(space.copy("box", long, "box", "short"))
    assert tags(space, "short") == wanted
    drive(space.abort_upload("box", long, upload))
