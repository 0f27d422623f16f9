"""Large bodies, which the transport reads straight into buffers that are used again."""

import asyncio
import hashlib
import os

import pytest

from isotherm.protocols.s3.limits import S3Settings
from isotherm.protocols.s3.receiving import BUFFER_BYTES, RECEIVERS_MOST, Buffers
from isotherm.protocols.s3.wire import Reply
from tests.s3.wire.harness import Wire, answers, missing, run, sign, talk
from tests.s3.wire.test_times import after

BODY = os.urandom(5 * BUFFER_BYTES + 4_321)


async def digest(request):
    """Tells what came: a body that came back would have to be read while the next one is sent."""
    found = hashlib.sha256()
    async for piece in request.body.pieces:
        found.update(piece)
    return Reply(200, [], found.digest())


def digest_of(data):
    return hashlib.sha256(data).digest()


async def until(true):
    while not true():  # noqa: ASYNC110  (nothing tells of it)
        await asyncio.sleep(0)


def cut(data, *at):
    return [data[start:end] for start, end in zip((0, *at), (*at, len(data)), strict=True)]


@pytest.mark.parametrize("size", [BUFFER_BYTES - 1, BUFFER_BYTES, BUFFER_BYTES + 1, 3 * BUFFER_BYTES, len(BODY)])
@pytest.mark.parametrize("payload", [None, "UNSIGNED-PAYLOAD"])
def test_a_large_body_arrives_as_it_was_sent_and_the_next_request_is_read(size, payload):
    put = sign("PUT", "/b/k", body=BODY[:size], payload=payload)
    head = put.index(b"\r\n\r\n") + 4
    stream = put + sign("GET", "/b/l") + sign("PUT", "/b/m", body=BODY)
    for pieces in ([stream], cut(stream, head), cut(stream, head + 1, head + 70_000, len(put) - 1, len(put) + 3)):
        first, second, third = talk(*pieces, dispatch=digest)
        assert [first.body, second.body, third.body] == [digest_of(BODY[:size]), digest_of(b""), digest_of(BODY)]


def test_a_verb_may_keep_every_piece():
    seen = []

    async def keep(request):
        async for piece in request.body.pieces:
            seen.append(piece)
            await asyncio.sleep(0)
        return Reply()

    assert [answer.status for answer in talk(sign("PUT", "/b/k", body=BODY), dispatch=keep)] == [200]
    assert b"".join(seen) == BODY
    assert any(isinstance(piece, memoryview) for piece in seen)


def test_pieces_end_where_blocks_do():
    ends = []

    async def measure(request):
        async for piece in request.body.pieces:
            ends.append(len(piece) + (ends[-1] if ends else 0))
        return Reply()

    talk(*cut(sign("PUT", "/b/k", body=BODY), 1_000), dispatch=measure)
    assert ends[-1] == len(BODY)
    assert {BUFFER_BYTES * number for number in range(1, 6)} <= set(ends)


def test_a_wrong_hash_is_found():
    put = sign("PUT", "/b/k", body=BODY)
    [answer] = talk(put[:-1] + bytes((put[-1] ^ 1,)))
    assert answer.code == "XAmzContentSHA256Mismatch"


@pytest.mark.parametrize("left", [1, BUFFER_BYTES, len(BODY) - 1])
def test_a_large_body_that_breaks_off_is_incomplete_and_counted(left):
    wire = Wire()
    put = sign("PUT", "/b/k", body=BODY)
    [answer] = answers(run(wire.converse(put[:-left])))
    assert (answer.status, answer.code, answer.headers["connection"]) == (400, "IncompleteBody", "close")
    assert wire.logged()[0]["bytes_in"] == len(BODY) - left
    assert wire.endpoint.buffers.receivers == 0


def test_the_rest_of_a_large_body_that_nobody_wants_is_read_over_where_it_is_short():
    async def impatient(request):
        async for _ in request.body.pieces:
            break
        return await missing(request)

    body = BODY[: 2 * BUFFER_BYTES]
    put = sign("PUT", "/b/k", body=body)
    first, second = talk(put + sign("GET", "/b/l"), dispatch=impatient, settings=S3Settings(drain_bytes_most=len(body)))
    assert (first.code, second.code) == ("NoSuchKey", "NoSuchKey")


def test_a_client_that_vanishes_gives_its_place_back():
    async def check():
        wire = Wire()
        for _ in range(RECEIVERS_MOST + 3):
            _, writer = await wire.connect()
            writer.write(sign("PUT", "/b/k", body=BODY)[: 2 * BUFFER_BYTES])
            await writer.drain()
            writer.transport.abort()
        await until(lambda: not len(wire.roster))
        assert wire.endpoint.buffers.receivers == 0

    run(check())


def test_only_so_many_clients_have_a_buffer_and_the_others_are_served_all_the_same():
    async def check():
        begun = 0

        async def counting(request):
            nonlocal begun
            begun += 1
            return await digest(request)

        wire = Wire(counting)
        put = sign("PUT", "/b/k", body=BODY)
        clients = [await wire.connect() for _ in range(RECEIVERS_MOST + 5)]
        for _, writer in clients:
            writer.write(put[:100_000])
        await until(lambda: begun == len(clients))
        assert wire.endpoint.buffers.receivers == RECEIVERS_MOST
        for reader, writer in clients:
            writer.write(put[100_000:])
            writer.write_eof()
            [answer] = answers(await reader.read())
            assert answer.body == digest_of(BODY)
        assert wire.endpoint.buffers.receivers == 0

    run(check())


@pytest.mark.parametrize(("moments", "waited_for"), [((29, 58, 87), True), ((29, 58, 89), False)])
def test_a_slow_body_is_waited_for_as_long_as_it_goes_on(moments, waited_for):
    async def check():
        wire = Wire(settings=S3Settings(body_s=30))
        reader, writer = await wire.connect()
        put = sign("PUT", "/b/k", body=BODY)
        found = b""
        for number, moment in enumerate(moments):
            writer.write(put[5_000 * number : 5_000 * (number + 1)])
            found, _ = await after(wire, reader, moment)
        writer.transport.abort()
        return found

    assert (b"RequestTimeout" in run(check())) is not waited_for


def test_a_client_that_goes_on_sending_does_not_hold_a_connection_that_ends():
    async def check():
        wire = Wire(missing, settings=S3Settings(linger_s=2))
        reader, writer = await wire.connect()
        put = sign("PUT", "/b/k", body=BODY)
        writer.write(put[:5_000])
        await after(wire, reader, 0)
        for number in range(1, 5):
            writer.write(put[5_000 * number : 5_000 * (number + 1)])
            _, ended = await after(wire, reader, number)
        assert ended

    run(check())


def test_a_buffer_is_not_used_again_while_anybody_sees_it():
    buffers = Buffers()
    first = buffers.take()
    view = memoryview(first)[10:20]
    assert buffers.take() is not first
    part = view[2:3]
    view.release()
    assert all(buffers.take() is not first for _ in range(100))
    part.release()
    assert any(buffers.take() is first for _ in range(100))
    assert len(first) == BUFFER_BYTES
