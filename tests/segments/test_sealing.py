"""Sealing: what HKDF and AES-GCM are given is what docs/formats/segment.md says, and a checked-in sealed file stays readable."""

import hmac
import itertools
import shutil
import struct
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from isotherm.devices.waiting import drive
from isotherm.errors import Corrupt
from isotherm.ids import SeededIds
from isotherm.segments import format as codec
from isotherm.segments import sealing
from isotherm.segments.port import BLOCK_BYTES, Extent, unpack_extents
from isotherm.segments.sealing import TenantSeal
from isotherm.testing.segments_rig import payload
from tests.segments import rigs
from tests.segments.test_format import pattern, scan

KEY = bytes(range(32))
TENANT = 0x01020304
SEALED_FILE = 0x2A9D7C1E44B0F3A6
OLD = {
    Extent(SEALED_FILE, 89, 1, 38292947, True): b"xsealed 1",
    Extent(SEALED_FILE, 166, 4096, 2269542918, True): b"xsealed 4096",
    Extent(SEALED_FILE, 4316, 5, 2321680056): b"xplain",
    Extent(SEALED_FILE, 8192, 70000, 1784220726, True): b"xsealed stream",
}


def seal(tenant=TENANT, key=KEY, seed=1):
    return TenantSeal(tenant, key, SeededIds(seed))


def extent_of(length):
    return Extent(7, 64, length, 0, True)


@pytest.mark.parametrize("size", [1, 100, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES])
def test_sealed_bytes_are_what_the_format_says(size):
    """Computed here from RFC 5869 and the associated data of the page, with nothing of the module's."""
    data = payload(size)
    sealed = seal().seal(data)
    pseudorandom = hmac.digest(sealed.salt, KEY, "sha256")
    cipher = AESGCM(hmac.digest(pseudorandom, b"isotherm extent 1\x01", "sha256"))
    frames = -(-size // BLOCK_BYTES)
    opened = b"".join(
        cipher.decrypt(
            frame.to_bytes(12, "big"),
            bytes(sealed.payload[frame * BLOCK_BYTES :][:BLOCK_BYTES]) + sealed.tags[16 * frame :][:16],
            struct.pack(">I16sIB", TENANT, sealed.salt, frame, frame == frames - 1),
        )
        for frame in range(frames)
    )
    assert opened == data
    assert len(sealed.payload) == size
    assert len(sealed.tags) == 16 * frames


@given(cuts=st.lists(st.integers(0, 3 * BLOCK_BYTES), max_size=8), size=st.integers(1, 3 * BLOCK_BYTES))
def test_however_it_arrives_a_payload_opens_again(cuts, size):
    data = payload(size)
    edges = sorted({0, size, *(cut for cut in cuts if cut < size)})
    one = seal()
    frames = one.begin()
    parts = [part for start, end in itertools.pairwise(edges) for part in frames.update([data[start:end]])]
    sealed = b"".join(parts + frames.finish())
    assert len(sealed) == size
    assert one.open(extent_of(size), frames.salt, 0, sealed, frames.tags) == data


def test_any_run_of_blocks_opens_by_itself():
    size = 4 * BLOCK_BYTES + 9
    data, one = payload(size), seal()
    sealed = one.seal(data)
    for first in range(5):
        for end in range(first + 1, 6):
            span = slice(first * BLOCK_BYTES, end * BLOCK_BYTES)
            tags = sealed.tags[16 * first : 16 * end]
            assert one.open(extent_of(size), sealed.salt, first, sealed.payload[span], tags) == data[span]


@pytest.mark.parametrize(
    "other", [seal(tenant=TENANT + 1), seal(key=bytes(32)), seal(key=KEY[::-1])], ids=["tenant", "no key", "key"]
)
def test_nothing_opens_under_another_tenant_or_key(other):
    sealed = seal().seal(payload(100))
    with pytest.raises(Corrupt):
        other.open(extent_of(100), sealed.salt, 0, sealed.payload, sealed.tags)


def test_no_block_opens_in_another_place_or_extent():
    size = 2 * BLOCK_BYTES
    one = seal()
    here, there = one.seal(payload(size)), one.seal(payload(size))
    first, last = here.payload[:BLOCK_BYTES], here.payload[BLOCK_BYTES:]
    attempts = [
        (extent_of(size), here.salt, 0, last, here.tags[16:]),
        (extent_of(size), here.salt, 1, first, here.tags[:16]),
        (extent_of(BLOCK_BYTES), here.salt, 0, first, here.tags[:16]),  # cut short
        (extent_of(3 * BLOCK_BYTES), here.salt, 1, last, here.tags[16:]),  # made longer
        (extent_of(size), there.salt, 0, first, here.tags[:16]),
        (extent_of(size), here.salt, 0, first, there.tags[:16]),
        (extent_of(size), here.salt, 0, first, b""),
    ]
    for attempt in attempts:
        with pytest.raises(Corrupt):
            one.open(*attempt)


def test_a_key_is_never_used_for_two_extents():
    one = seal()
    sealed = [one.seal(b"the same") for _ in range(100)]
    assert len({each.salt for each in sealed}) == len({bytes(each.payload) for each in sealed}) == 100


@given(
    owner=st.binary(min_size=1, max_size=codec.OWNER_BYTES_MOST),
    length=st.integers(1, 256 << 20),
    salt=st.binary(min_size=16, max_size=16),
    at=st.integers(32, 2**40),
    aligned=st.booleans(),
)
def test_a_sealed_header_comes_back_as_it_was(owner, length, salt, at, aligned):
    padding = codec.padding_for(at, owner, salt) if aligned else 0
    head = codec.encode_extent_header(owner, length, 7, padding, salt)
    header = codec.decode_extent_header(head, at)
    assert (header.owner, header.length, header.salt, header.sealed) == (owner, length, salt, True)
    assert header.payload_at == at + len(head)
    assert not aligned or header.payload_at % 4_096 == 0
    assert header.end == header.payload_at + length + codec.trailer_bytes(length, sealed=True)
    assert header.extent(7).sealed


@given(place=st.integers(0, 10_000), change=st.integers(1, 255))
def test_a_changed_sealed_header_is_none(place, change):
    head = bytearray(codec.encode_extent_header(b"owner", 1_000, 7, salt=bytes(range(16))))
    head[place % len(head)] ^= change
    assert codec.decode_extent_header(bytes(head), 32) is None


def test_a_reference_says_whether_it_is_sealed():
    plain, sealed = Extent(1, 2, 3, 4), Extent(1, 2, 3, 4, True)
    assert plain != sealed
    assert plain.pack() == bytes.fromhex("00000000000000010000000000000002000000000000000300000004")
    assert sealed.pack() == bytes.fromhex("00000000000000010000000000000002800000000000000300000004")
    assert unpack_extents(plain.pack() + sealed.pack()) == [plain, sealed]


def test_a_sealed_file_of_version_1_walks_without_a_key():
    with scan(Path(__file__).parent / "data" / f"{SEALED_FILE:016x}.seg", SEALED_FILE) as old:
        found = list(old.walk())
        assert {header.extent(SEALED_FILE): header.owner for header in found} == OLD
        for header in found:
            old.verified(header.extent(SEALED_FILE))
        assert found[-1].end == old.size


def test_a_sealed_file_of_version_1_opens_as_it_was_written(tmp_path):
    (tmp_path / "fast").mkdir()
    shutil.copy(Path(__file__).parent / "data" / f"{SEALED_FILE:016x}.seg", tmp_path / "fast")
    with rigs.opened(tmp_path) as rig:
        for extent in OLD:
            key = seal() if extent.sealed else None
            assert drive(rig.segments.read(extent, 0, extent.length, key)) == pattern(extent.length)


def test_ciphers_that_are_kept_open_nothing_for_another_key_and_are_few(monkeypatch):
    ciphers = sealing.Ciphers()
    mine, theirs = (sealing.TenantSeal(7, bytes([key]) * 32, SeededIds(key), ciphers) for key in (1, 2))
    sealed = mine.seal(b"x" * 100)
    extent = Extent(1, 64, 100, 0, sealed=True)
    for _ in range(2):
        assert mine.open(extent, sealed.salt, 0, sealed.payload, sealed.tags) == b"x" * 100
        with pytest.raises(Corrupt):
            theirs.open(extent, sealed.salt, 0, sealed.payload, sealed.tags)
    monkeypatch.setattr(sealing, "CIPHERS_MOST", 3)
    for number in range(10):
        sealed = mine.seal(bytes(number + 1))
        mine.open(Extent(1, 64, number + 1, 0, sealed=True), sealed.salt, 0, sealed.payload, sealed.tags)
        assert len(ciphers._kept) <= 3
