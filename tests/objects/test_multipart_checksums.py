"""Checksums of uploads: of the whole, combined from the parts' CRCs, or composed of their digests, against ones computed directly."""

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import Invalid
from isotherm.objects.model import Algorithm, Checksum, Digests
from tests.objects.stores import MIB, get, payload
from tests.objects.test_digests import COMPUTE

CRCS = [Algorithm.CRC32, Algorithm.CRC32C, Algorithm.CRC64NVME]
PIECES = [payload(5 * MIB, 1), payload(5 * MIB + 77, 2), payload(3, 3)]


def upload(space, pieces=PIECES, *, sent=None, **options):
    """(upload id, parts) of an upload whose parts are there."""
    begun = drive(space.create_upload("box", "key", **options))
    digests = Digests(algorithm=sent)
    parts = [
        drive(space.put_part("box", "key", begun.id, n, piece, digests=digests))
        for n, piece in enumerate(pieces, start=1)
    ]
    return begun.id, parts


def complete(space, upload_id, parts, checksum=None, *, tell=True):
    named = [(part.number, part.etag, part.checksum if tell else None) for part in parts]
    return drive(space.complete_upload("box", "key", upload_id, named, checksum=checksum))


def refusal(call, *args, **options):
    with pytest.raises(Invalid) as refused:
        call(*args, **options)
    return refused.value.code


def composite(algorithm, pieces=PIECES):
    return Checksum(algorithm, COMPUTE[algorithm](b"".join(map(COMPUTE[algorithm], pieces))), len(pieces))


def whole(algorithm, pieces=PIECES):
    return Checksum(algorithm, COMPUTE[algorithm](b"".join(pieces)))


@pytest.mark.parametrize("algorithm", Algorithm)
def test_composite(space, algorithm):
    upload_id, parts = upload(space, algorithm=algorithm)
    assert [part.checksum for part in parts] == [Checksum(algorithm, COMPUTE[algorithm](piece)) for piece in PIECES]
    made = complete(space, upload_id, parts)
    assert made.checksum == drive(space.head("box", "key")).checksum == composite(algorithm)
    assert [part.checksum for part in drive(space.part_list("box", made))] == [part.checksum for part in parts]


@pytest.mark.parametrize("algorithm", CRCS)
def test_full_object(space, algorithm):
    for pieces in (PIECES, PIECES[:1], PIECES[2:], [b""]):
        upload_id, parts = upload(space, pieces, algorithm=algorithm, full_object=True)
        assert complete(space, upload_id, parts).checksum == whole(algorithm, pieces)
        assert get(space, "box", "key") == b"".join(pieces)


@pytest.mark.parametrize("algorithm", [None, Algorithm.SHA1, Algorithm.SHA256])
def test_full_object_exists_for_crcs_only(space, algorithm):
    with pytest.raises(Invalid) as refused:
        drive(space.create_upload("box", "key", algorithm=algorithm, full_object=True))
    assert refused.value.code == "InvalidRequest"


@pytest.mark.parametrize("full_object", [False, True])
@pytest.mark.parametrize("algorithm", CRCS)
def test_what_the_client_expects_of_the_whole_is_compared(space, algorithm, full_object):
    right = whole(algorithm) if full_object else composite(algorithm)
    upload_id, parts = upload(space, algorithm=algorithm, full_object=full_object)
    flipped = bytes([right.value[0] ^ 1, *right.value[1:]])
    other = next(other for other in CRCS if other is not algorithm)
    for wrong in (Checksum(algorithm, flipped, right.parts), Checksum(other, right.value), Checksum(algorithm, b"bad")):
        assert refusal(complete, space, upload_id, parts, wrong) == "BadDigest"
    assert refusal(complete, space, upload_id, parts, Checksum(algorithm, right.value, 2)) == "BadDigest"
    assert complete(space, upload_id, parts, Checksum(algorithm, right.value, right.parts)).checksum == right


def test_the_number_of_parts_may_be_left_out_of_what_is_expected(space):
    upload_id, parts = upload(space, algorithm=Algorithm.SHA256)
    right = composite(Algorithm.SHA256)
    assert complete(space, upload_id, parts, Checksum(Algorithm.SHA256, right.value)).checksum == right


def test_a_parts_checksum_in_the_list_is_compared(space):
    upload_id, parts = upload(space, algorithm=Algorithm.SHA256)
    named = [(part.number, part.etag, part.checksum) for part in parts]
    named[1] = (2, parts[1].etag, parts[0].checksum)
    with pytest.raises(Invalid) as refused:
        drive(space.complete_upload("box", "key", upload_id, named))
    assert refused.value.code == "InvalidPart"
    assert complete(space, upload_id, parts, tell=False).checksum == composite(Algorithm.SHA256)


def test_a_part_with_another_checksum_than_its_upload_is_refused(space):
    upload_id, _ = upload(space, [], algorithm=Algorithm.CRC32)
    with pytest.raises(Invalid) as refused:
        drive(space.put_part("box", "key", upload_id, 1, b"x", digests=Digests(algorithm=Algorithm.SHA1)))
    assert refused.value.code == "InvalidRequest"


def test_a_wrong_part_leaves_the_earlier_one(space):
    upload_id, parts = upload(space, [b"first"], algorithm=Algorithm.CRC32)
    digests = Digests(algorithm=Algorithm.CRC32, value=bytes(4))
    with pytest.raises(Invalid) as refused:
        drive(space.put_part("box", "key", upload_id, 1, b"second", digests=digests))
    assert refused.value.code == "BadDigest"
    complete(space, upload_id, parts)
    assert get(space, "box", "key") == b"first"


@pytest.mark.parametrize("algorithm", Algorithm)
def test_an_upload_that_named_no_algorithm_checks_what_its_parts_allow(space, algorithm):
    upload_id, parts = upload(space, sent=algorithm)
    right = whole(algorithm) if algorithm in CRCS else composite(algorithm)
    assert refusal(complete, space, upload_id, parts, Checksum(algorithm, bytes(4))) == "BadDigest"
    assert complete(space, upload_id, parts, Checksum(algorithm, right.value)).checksum == right


def test_an_expected_checksum_that_cannot_be_checked_is_refused_and_not_ignored(space):
    upload_id, parts = upload(space)
    assert refusal(complete, space, upload_id, parts, whole(Algorithm.CRC32)) == "InvalidRequest"
    upload_id, parts = upload(space, sent=Algorithm.SHA1)
    assert refusal(complete, space, upload_id, parts, whole(Algorithm.CRC32)) == "InvalidRequest"
    assert complete(space, upload_id, parts).checksum is None


def test_copied_parts_have_the_uploads_checksum(space):
    drive(space.put("box", "source", payload(1_000)))
    upload_id, _ = upload(space, [], algorithm=Algorithm.CRC64NVME, full_object=True)
    part, _ = drive(space.copy_part("box", "source", "box", "key", upload_id, 1, source_range=(10, 500)))
    made = complete(space, upload_id, [part])
    assert made.checksum == whole(Algorithm.CRC64NVME, [payload(1_000)[10:510]])
