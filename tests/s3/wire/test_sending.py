"""Replies on their way out: whole, in ranges, in pieces; how they end, and how they break off."""

import asyncio
import contextlib
import os
import random

import pytest

from isotherm.errors import Corrupt, NotFound
from isotherm.protocols.s3.wire import Ranged, Reply
from tests.s3.wire.harness import Wire, answers, run, sign, talk
from tests.s3.wire.readings import FileReading

SIZE = 9_000_001


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    path = tmp_path_factory.mktemp("sending") / "object"
    path.write_bytes(random.Random(1).randbytes(SIZE))
    return path


def ranged(reading, offset, length, status=200):
    async def dispatch(request):
        return Reply(status, [("x-key", request.key)], Ranged(reading, offset, length))

    return dispatch


def every_second_span(offset, length):
    return (offset >> 20) % 2 == 1


@pytest.mark.parametrize("length", [0, 1, 4096, 256 << 10, (256 << 10) + 1, 1 << 20, (1 << 20) + 1, 5 << 20, SIZE - 17])
@pytest.mark.parametrize(
    "how",
    [{}, {"at_hand": True}, {"verified": True}, {"at_hand": True, "verified": True}, {"verified": every_second_span}],
    ids=["from the device", "at hand", "verified", "both", "verified here and there"],
)
def test_a_range_arrives_as_it_is_and_its_reading_is_closed(stored, how, length):
    reading = FileReading(stored, **how)
    found = talk(sign("GET", "/b/k"), dispatch=ranged(reading, 17, length))
    assert found[0].body == stored.read_bytes()[17 : 17 + length]
    assert found[0].headers["content-length"] == str(length)
    assert reading.closed >= 1


def test_verified_ranges_go_by_sendfile(stored):
    reading = FileReading(stored, verified=True)
    talk(sign("GET", "/b/k"), dispatch=ranged(reading, 0, SIZE))
    assert reading.ways == {"sendfile"}


def test_what_follows_a_file_on_the_connection_follows_it(stored):
    async def dispatch(request):
        if request.key.startswith("file"):
            return Reply(200, [], Ranged(FileReading(stored, verified=True), 0, 2_000_000))
        return Reply(200, [], request.key.encode())

    keys = ["file1", "a", "file2", "file3", "b"]
    found = talk(b"".join(sign("GET", f"/b/{key}") for key in keys), dispatch=dispatch)
    content = stored.read_bytes()[:2_000_000]
    assert [answer.body for answer in found] == [content, b"a", content, content, b"b"]


def test_a_file_that_is_not_in_memory_arrives_all_the_same(stored):
    descriptor = os.open(stored, os.O_RDONLY)
    os.fsync(descriptor)
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(descriptor)
    [answer] = talk(sign("GET", "/b/k"), dispatch=ranged(FileReading(stored, verified=True), 0, SIZE))
    assert answer.body == stored.read_bytes()


def test_head_of_a_range_sends_its_length_alone(stored):
    reading = FileReading(stored)
    [answer] = talk(sign("HEAD", "/b/k"), methods=["HEAD"], dispatch=ranged(reading, 0, SIZE))
    assert answer.headers["content-length"] == str(SIZE)
    assert (reading.ways, reading.closed) == (set(), 1)


@pytest.mark.parametrize("length", [1000, SIZE])
def test_an_error_before_the_first_byte_is_told(stored, length):
    reading = FileReading(stored, spoilt_at=10, error=NotFound("the segment is gone"))
    first, second = talk(sign("GET", "/b/k"), sign("GET", "/b/l"), dispatch=ranged(reading, 0, length))
    assert (first.status, first.code, second.status) == (404, "NoSuchKey", 404)
    assert reading.closed >= 1


def test_an_error_after_the_first_byte_breaks_the_connection_off(stored):
    wire = Wire(ranged(FileReading(stored, spoilt_at=3 << 20, error=Corrupt("block 48")), 0, SIZE))
    data = run(wire.converse(sign("GET", "/b/k"), sign("GET", "/b/l")))
    assert data.count(b"HTTP/1.1") == 1
    assert len(data) < SIZE
    assert "block 48" in wire.said[0]
    assert [line["status"] for line in wire.logged()] == [499]


def test_a_file_shorter_than_its_range_breaks_the_connection_off(stored):
    wire = Wire(ranged(FileReading(stored, verified=True), SIZE - 1_000_000, 2_000_000))
    data = run(wire.converse(sign("GET", "/b/k")))
    assert len(data.partition(b"\r\n\r\n")[2]) == 1_000_000


def pieces(*found, error=None):
    async def dispatch(request):
        async def generate():
            for piece in found:
                await asyncio.sleep(0)
                yield piece
            if error is not None:
                raise error

        return Reply(200, [("x-key", request.key)], generate())

    return dispatch


def test_an_iterator_is_sent_in_chunks():
    first, second = talk(sign("GET", "/b/k"), sign("GET", "/b/l"), dispatch=pieces(b"one", b"", b"two" * 100_000))
    assert first.headers["transfer-encoding"] == "chunked"
    assert first.body == second.body == b"one" + b"two" * 100_000


def test_an_empty_iterator_is_a_reply_too():
    first, second = talk(sign("GET", "/b/k"), sign("GET", "/b/l"), dispatch=pieces())
    assert (first.body, second.headers["x-key"]) == (b"", "l")


def test_an_iterator_that_fails_at_once_is_told():
    first, second = talk(sign("GET", "/b/k"), sign("GET", "/b/l"), dispatch=pieces(error=NotFound("gone")))
    assert (first.code, second.code) == ("NoSuchKey", "NoSuchKey")


def test_an_iterator_that_fails_later_breaks_the_connection_off():
    data = run(Wire(pieces(b"one", error=ZeroDivisionError())).converse(sign("GET", "/b/k")))
    assert data.endswith(b"3\r\none\r\n")


@pytest.mark.parametrize(("length", "whole"), [(6, True), (5, False), (7, False)])
def test_an_iterator_of_announced_length_keeps_its_word_or_breaks_off(length, whole):
    async def dispatch(request):
        async def generate():
            yield b"one"
            yield b"two"

        return Reply(200, [], generate(), length=length)

    data = run(Wire(dispatch).converse(sign("GET", "/b/k")))
    assert b"transfer-encoding" not in data.lower()
    if whole:
        assert [answer.body for answer in answers(data)] == [b"onetwo"]
    else:
        assert data.count(b"HTTP/1.1") == 1
        assert len(data.partition(b"\r\n\r\n")[2]) < length


@pytest.mark.parametrize("short", [1, 3 << 20])
def test_a_reading_that_gives_less_than_it_should_breaks_off(stored, short):
    reading = FileReading(stored)
    whole = reading.chunks

    async def chunks(offset, length):
        async for piece in whole(offset, length - (short if offset + length == SIZE else 0)):
            yield piece

    reading.chunks = chunks
    data = run(Wire(ranged(reading, 0, SIZE)).converse(sign("GET", "/b/k")))
    assert len(data.partition(b"\r\n\r\n")[2]) < SIZE


def test_a_file_waits_until_what_was_written_before_has_gone(stored):
    """Large replies that the client has not read stand in the transport when the file's turn comes."""

    async def dispatch(request):
        if request.key == "file":
            return Reply(200, [], Ranged(FileReading(stored, verified=True), 0, SIZE))
        return Reply(200, [], request.key.encode() * 900_000)

    async def conversation():
        reader, writer = await Wire(dispatch).connect()
        writer.transport.pause_reading()
        writer.write(b"".join(sign("GET", f"/b/{key}") for key in ("a", "file", "b", "file")))
        for _ in range(50):
            await asyncio.sleep(0)
        writer.transport.resume_reading()
        writer.write_eof()
        return answers(await reader.read())

    content = stored.read_bytes()
    assert [answer.body for answer in run(conversation())] == [b"a" * 900_000, content, b"b" * 900_000, content]


def test_http_1_0_gets_no_chunks_and_its_connection_ends():
    request = sign("GET", "/b/k").replace(b"HTTP/1.1", b"HTTP/1.0")
    [answer] = talk(request, dispatch=pieces(b"one", b"two"))
    assert answer.body == b"onetwo"
    assert answer.headers["connection"] == "close"


def test_http_1_0_is_kept_alive_only_if_it_asks():
    async def dispatch(request):
        return Reply(200, [], b"x")

    old = sign("GET", "/b/k").replace(b"HTTP/1.1", b"HTTP/1.0")
    assert [answer.headers["connection"] for answer in talk(old + old, dispatch=dispatch)] == ["close"]
    kept = old.replace(b"\r\n\r\n", b"\r\nConnection: Keep-Alive\r\n\r\n")
    assert [answer.headers["connection"] for answer in talk(kept + kept, dispatch=dispatch)] == ["keep-alive"] * 2


@pytest.mark.parametrize("words", [b"close", b"Close", b"foo, close", b"keep-alive, close"])
def test_the_client_may_ask_for_the_end(words):
    request = sign("GET", "/b/k").replace(b"\r\n\r\n", b"\r\nConnection: " + words + b"\r\n\r\n")
    [answer] = talk(request + sign("GET", "/b/l"))
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("words", [b"keep-alive", b"TE", b"x-close"])
def test_other_connection_options_do_not_end_it(words):
    request = sign("GET", "/b/k").replace(b"\r\n\r\n", b"\r\nConnection: " + words + b"\r\n\r\n")
    assert len(talk(request + request)) == 2


@pytest.mark.parametrize("status", [204, 304])
def test_replies_without_a_body_have_no_length(status):
    async def dispatch(request):
        return Reply(status, [("ETag", '"x"')])

    first, second = talk(sign("GET", "/b/k"), sign("GET", "/b/l"), dispatch=dispatch)
    assert first.status == second.status == status
    assert "content-length" not in first.headers


def test_a_renderer_that_fails_still_gives_a_reply():
    def render(error, facts):
        raise ValueError("no template")

    wire = Wire()
    wire.endpoint.render_error = render
    [answer] = answers(run(wire.converse(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")))
    assert answer.status == 500
    assert "no template" in wire.said[0]


def test_a_slow_reader_holds_the_file_back_and_gets_it_all(stored):
    async def conversation():
        wire = Wire(ranged(FileReading(stored, verified=True), 0, SIZE))
        reader, writer = await wire.connect()
        writer.write(sign("GET", "/b/k"))
        writer.write_eof()
        data = b""
        while piece := await reader.read(100_000):
            data += piece
            await asyncio.sleep(0)
        return data

    [answer] = answers(run(conversation()))
    assert answer.body == stored.read_bytes()


def descriptors(path):
    """How many of this process lead to `path` or to a socket."""
    found = 0
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{name}")
            found += target == str(path) or target.startswith("socket:")
    return found


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_reader_that_goes_leaves_nothing_open(stored, in_memory):
    async def conversation():
        before = descriptors(stored)
        for _ in range(20):
            if not in_memory:
                descriptor = os.open(stored, os.O_RDONLY)
                os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
                os.close(descriptor)
            wire = Wire(ranged(FileReading(stored, verified=True), 0, SIZE))
            reader, writer = await wire.connect()
            writer.write(sign("GET", "/b/k"))
            await reader.readexactly(100_000)
            writer.transport.abort()
            while len(wire.roster):
                for connection in list(wire.roster):
                    connection.abort()
                await asyncio.sleep(0)
        while descriptors(stored) > before:  # noqa: ASYNC110  # there is no event for it
            await asyncio.sleep(0)

    run(conversation())
