"""Bytes that go in come out: every size around a border, every range around a block."""

import hashlib
import mmap
from array import array

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import Invalid, NotFound
from isotherm.objects.checksums import Digester
from isotherm.objects.model import Attributes, Body
from isotherm.store import Store
from tests.objects.stores import KIB, MIB, body, get, live_bytes, payload

BLOCK = 64 * KIB
BORDERS = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, MIB - 1, MIB, MIB + 1, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1]


def forms(data):
    yield "whole", data
    yield "memoryview", memoryview(bytearray(data))
    yield "declared", body(data)
    yield "undeclared", body(data, declared=False)


@pytest.mark.parametrize("size", BORDERS)
def test_every_form_of_a_body_comes_back_whole(space, engines, size):
    data = payload(size)
    for form, sent in forms(data):
        before = live_bytes(engines)
        version = drive(space.put("box", form, sent))
        assert version.size == size
        assert get(space, "box", form) == data
        assert drive(space.head("box", form)).etag == version.etag
        assert live_bytes(engines) == before + size


def wide_buffers(data):
    """The same bytes in buffers whose length is not that of their bytes."""
    yield "items of four bytes", memoryview(array("I", bytes(data)))
    yield "rows", memoryview(data).cast("B", (4, len(data) // 4))
    yield "every second byte", memoryview(b"".join(bytes((byte, 0)) for byte in data))[::2]


@pytest.mark.parametrize("size", [12, BLOCK + 4, MIB, MIB + 4])
def test_a_body_is_as_long_as_its_bytes_whatever_the_items_of_its_buffer(space, engines, size):
    data = payload(size)
    for name, buffer in wide_buffers(data):
        for form, sent in [("whole", buffer), ("undeclared", Body(pieces_of([buffer])))]:
            before = live_bytes(engines)
            version = drive(space.put("box", f"{name} {form}", sent))
            assert version.size == size
            assert get(space, "box", f"{name} {form}") == data
            assert live_bytes(engines) == before + size


async def pieces_of(pieces):
    for piece in pieces:
        yield piece


def test_a_program_may_put_whatever_gives_a_buffer(space, engines, tmp_path):
    data = payload(2 * MIB + 4)
    file = tmp_path / "file"
    file.write_bytes(data)
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 0) as mapped:
        for sent in (array("I", data), mapped, opened, [memoryview(array("I", data))], bytearray(data)):
            assert Store(engines).put("box", "key", sent).size == len(data)
            assert get(space, "box", "key") == data


async def refilling(data, piece_bytes):
    """A source that fills one buffer again and again, as `readinto` does."""
    buffer = bytearray(piece_bytes)
    for at in range(0, len(data), piece_bytes):
        piece = data[at : at + piece_bytes]
        buffer[: len(piece)] = piece
        yield memoryview(buffer)[: len(piece)]


@pytest.mark.parametrize("size", [BLOCK + 1, 3 * MIB + 5])
@pytest.mark.parametrize("declared", [True, False])
def test_a_source_may_fill_one_buffer_again_and_again(space, size, declared):
    data = payload(size)
    version = drive(space.put("box", "key", Body(refilling(data, 10_000), size if declared else None)))
    assert version.size == size
    assert get(space, "box", "key") == data


@pytest.mark.parametrize("size", [BLOCK + 1, 3 * MIB + 5])
def test_what_is_hashed_is_what_is_written_though_the_buffer_changes_meanwhile(space, engines, monkeypatch, size):
    buffer = bytearray(payload(size))
    update = Digester.update

    def updating(digester, data):
        update(digester, data)
        buffer[:] = bytes(size)

    monkeypatch.setattr(Digester, "update", updating)
    etag = drive(space.put("box", "key", buffer)).etag
    assert hashlib.md5(get(space, "box", "key")).hexdigest() == etag


@pytest.mark.parametrize("size", BORDERS)
def test_etag_is_the_md5_up_to_the_stated_size_and_opaque_beyond(space, size):
    data = payload(size)
    for form, sent in forms(data):
        etag = drive(space.put("box", form, sent)).etag
        if size <= 8 * MIB:
            assert etag == hashlib.md5(data).hexdigest()
        else:
            digest, _, parts = etag.partition("-")
            assert parts == "1"
            assert len(digest) == 32
            assert digest != hashlib.md5(data).hexdigest()


@pytest.mark.parametrize("size", [BLOCK + 1, MIB + 1, 3 * MIB + 5])
def test_ranges_around_every_border(space, size):
    data = payload(size)
    drive(space.put("box", "key", data))
    edges = [0, 1, BLOCK - 1, BLOCK, BLOCK + 1, MIB - 1, MIB, MIB + 1, size - 1, size]
    edges = sorted({edge for edge in edges if edge <= size})
    for start in edges:
        for end in edges:
            if end >= start:
                assert get(space, "box", "key", offset=start, length=end - start) == data[start:end], (start, end)


def test_pieces_of_one_byte_and_empty_pieces(space):
    async def pieces():
        for byte in b"isotherm":
            yield b""
            yield bytes((byte,))

    assert drive(space.put("box", "key", Body(pieces()))).size == 8
    assert get(space, "box", "key") == b"isotherm"


def test_a_large_object_streams_out_in_pieces_of_bounded_size(space):
    data = payload(5 * MIB + 3)
    drive(space.put("box", "key", data))

    async def read():
        with await space.open("box", "key") as reading:
            return [piece async for piece in reading.chunks(7, len(data) - 7)]

    pieces = drive(read())
    assert b"".join(pieces) == data[7:]
    assert max(map(len, pieces)) <= MIB


def test_a_body_that_fails_on_its_way_stores_nothing(space, engines):
    async def broken(size):
        yield payload(size)
        raise Invalid("The body ended early.", code="IncompleteBody")

    for size in (10, 3 * MIB):
        for declared in (None, size + 1):
            with pytest.raises(Invalid, match="ended early"):
                drive(space.put("box", "key", Body(broken(size), declared)))
    with pytest.raises(NotFound):
        drive(space.head("box", "key"))
    assert live_bytes(engines) == 0


def test_too_large_a_body_is_refused_before_a_byte_is_read(space):
    async def never():
        raise AssertionError("read")
        yield b""

    with pytest.raises(Invalid) as refused:
        drive(space.put("box", "key", Body(never(), (5 << 30) + 1)))
    assert refused.value.code == "EntityTooLarge"


def test_overwriting_replaces_bytes_and_attributes_and_gives_the_space_back(space, engines):
    first = Attributes({"content-type": "text/plain"}, {"colour": "blue", "größe": "é"})
    drive(space.put("box", "key", payload(3 * MIB), attributes=first))
    assert drive(space.head("box", "key")).attributes == first
    drive(space.put("box", "key", b"new"))
    version = drive(space.head("box", "key"))
    assert (version.size, version.attributes) == (3, Attributes())
    assert get(space, "box", "key") == b"new"
    assert live_bytes(engines) == 3 * MIB + 3  # until the old manifest has been dismantled


@pytest.mark.parametrize(
    "key",
    [
        *("a", "/", "//", ".", "..", "a/../b", "\0", "\x01\x1f\x7f", "a\0b\0", "é", "e\u0301", "\U0010ffff", "\ufeff"),
        *("k" * 1024, "é" * 512, "\0" * 1024),
    ],
)
def test_a_key_is_an_opaque_string(space, key):
    drive(space.put("box", key, key.encode()))
    assert get(space, "box", key) == key.encode()
    assert [entry.key for entry in drive(space.list("box")).entries] == [key]
    drive(space.delete("box", key))
    with pytest.raises(NotFound):
        drive(space.head("box", key))


@pytest.mark.parametrize(
    ("key", "code"),
    [
        ("", "InvalidArgument"),
        ("k" * 1025, "KeyTooLongError"),
        ("é" * 513, "KeyTooLongError"),
        ("\ud800", "InvalidURI"),
    ],
)
def test_what_cannot_be_a_key(space, key, code):
    for attempt in (space.put("box", key, b""), space.head("box", key), space.delete("box", key)):
        with pytest.raises(Invalid) as refused:
            drive(attempt)
        assert refused.value.code == code


def test_what_is_not_there(space):
    for key in ("key", "\0"):
        with pytest.raises(NotFound) as missing:
            drive(space.open("box", key))
        assert (missing.value.code, missing.value.detail) == ("NoSuchKey", {"Key": key})
    with pytest.raises(NotFound) as missing:
        drive(space.head("nowhere", "key"))
    assert missing.value.code == "NoSuchBucket"


@pytest.mark.parametrize("name", ["\ud800", "b" * 4_000, "", "\0"])
def test_a_bucket_that_cannot_be_is_not_there(space, name):
    calls = [space.head(name, "key"), space.put(name, "key", b""), space.list(name), space.bucket(name)]
    for call in [*calls, space.delete_bucket(name), space.find({"a": "b"}, bucket=name)]:
        with pytest.raises(NotFound) as missing:
            drive(call)
        assert missing.value.code == "NoSuchBucket"
