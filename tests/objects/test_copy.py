"""Copies share bytes: whatever goes first, the rest stays readable, and the last to go takes the bytes along."""

import itertools

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import Invalid, NotFound, PreconditionFailed
from isotherm.objects.model import Algorithm, Attributes, Checksum, Condition, Digests, Versioning
from tests.objects.stores import MIB, get, live_bytes, payload, rows_of, sweep
from tests.objects.test_digests import COMPUTE

STATES = list(Versioning)
BLUE, RED = Attributes({"content-type": "text/blue"}, {"c": "blue"}), Attributes({}, {"c": "red"})


def make(space, kind, key="source"):
    """An object of a kind; its bytes."""
    if kind == "multipart":
        upload = drive(space.create_upload("box", key, attributes=BLUE, tags={"t": "1"}))
        data = payload(5 * MIB), payload(1_000, seed=1)
        parts = [drive(space.put_part("box", key, upload.id, n, piece)) for n, piece in enumerate(data, start=1)]
        drive(space.complete_upload("box", key, upload.id, [(part.number, part.etag, None) for part in parts]))
        return b"".join(data)
    data = payload({"empty": 0, "small": 1_000, "streamed": 2 * MIB}[kind])
    drive(space.put("box", key, data, attributes=BLUE, tags={"t": "1"}))
    return data


KINDS = ["empty", "small", "streamed", "multipart"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_copy_carries_bytes_attributes_tags_and_etag_over(space, engines, kind, clock):
    data = make(space, kind)
    drive(space.create_bucket("other"))
    source = drive(space.head("box", "source"))
    clock.advance(10)
    copied = drive(space.copy("box", "source", "other", "cöpy"))
    version = drive(space.head("other", "cöpy"))
    assert get(space, "other", "cöpy") == data
    assert (version.etag, version.attributes, version.size) == (source.etag, BLUE, len(data))
    assert dict(drive(space.tags("other", "cöpy"))[0]) == {"t": "1"}
    assert version.modified_ms == source.modified_ms + 10_000
    assert copied.version_id == version.version_id
    assert [found.bucket for found in drive(space.find({"t": "1"}))].count("other") == 1
    assert live_bytes(engines) == len(data)


def test_a_copy_may_have_attributes_and_tags_of_its_own(space):
    make(space, "small")
    drive(space.copy("box", "source", "box", "copy", attributes=RED, tags={"u": "2"}))
    assert drive(space.head("box", "copy")).attributes == RED
    assert dict(drive(space.tags("box", "copy"))[0]) == {"u": "2"}
    drive(space.copy("box", "source", "box", "bare", tags={}))
    assert dict(drive(space.tags("box", "bare"))[0]) == {}
    assert dict(drive(space.tags("box", "source"))[0]) == {"t": "1"}


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_live_until_the_last_of_them_goes_in_any_order(space, engines, kind):
    for order in itertools.permutations(["source", "copy", "copy of copy"]):
        data = make(space, kind)
        drive(space.copy("box", "source", "box", "copy"))
        drive(space.copy("box", "copy", "box", "copy of copy"))
        left = list(order)
        for key in order:
            drive(space.delete("box", key))
            left.remove(key)
            sweep(engines)
            assert live_bytes(engines) == (len(data) if left else 0)
            for other in left:
                assert get(space, "box", other) == data
    assert set(rows_of(engines)) == {"B", "b"}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("state", STATES)
def test_a_copy_onto_itself_with_new_metadata(space, engines, kind, state):
    data = make(space, kind)
    if state is not Versioning.UNVERSIONED:
        drive(space.set_versioning("box", state))
    for attributes in (RED, BLUE, RED):
        drive(space.copy("box", "source", "box", "source", attributes=attributes))
        sweep(engines)
        assert drive(space.head("box", "source")).attributes == attributes
        assert get(space, "box", "source") == data
        assert live_bytes(engines) == len(data)
    entries = drive(space.list_versions("box")).entries
    assert len(entries) == (4 if state is Versioning.ENABLED else 1)
    for entry in entries:
        assert get(space, "box", "source", entry.version_id) == data
        drive(space.delete("box", "source", entry.version_id))
    sweep(engines)
    assert live_bytes(engines) == 0
    assert set(rows_of(engines)) == {"B", "b"}


def test_a_copy_onto_itself_must_change_something(space):
    make(space, "small")
    for tags in (None, {"x": "y"}):
        with pytest.raises(Invalid) as refused:
            drive(space.copy("box", "source", "box", "source", tags=tags))
        assert refused.value.code == "InvalidRequest"


@pytest.mark.parametrize("kind", KINDS)
def test_an_old_version_is_restored_by_copying_it_onto_its_key(space, engines, kind):
    drive(space.set_versioning("box", Versioning.ENABLED))
    data = make(space, kind)
    old = drive(space.head("box", "source")).version_id
    drive(space.put("box", "source", b"newer"))
    drive(space.copy("box", "source", "box", "source", source_version_id=old))
    assert get(space, "box", "source") == data
    drive(space.delete("box", "source", old))
    sweep(engines)
    assert get(space, "box", "source") == data
    assert live_bytes(engines) == len(data) + 5


def test_copying_onto_another_object_replaces_it(space, engines):
    data = make(space, "streamed")
    drive(space.put("box", "target", payload(3 * MIB)))
    drive(space.copy("box", "source", "box", "target"))
    sweep(engines)
    assert get(space, "box", "target") == data
    assert live_bytes(engines) == len(data)


def test_overwriting_the_source_leaves_the_copy(space, engines):
    for kind in KINDS:
        data = make(space, kind)
        drive(space.copy("box", "source", "box", "copy"))
        drive(space.put("box", "source", b"new"))
        sweep(engines)
        assert get(space, "box", "copy") == data
        assert live_bytes(engines) == len(data) + 3


def test_copies_beyond_a_page_of_references(space, engines):
    small, streamed = make(space, "small"), make(space, "streamed", "large")
    for number in range(30):
        drive(space.copy("box", "source", "box", f"small-{number:02}"))
        drive(space.copy("box", "large", "box", f"large-{number:02}"))
    drive(space.delete("box", "source"))
    drive(space.delete("box", "large"))
    sweep(engines)
    for number in range(30):
        assert get(space, "box", f"small-{number:02}") == small
        assert get(space, "box", f"large-{number:02}") == streamed
        assert live_bytes(engines) == len(small) + len(streamed)
        drive(space.delete_many("box", [(f"small-{number:02}", None), (f"large-{number:02}", None)]))
    sweep(engines)
    assert live_bytes(engines) == 0


def test_source_and_copies_deleted_in_one_call(space, engines):
    for kind in KINDS:
        make(space, kind)
        for number in range(5):
            drive(space.copy("box", "source", "box", f"copy-{number}"))
        drive(space.delete_many("box", [("source", None), *((f"copy-{n}", None) for n in range(5))]))
        sweep(engines)
        assert live_bytes(engines) == 0


@pytest.mark.parametrize("kind", ["small", "streamed", "multipart"])
@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_copy_can_ask_for_a_checksum_the_source_lacks(space, kind, algorithm):
    data = make(space, kind)
    drive(space.copy("box", "source", "box", "copy", algorithm=algorithm))
    assert drive(space.head("box", "copy")).checksum == Checksum(algorithm, COMPUTE[algorithm](data))
    assert drive(space.head("box", "source")).checksum is None


def test_a_copy_keeps_the_sources_checksum(space):
    drive(space.put("box", "source", b"abc", digests=Digests(algorithm=Algorithm.SHA1)))
    for algorithm in (None, Algorithm.SHA1):
        drive(space.copy("box", "source", "box", "copy", algorithm=algorithm))
        assert drive(space.head("box", "copy")).checksum == Checksum(Algorithm.SHA1, COMPUTE[Algorithm.SHA1](b"abc"))


def test_what_cannot_be_copied(space):
    drive(space.set_versioning("box", Versioning.ENABLED))
    drive(space.put("box", "gone", b"x"))
    marker = drive(space.delete("box", "gone")).version_id
    for source, kind, code in [
        (("box", "nothing", None), NotFound, "NoSuchKey"),
        (("nowhere", "key", None), NotFound, "NoSuchBucket"),
        (("box", "gone", None), NotFound, "NoSuchKey"),
        (("box", "gone", marker), Invalid, "InvalidRequest"),
        (("box", "gone", "0" * 32), NotFound, "NoSuchVersion"),
    ]:
        upload = drive(space.create_upload("box", "copy")).id
        for call in (
            space.copy(*source[:2], "box", "copy", source_version_id=source[2]),
            space.copy(*source[:2], "box", "copy", source_version_id=source[2], algorithm=Algorithm.SHA1),
            space.copy_part(*source[:2], "box", "copy", upload, 1, source_version_id=source[2]),
        ):
            with pytest.raises(kind) as refused:
                drive(call)
            assert refused.value.code == code
    drive(space.put("box", "source", b"x"))
    with pytest.raises(NotFound) as missing:
        drive(space.copy("box", "source", "nowhere", "copy"))
    assert missing.value.code == "NoSuchBucket"


def test_a_refused_copy_changes_no_account(space, engines):
    for kind in KINDS:
        make(space, kind)
        before = rows_of(engines)
        with pytest.raises(PreconditionFailed):
            drive(space.copy("box", "source", "box", "source", attributes=RED, condition=Condition(if_none_match="*")))
        assert rows_of(engines) == before
