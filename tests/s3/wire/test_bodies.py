"""Bodies on their way in: how they end, who waits for whom, and what becomes of those nobody wants."""

import asyncio

import pytest

from isotherm.errors import NotFound
from isotherm.protocols.s3.framing import ChunkFraming
from isotherm.protocols.s3.limits import S3Settings
from isotherm.protocols.s3.receiving import BUFFER_BYTES
from isotherm.protocols.s3.wire import Reply
from tests.s3.wire.harness import EMPTY, Wire, answers, missing, run, sign, talk

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def chunked(target, body, *, headers=None):
    return sign("PUT", target, {"transfer-encoding": "chunked", **(headers or {})}, payload="UNSIGNED-PAYLOAD").replace(
        b"content-length: 0\r\n", b""
    ) + (body)


def test_a_chunked_body_is_understood_and_has_no_declared_size():
    first, second = talk(chunked("/b/k", b"5\r\nhello\r\nA\r\n, world...\r\n0\r\n\r\n"), sign("GET", "/b/l"))
    assert (first.body, first.headers["x-size"]) == (b"hello, world...", "None")
    assert second.status == 200


def test_chunks_of_a_byte_are_handed_on_together_and_large_ones_as_they_lie():
    pieces, rest = ChunkFraming().feed(b"1\r\nX\r\n" * 10_000 + b"0\r\n\r\nnext")
    assert (pieces, rest) == ([b"X" * 10_000], b"next")
    large = b"4000\r\n" + bytes(0x4000) + b"\r\n"
    pieces, rest = ChunkFraming().feed(large * 20)
    assert [type(piece) for piece in pieces] == [memoryview] * 20
    assert rest is None


def test_http_trailers_are_read_over():
    first, second = talk(chunked("/b/k", b"5\r\nhello\r\n0\r\nX-A: b\r\nHost: c\r\n\r\n"), sign("GET", "/b/l"))
    assert (first.body, second.status) == (b"hello", 200)


@pytest.mark.parametrize(
    "body",
    [
        b"5\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\n0\r\n\r\n",
        b"5\r\nhello!\r\n0\r\n\r\n",
        b"5 \r\nhello\r\n0\r\n\r\n",
        b" 5\r\nhello\r\n0\r\n\r\n",
        b"0x5\r\nhello\r\n0\r\n\r\n",
        b"+5\r\nhello\r\n0\r\n\r\n",
        b"5_0\r\nhello\r\n0\r\n\r\n",
        b"-5\r\nhello\r\n0\r\n\r\n",
        b"\r\nhello\r\n0\r\n\r\n",
        b"10000000000000005\r\nhello\r\n0\r\n\r\n",
        b"5;ext=1\r\nhello\r\n0\r\n\r\n",
        b"5\r\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\n X: y\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX : y\r\n\r\n",
        b"5\r\nhello\r\n0\r\nno colon\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX: " + b"y" * 9000 + b"\r\n\r\n",
        b"5\r\nhello\r\n0\r\n" + b"X: y\r\n" * 17 + b"\r\n",
        b"5" * 600 + b"\r\n",
    ],
)
def test_malformed_chunks_are_refused_and_the_connection_ends(body):
    [answer] = talk(chunked("/b/k", body + sign("GET", "/smuggled/request")))
    assert (answer.status, answer.code, answer.headers["connection"]) == (400, "BadRequest", "close")


def test_a_chunked_body_that_breaks_off_is_incomplete():
    [answer] = talk(chunked("/b/k", b"5\r\nhello\r\n"))
    assert (answer.status, answer.code) == (400, "IncompleteBody")


def test_a_body_that_breaks_off_is_incomplete():
    [answer] = talk(sign("PUT", "/b/k", body=b"hello")[:-1])
    assert (answer.status, answer.code, answer.headers["connection"]) == (400, "IncompleteBody", "close")


def test_a_body_that_breaks_off_behind_other_requests_is_incomplete_too():
    """The end of input is known before the last request is read."""

    async def dispatch(request):
        await asyncio.sleep(0)
        if request.key == "ignored":
            return Reply()
        return Reply(200, [], b"".join([bytes(piece) async for piece in request.body.pieces]))

    for key, status in (("k", 400), ("ignored", 200)):
        for cut_off in (1, 5):
            stream = sign("GET", "/b/l") + sign("PUT", f"/b/{key}", body=b"hello")[:-cut_off]
            assert [answer.status for answer in talk(stream, dispatch=dispatch)] == [200, status]


def test_an_object_needs_a_length_or_chunks():
    request = sign("PUT", "/b/k").replace(b"content-length: 0\r\n", b"")
    first, second = talk(request, sign("GET", "/b/k"))
    assert (first.status, first.code, second.status) == (411, "MissingContentLength", 200)


def test_a_bucket_and_a_copy_need_none():
    bucket = sign("PUT", "/b").replace(b"content-length: 0\r\n", b"")
    copy = sign("PUT", "/b/k", {"x-amz-copy-source": "/b/l"}).replace(b"content-length: 0\r\n", b"")
    assert [answer.status for answer in talk(bucket, copy)] == [200, 200]


def test_a_hash_of_something_is_refused_where_there_is_nothing():
    [answer] = talk(sign("GET", "/b/k", payload="0" * 64))
    assert answer.code == "XAmzContentSHA256Mismatch"


@pytest.mark.parametrize("payload", ["", "unsigned-payload", "UNSIGNED", EMPTY.upper(), "STREAMING-X", "z" * 64])
def test_a_payload_word_that_means_nothing_is_refused(payload):
    [answer] = talk(sign("GET", "/b/k", {"x-amz-content-sha256": payload}, payload=payload or " "))
    assert answer.code in ("InvalidArgument", "SignatureDoesNotMatch")


# 100 Continue -----------------------------------------------------------------------------------------------------------


def expecting(body=b"hello", **more):
    head, _, rest = sign("PUT", "/b/k", body=body, **more).partition(b"\r\n\r\n")
    return head + b"\r\nExpect: 100-continue\r\n\r\n", rest


async def dialogue(wire, head, rest):
    """Send a head, read what comes, send the rest if told to go on. (whether told, the answers)"""
    reader, writer = await wire.connect()
    writer.write(head)
    first = await reader.readuntil(b"\r\n\r\n")
    if first == CONTINUE:
        writer.write(rest)
        writer.write_eof()
        return True, answers(await reader.read())
    data = first + await reader.read()
    return False, answers(data)


def test_a_client_is_told_to_go_on_when_the_verb_wants_the_body():
    told, [answer] = run(dialogue(Wire(), *expecting()))
    assert told
    assert answer.body == b"hello"


def test_a_client_is_not_told_to_go_on_when_it_may_not():
    told, [answer] = run(dialogue(Wire(), *expecting(secret="wrong")))
    assert not told
    assert (answer.code, answer.headers["connection"]) == ("SignatureDoesNotMatch", "close")


def test_a_client_is_not_told_to_go_on_when_the_verb_refuses_beforehand():
    told, [answer] = run(dialogue(Wire(missing), *expecting()))
    assert not told
    assert (answer.code, answer.headers["connection"]) == ("NoSuchKey", "close")


def test_a_client_that_did_not_wait_is_not_told():
    head, rest = expecting()
    data = run(Wire().converse(head + rest))
    assert CONTINUE not in data
    assert answers(data)[0].body == b"hello"


def test_an_unknown_expectation_is_refused():
    head, rest = expecting()
    [answer] = talk(head.replace(b"100-continue", b"tea") + rest)
    assert (answer.status, answer.code) == (400, "InvalidArgument")


# bodies nobody wants ------------------------------------------------------------------------------------------------------


def test_a_short_body_that_nobody_wanted_is_read_over():
    put = sign("PUT", "/b/k", body=b"x" * 10_000)
    first, second = talk(put[:5000], put[5000:] + sign("GET", "/b/l"), dispatch=missing)
    assert (first.code, second.code) == ("NoSuchKey", "NoSuchKey")
    assert "connection" not in first.headers


def test_a_long_body_that_nobody_wanted_ends_the_connection_but_the_answer_arrives():
    put = sign("PUT", "/b/k", body=b"x" * 3_000_000)
    found = talk(put, sign("GET", "/b/l"), dispatch=missing)
    assert [(answer.code, answer.headers["connection"]) for answer in found] == [("NoSuchKey", "close")]


def test_a_chunked_body_that_nobody_wanted_ends_the_connection():
    [answer] = talk(chunked("/b/k", b"5\r\nhello\r\n"), dispatch=missing)
    assert answer.headers["connection"] == "close"


def test_the_body_of_a_refused_request_is_not_taken_for_the_next_one():
    inner = sign("GET", "/smuggled/request")
    outer = sign("PUT", "/b/k", body=inner, secret="wrong")
    first, second = talk(outer, sign("GET", "/b/l"))
    assert (first.code, second.status, second.headers["x-bucket"]) == ("SignatureDoesNotMatch", 200, "b")


# back-pressure ------------------------------------------------------------------------------------------------------------


def test_reading_stops_while_the_verb_does_not_take_what_is_there():
    """The verb waits until the client cannot get rid of more bytes, then takes them all."""
    size = 64 << 20

    async def conversation():
        stuck = asyncio.Event()
        ahead = []

        async def dispatch(request):
            await stuck.wait()
            ahead.append(request.body.pieces.ahead)
            taken = 0
            async for piece in request.body.pieces:
                taken += len(piece)
                ahead.append(request.body.pieces.ahead)
            return Reply(200, [("x-taken", str(taken))])

        wire = Wire(dispatch)
        reader, writer = await wire.connect()
        writer.transport.set_write_buffer_limits(high=1)
        head, _, _ = sign("PUT", "/b/k", payload="UNSIGNED-PAYLOAD").partition(b"\r\n\r\n")
        writer.write(head.replace(b"content-length: 0", b"content-length: %d" % size) + b"\r\n\r\n")
        sent = 0
        piece = bytes(1 << 20)
        try:
            while sent < size:
                writer.write(piece)
                sent += len(piece)
                await asyncio.wait_for(writer.drain(), 0.5)
        except TimeoutError:
            stuck.set()
        assert sent < 16 << 20
        while sent < size:
            writer.write(piece)
            sent += len(piece)
            await writer.drain()
        writer.write_eof()
        [answer] = answers(await reader.read())
        assert max(ahead) <= (1 << 20) + BUFFER_BYTES
        return answer

    assert run(conversation()).headers["x-taken"] == str(size)


def test_pipelined_requests_wait_in_the_socket_while_one_is_answered():
    async def conversation():
        gate = asyncio.Event()

        async def dispatch(request):
            await gate.wait()
            return Reply(200, [("x-key", request.key)])

        wire = Wire(dispatch, settings=S3Settings(pipelined_bytes_most=10_000))
        reader, writer = await wire.connect()
        requests = [sign("GET", f"/b/{number}") for number in range(3_000)]
        writer.write(b"".join(requests))
        for _ in range(50):
            await asyncio.sleep(0)
        [connection] = wire.roster
        waiting = len(connection._ahead)
        gate.set()
        writer.write_eof()
        return waiting, answers(await reader.read())

    waiting, found = run(conversation())
    assert waiting <= 10_000 + (256 << 10)
    assert [answer.headers["x-key"] for answer in found] == [str(number) for number in range(3_000)]


def test_replies_are_not_made_faster_than_they_are_read():
    async def conversation():
        made = []

        async def dispatch(request):
            made.append(request.key)
            return Reply(200, [], bytes(100_000))

        wire = Wire(dispatch)
        reader, writer = await wire.connect()
        writer.write(b"".join(sign("GET", f"/b/{number}") for number in range(500)))
        for _ in range(200):
            await asyncio.sleep(0)
        unread = len(made)
        writer.write_eof()
        return unread, answers(await reader.read())

    unread, found = run(conversation())
    assert unread < 100
    assert len(found) == 500


# clients that go ----------------------------------------------------------------------------------------------------------


def test_a_verb_is_cancelled_when_its_client_resets_the_connection():
    async def conversation():
        begun, ended = asyncio.Event(), asyncio.Event()

        async def dispatch(request):
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        wire = Wire(dispatch)
        _, writer = await wire.connect()
        writer.write(sign("GET", "/b/k") + b"GET")
        await begun.wait()
        writer.transport.abort()
        [connection] = wire.roster
        connection.abort()
        await ended.wait()
        return wire.logged()

    [line] = run(conversation())
    assert line["status"] == 499


def test_a_verb_that_waits_for_a_body_learns_that_it_will_not_come():
    async def conversation():
        seen = asyncio.get_running_loop().create_future()

        async def dispatch(request):
            try:
                async for _ in request.body.pieces:
                    pass
            except BaseException as error:
                seen.set_result(getattr(error, "code", type(error).__name__))
                raise
            return Reply()

        _, writer = await Wire(dispatch).connect()
        writer.write(sign("PUT", "/b/k", body=b"hello")[:-2])
        await asyncio.sleep(0)
        writer.close()
        return await seen

    assert run(conversation()) in ("IncompleteBody", "CancelledError")


def test_a_verb_that_fails_later_than_its_body_is_told_all_the_same():
    async def dispatch(request):
        async for _ in request.body.pieces:
            await asyncio.sleep(0)
        raise NotFound("gone")

    first, second = talk(sign("PUT", "/b/k", body=bytes(100_000)), sign("GET", "/b/l"), dispatch=dispatch)
    assert (first.code, second.code) == ("NoSuchKey", "NoSuchKey")


# pieces -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [8_192, 20_000, 100_000])
def test_pieces_are_neither_empty_nor_needlessly_small(size):
    sizes = []

    async def dispatch(request):
        async for piece in request.body.pieces:
            sizes.append(len(piece))
        return Reply()

    body = b"%x\r\n%b\r\n" % (size, b"x" * size) * 20 + b"0\r\n\r\n"
    head = sign(
        "PUT", "/b/k", {"x-amz-decoded-content-length": str(20 * size)}, payload="STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    )
    [answer] = talk(head.replace(b"content-length: 0", b"content-length: %d" % len(body)) + body, dispatch=dispatch)
    assert answer.status == 200
    assert sum(sizes) == 20 * size
    assert min(sizes) > 0
    assert len(sizes) <= 20 + 20 * size // 4096
