"""Multipart uploads: parts that come in any order, again, late, or never; lists that must fit; ends that race."""

import asyncio
import hashlib

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import Conflicted, Invalid, NotFound
from isotherm.objects.model import Attributes, Versioning
from tests.objects.stores import KIB, MIB, body, changes, get, live_bytes, payload, rows_of, sweep

PART = 5 * MIB


def begin(space, key="key", **options):
    return drive(space.create_upload("box", key, **options)).id


def send(space, upload, number, data, key="key", **options):
    return drive(space.put_part("box", key, upload, number, data, **options))


def named(*parts):
    return [(part.number, part.etag, None) for part in parts]


def complete(space, upload, parts, key="key", **options):
    return drive(space.complete_upload("box", key, upload, parts, **options))


def refusal(call):
    with pytest.raises((Invalid, NotFound)) as refused:
        drive(call)
    return refused.value.code


def test_parts_make_an_object_in_the_order_of_their_numbers(space, engines):
    attributes = Attributes({"content-type": "x/y"}, {"a": "b"})
    upload = begin(space, attributes=attributes, tags={"t": "1"})
    data = {1: payload(PART, 1), 7: payload(PART + 1, 7), 10_000: payload(10, 9)}
    parts = {number: send(space, upload, number, body(data[number])) for number in (7, 10_000, 1)}
    assert not drive(space.list("box")).entries
    made = complete(space, upload, named(parts[1], parts[7], parts[10_000]))
    whole = data[1] + data[7] + data[10_000]
    digest = hashlib.md5(b"".join(hashlib.md5(data[n]).digest() for n in (1, 7, 10_000))).hexdigest()
    assert made.etag == drive(space.head("box", "key")).etag == f"{digest}-3"
    assert (made.size, made.parts, made.attributes) == (len(whole), 3, attributes)
    assert dict(drive(space.tags("box", "key"))[0]) == {"t": "1"}
    assert get(space, "box", "key") == whole
    for start in (PART - 1, PART, 2 * PART, 2 * PART + 1, len(whole) - 1):
        assert (
            get(space, "box", "key", offset=start, length=2 if start < len(whole) - 1 else 1)
            == whole[start : start + 2]
        )
    assert live_bytes(engines) == len(whole)
    assert refusal(space.upload("box", "key", upload)) == "NoSuchUpload"
    assert [change.kind for change in changes(space)] == ["bucket-created", "put"]


def test_parts_are_numbered_anew_in_the_object(space):
    upload = begin(space)
    parts = [send(space, upload, n, payload(size, n)) for n, size in ((2, PART), (5, PART + 9), (6, 3))]
    made = complete(space, upload, named(*parts))
    assert [drive(space.part_range("box", made, n)) for n in (1, 2, 3)] == [
        (0, PART),
        (PART, PART + 9),
        (2 * PART + 9, 3),
    ]
    assert [(part.number, part.size) for part in drive(space.part_list("box", made))] == [
        (1, PART),
        (2, PART + 9),
        (3, 3),
    ]
    for number in (0, 4, 10_000, -1):
        assert refusal(space.part_range("box", made, number)) == "InvalidPartNumber"


def test_any_object_is_one_part(space):
    for size in (0, 9, 3 * MIB):
        version = drive(space.put("box", "key", payload(size)))
        assert drive(space.part_range("box", version, 1)) == (0, size)
        assert refusal(space.part_range("box", version, 2)) == "InvalidPartNumber"
        assert drive(space.part_list("box", version)) == []


def test_a_part_sent_again_replaces_the_earlier_one(space, engines):
    upload = begin(space)
    first = send(space, upload, 1, payload(3 * MIB, 1))
    second = send(space, upload, 1, payload(1_000, 2))
    assert live_bytes(engines) == 1_000
    assert refusal(space.complete_upload("box", "key", upload, named(first))) == "InvalidPart"
    complete(space, upload, named(second))
    assert get(space, "box", "key") == payload(1_000, 2)


def test_parts_that_are_not_named_are_dropped(space, engines):
    upload = begin(space)
    parts = [send(space, upload, n, payload(1_000, n)) for n in (1, 2, 3)]
    complete(space, upload, named(parts[1]))
    assert get(space, "box", "key") == payload(1_000, 2)
    assert live_bytes(engines) == 1_000
    assert len(rows_of(engines)["P"]) == 1


@pytest.mark.parametrize("number", [0, -1, 10_001, 1 << 40])
def test_a_part_number_out_of_range(space, number):
    assert refusal(space.put_part("box", "key", begin(space), number, b"x")) == "InvalidArgument"


def test_lists_that_do_not_fit_leave_the_upload_as_it_was(space, engines):
    upload = begin(space)
    one, two, three = (send(space, upload, n, payload(size, n)) for n, size in ((1, PART), (2, PART), (3, 5)))
    wrong = "0" * 32
    for parts, code in [
        ([], "MalformedXML"),
        (named(two, one), "InvalidPartOrder"),
        (named(one, one), "InvalidPartOrder"),
        ([(1, wrong, None)], "InvalidPart"),
        ([*named(one), (4, wrong, None)], "InvalidPart"),
        (named(three, one), "InvalidPartOrder"),
        ([(0, one.etag, None)], "InvalidPart"),
        ([(n, wrong, None) for n in range(1, 10_002)], "InvalidArgument"),
    ]:
        assert refusal(space.complete_upload("box", "key", upload, parts)) == code
    last = send(space, upload, 4, payload(PART, 4))
    assert refusal(space.complete_upload("box", "key", upload, named(one, two, three, last))) == "EntityTooSmall"
    assert refusal(space.complete_upload("box", "key", upload, named(one), size=PART + 1)) == "InvalidRequest"
    assert not drive(space.list("box")).entries
    complete(space, upload, named(one, two, last), size=3 * PART)
    assert get(space, "box", "key") == payload(PART, 1) + payload(PART, 2) + payload(PART, 4)
    assert live_bytes(engines) == 3 * PART


def test_an_upload_belongs_to_its_key_and_bucket(space):
    drive(space.create_bucket("other"))
    upload = begin(space)
    part = send(space, upload, 1, b"x")
    for bucket, key in (("box", "kez"), ("other", "key"), ("box", "key\0")):
        assert refusal(space.put_part(bucket, key, upload, 1, b"y")) == "NoSuchUpload"
        assert refusal(space.complete_upload(bucket, key, upload, named(part))) == "NoSuchUpload"
        assert refusal(space.abort_upload(bucket, key, upload)) == "NoSuchUpload"
        assert refusal(space.parts(bucket, key, upload)) == "NoSuchUpload"
    for text in ("", "x", "0" * 31, "0" * 32, "é" * 32, upload + "00", upload[:-2]):
        assert refusal(space.put_part("box", "key", text, 1, b"y")) == "NoSuchUpload"
    complete(space, upload, named(part))


def test_an_aborted_upload_is_gone_and_its_bytes_follow(space, engines):
    upload = begin(space)
    part = send(space, upload, 1, payload(3 * MIB))
    drive(space.abort_upload("box", "key", upload))
    for call in (
        space.abort_upload("box", "key", upload),
        space.put_part("box", "key", upload, 2, b"x"),
        space.complete_upload("box", "key", upload, named(part)),
        space.parts("box", "key", upload),
    ):
        assert refusal(call) == "NoSuchUpload"
    assert sweep(engines) == 1
    assert live_bytes(engines) == 0
    assert set(rows_of(engines)) == {"B", "b"}


def test_completing_again_answers_as_before_and_changes_nothing(space):
    drive(space.set_versioning("box", Versioning.ENABLED))
    upload = begin(space)
    parts = named(send(space, upload, 1, payload(PART)), send(space, upload, 2, b"end"))
    made = complete(space, upload, parts)
    feed = changes(space)
    again = complete(space, upload, parts)
    assert again == made
    assert changes(space) == feed
    assert len(drive(space.list_versions("box")).entries) == 1
    assert refusal(space.complete_upload("box", "key", upload, parts[:1])) == "NoSuchUpload"
    drive(space.put("box", "key", b"newer"))
    assert refusal(space.complete_upload("box", "key", upload, parts)) == "NoSuchUpload"
    assert get(space, "box", "key") == b"newer"


def test_completions_and_an_abort_that_race_have_one_winner(space, engines):
    async def race(upload, part):
        ends = [space.complete_upload("box", "key", upload, named(part)) for _ in range(3)]
        ends.insert(1, space.abort_upload("box", "key", upload))
        return await asyncio.gather(*ends, return_exceptions=True)

    for round_ in range(20):
        upload = begin(space)
        part = send(space, upload, 1, payload(100, round_))
        completed, aborted, *others = asyncio.run(race(upload, part))
        if aborted is None:
            assert {getattr(outcome, "code", outcome) for outcome in (completed, *others)} == {"NoSuchUpload"}
            assert refusal(space.head("box", "key")) == "NoSuchKey"
            sweep(engines)
        else:
            assert isinstance(aborted, NotFound)
            assert {outcome.stamp for outcome in (completed, *others)} == {completed.stamp}
            assert get(space, "box", "key") == payload(100, round_)
            drive(space.delete("box", "key"))
            sweep(engines)
        assert live_bytes(engines) == 0


def test_a_part_that_comes_while_its_upload_is_completed_is_in_it_or_nowhere(space, engines):
    async def race(upload, part):
        late = [space.put_part("box", "key", upload, 1, payload(100, n)) for n in (1, 2)]
        return await asyncio.gather(
            late[0], space.complete_upload("box", "key", upload, named(part)), late[1], return_exceptions=True
        )

    for _ in range(20):
        upload = begin(space)
        part = send(space, upload, 1, payload(100))
        _, completed, _ = asyncio.run(race(upload, part))
        if isinstance(completed, Invalid):
            assert completed.code == "InvalidPart"
            drive(space.abort_upload("box", "key", upload))
        else:
            assert not isinstance(completed, Conflicted)
            assert get(space, "box", "key") == payload(100)
            drive(space.delete("box", "key"))
        sweep(engines)
        assert live_bytes(engines) == 0


def test_copied_parts(space, engines):
    source = payload(PART + 100_000)
    drive(space.put("box", "source", source))
    version = drive(space.head("box", "source"))
    upload = begin(space)
    target = ("box", "key", upload)
    one, copied_from = drive(space.copy_part("box", "source", *target, 1, source_range=(70_000, PART)))
    two, _ = drive(space.copy_part("box", "source", *target, 2))
    three, _ = drive(space.copy_part("box", "source", *target, 3, source_range=(3, 0)))
    assert copied_from.etag == version.etag
    assert one.etag == hashlib.md5(source[70_000 : 70_000 + PART]).hexdigest()
    for beyond in ((0, len(source) + 1), (len(source), 1), (len(source) + 5, 0)):
        assert refusal(space.copy_part("box", "source", *target, 4, source_range=beyond)) == "InvalidRange"
    assert refusal(space.copy_part("box", "nothing", *target, 4)) == "NoSuchKey"
    complete(space, upload, named(one, two, three))
    drive(space.delete("box", "source"))
    sweep(engines)
    assert get(space, "box", "key") == source[70_000 : 70_000 + PART] + source
    assert live_bytes(engines) == PART + len(source)


def test_pages_of_parts(space):
    upload = begin(space)
    numbers = [1, 2, 3, 50, 9_999, 10_000]
    for number in numbers:
        send(space, upload, number, payload(number % 7 * KIB))
    for limit in (1, 2, 3, 6, 1_000):
        seen, after, more = [], 0, True
        while more:
            page, more = drive(space.parts("box", "key", upload, after=after, limit=limit))
            assert 0 < len(page) <= limit
            seen += page
            after = page[-1].number
        assert [part.number for part in seen] == numbers
        assert [part.size for part in seen] == [number % 7 * KIB for number in numbers]
    assert drive(space.parts("box", "key", upload, after=10_000)) == ([], False)
    assert drive(space.parts("box", "key", upload, after=0, limit=0)) == ([], True)


def test_pages_of_uploads(space, clock):
    expected = []
    for key in ("a/1", "a/1", "a/2", "b", "b\0", "b\0", "bé"):
        expected.append((key, begin(space, key)))
        clock.advance(1)
    for limit in (1, 2, 3, 7, 1_000):
        seen, after, after_upload = [], "", ""
        while after is not None:
            page = drive(space.uploads("box", after=after, after_upload=after_upload, limit=limit))
            assert len(page.uploads) <= limit
            seen += [(upload.key, upload.id) for upload in page.uploads]
            after, after_upload = page.next_key, page.next_upload or ""
        assert seen == expected
    rolled = drive(space.uploads("box", delimiter="/"))
    assert (rolled.prefixes, [upload.key for upload in rolled.uploads]) == (["a/"], ["b", "b\0", "b\0", "bé"])
    assert [upload.key for upload in drive(space.uploads("box", prefix="b\0")).uploads] == ["b\0", "b\0"]
    assert [upload.key for upload in drive(space.uploads("box", after="b")).uploads] == ["b\0", "b\0", "bé"]


def test_uploads_into_a_versioned_bucket_add_versions(space, engines):
    drive(space.set_versioning("box", Versioning.ENABLED))
    ids = []
    for seed in (1, 2):
        upload = begin(space)
        part = send(space, upload, 1, payload(2 * MIB, seed))
        ids.append(complete(space, upload, named(part)).version_id)
    assert [get(space, "box", "key", version) for version in ids] == [payload(2 * MIB, seed) for seed in (1, 2)]
    drive(space.delete("box", "key", ids[1]))
    sweep(engines)
    assert get(space, "box", "key") == payload(2 * MIB, 1)
    assert live_bytes(engines) == 2 * MIB
