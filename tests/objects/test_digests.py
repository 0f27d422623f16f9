"""What a writer says of its bytes is checked, and what was computed is kept."""

import hashlib
import zlib

import pytest
from awscrt import checksums

from isotherm.devices.waiting import drive
from isotherm.errors import Invalid, NotFound
from isotherm.objects.model import Algorithm, Checksum, Digests
from tests.objects.stores import MIB, body, get, live_bytes, payload

SIZES = [0, 1, 70_000, MIB + 1, 9 * MIB]

COMPUTE = {
    Algorithm.CRC32: lambda data: zlib.crc32(data).to_bytes(4, "big"),
    Algorithm.CRC32C: lambda data: checksums.crc32c(data).to_bytes(4, "big"),
    Algorithm.CRC64NVME: lambda data: checksums.crc64nvme(data).to_bytes(8, "big"),
    Algorithm.SHA1: lambda data: hashlib.sha1(data).digest(),
    Algorithm.SHA256: lambda data: hashlib.sha256(data).digest(),
}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_checksum_is_computed_compared_and_kept(space, algorithm, size):
    data = payload(size)
    right = COMPUTE[algorithm](data)
    for digests in (
        Digests(algorithm=algorithm),
        Digests(algorithm=algorithm, value=right),
        Digests(algorithm=algorithm, trailer=lambda: right),
        Digests(algorithm=algorithm, trailer=lambda: None),
    ):
        made = drive(space.put("box", "key", body(data), digests=digests))
        assert made.checksum == Checksum(algorithm, right)
        assert drive(space.head("box", "key")).checksum == Checksum(algorithm, right)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("algorithm", Algorithm)
def test_a_wrong_checksum_changes_nothing(space, engines, algorithm, size):
    data = payload(size)
    drive(space.put("box", "key", b"old"))
    wrong = bytes([*COMPUTE[algorithm](data)[:-1], COMPUTE[algorithm](data)[-1] ^ 1])
    for digests in (
        Digests(algorithm=algorithm, value=wrong),
        Digests(algorithm=algorithm, trailer=lambda: wrong),
    ):
        with pytest.raises(Invalid) as refused:
            drive(space.put("box", "key", body(data), digests=digests))
        assert refused.value.code == "BadDigest"
    assert get(space, "box", "key") == b"old"
    assert live_bytes(engines) == 3


@pytest.mark.parametrize("length", [0, 1, 5])
def test_a_digest_of_a_wrong_length_is_a_wrong_request(space, length):
    with pytest.raises(Invalid) as refused:
        drive(space.put("box", "key", b"x", digests=Digests(algorithm=Algorithm.CRC32, value=bytes(length))))
    assert refused.value.code == "InvalidRequest"
    with pytest.raises(NotFound):
        drive(space.head("box", "key"))


@pytest.mark.parametrize("size", SIZES)
def test_content_md5_is_checked_and_becomes_the_etag_at_any_size(space, size):
    data = payload(size)
    digest = hashlib.md5(data).digest()
    assert drive(space.put("box", "key", body(data), digests=Digests(md5=digest))).etag == digest.hex()
    with pytest.raises(Invalid) as refused:
        drive(space.put("box", "key", body(data + b"!"), digests=Digests(md5=digest)))
    assert refused.value.code == "BadDigest"
    assert get(space, "box", "key") == data


def test_a_trailer_is_asked_for_when_the_body_has_ended(space):
    seen = []

    async def pieces():
        yield payload(2 * MIB)
        seen.append("end")

    def trailer():
        assert seen == ["end"]
        return COMPUTE[Algorithm.CRC32C](payload(2 * MIB))

    sent = body(b"")
    drive(
        space.put(
            "box",
            "key",
            type(sent)(pieces(), 2 * MIB),
            digests=Digests(algorithm=Algorithm.CRC32C, trailer=trailer),
        )
    )
    assert seen == ["end"]
