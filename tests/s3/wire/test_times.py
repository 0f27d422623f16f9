"""Clients that are slow, or silent: the roster's sweep is called with the times that matter, and nothing waits for them."""

import asyncio

import pytest

from isotherm.protocols.s3.expiry import Doing, Lasting, Verdict, judge
from isotherm.protocols.s3.limits import S3Settings
from isotherm.protocols.s3.wire import Reply
from tests.s3.wire.harness import Wire, answers, run, sign

SETTINGS = S3Settings(head_s=20, body_s=30, send_s=30, idle_s=60, linger_s=2, abandoned_s=5)


async def settled():
    """Let everything happen that can happen by itself."""
    for _ in range(30):
        await asyncio.sleep(0)


async def after(wire, reader, *moments):
    """What has come, and whether the connection has ended, when the sweeps of these moments are over."""
    await settled()
    for moment in moments:
        wire.roster.sweep(moment)
        await settled()
    ended = not len(wire.roster)
    data = b""
    while not reader.at_eof():
        try:
            data += await asyncio.wait_for(reader.read(1 << 20), 0.05)
        except TimeoutError:
            break
    return data, ended


def case(sent, *moments, dispatch=None, settings=SETTINGS):
    async def conversation():
        wire = Wire(dispatch, settings=settings) if dispatch else Wire(settings=settings)
        reader, writer = await wire.connect()
        writer.write(sent)
        data, ended = await after(wire, reader, *moments)
        writer.transport.abort()
        return answers(data), ended

    return run(conversation())


def test_an_idle_connection_ends():
    assert case(sign("GET", "/b/k"), 59)[1] is False
    found, ended = case(sign("GET", "/b/k"), 61)
    assert (len(found), ended) == (1, True)


def test_a_connection_that_never_asks_anything_ends_without_a_word():
    assert case(b"", 61) == ([], True)


def test_half_a_head_is_waited_for_so_long_and_no_longer():
    assert case(b"GET /b/k HT", 19) == ([], False)
    [answer], _ = case(b"GET /b/k HT", 21)
    assert (answer.status, answer.code, answer.headers["connection"]) == (400, "RequestTimeout", "close")


def test_a_head_that_trickles_in_is_not_waited_for_longer():
    async def conversation():
        wire = Wire(settings=SETTINGS)
        reader, writer = await wire.connect()
        for second, byte in enumerate(sign("GET", "/b/k")[:25]):
            writer.write(bytes([byte]))
            await settled()
            wire.roster.sweep(float(second))
        data, _ = await after(wire, reader)
        return answers(data)

    [answer] = run(conversation())
    assert answer.code == "RequestTimeout"


def test_a_body_that_stops_is_waited_for_so_long_and_no_longer():
    put = sign("PUT", "/b/k", body=b"hello")[:-1]
    assert case(put, 29) == ([], False)
    [answer], _ = case(put, 31)
    assert (answer.status, answer.code) == (400, "RequestTimeout")


def test_a_body_that_moves_is_waited_for():
    async def conversation():
        wire = Wire(settings=SETTINGS)
        reader, writer = await wire.connect()
        request = sign("PUT", "/b/k", body=b"x" * 50)
        writer.write(request[:-50])
        for second in range(0, 1000, 20):
            await settled()
            wire.roster.sweep(float(second))
            writer.write(b"x")
        writer.write_eof()
        return answers(await reader.read())

    [answer] = run(conversation())
    assert answer.body == b"x" * 50


def test_a_verb_that_takes_its_time_is_not_the_clients_fault():
    async def dispatch(request):
        await asyncio.Event().wait()

    put = sign("PUT", "/b/k", body=b"hello")
    assert case(put[:-1], 1000, dispatch=dispatch) == ([], False)
    assert case(put, 1000, dispatch=dispatch) == ([], False)


def test_the_time_of_a_body_begins_when_it_is_asked_for():
    async def conversation():
        gate = asyncio.Event()

        async def dispatch(request):
            await gate.wait()
            return Reply(200, [], b"".join([bytes(piece) async for piece in request.body.pieces]))

        wire = Wire(dispatch, settings=SETTINGS)
        reader, writer = await wire.connect()
        put = sign("PUT", "/b/k", body=b"hello")
        writer.write(put[:-5])
        await settled()
        wire.roster.sweep(1000.0)
        gate.set()
        await settled()
        wire.roster.sweep(1029.0)
        writer.write(b"hello")
        writer.write_eof()
        return answers(await reader.read())

    [answer] = run(conversation())
    assert answer.body == b"hello"


def test_a_body_that_nobody_wants_is_not_waited_for_for_ever():
    async def dispatch(request):
        return Reply(200)

    put = sign("PUT", "/b/k", body=b"hello")[:-1]
    assert case(put, 29, dispatch=dispatch)[1] is False
    found, ended = case(put, 31, dispatch=dispatch)
    assert (found[0].status, ended) == (200, True)


def reply_of(size):
    async def dispatch(request):
        return Reply(200, [], bytes(size))

    return dispatch


def test_a_client_that_does_not_read_is_cut_off():
    async def conversation(*moments):
        wire = Wire(reply_of(50 << 20), settings=SETTINGS)
        _, writer = await wire.connect()
        writer.transport.pause_reading()
        writer.write(sign("GET", "/b/k"))
        await settled()
        for moment in moments:
            wire.roster.sweep(moment)
            await settled()
        ended = not len(wire.roster)
        writer.transport.abort()
        return ended

    assert run(conversation(1.0, 30.0)) is False
    assert run(conversation(1.0, 32.0)) is True


def test_a_client_that_reads_slowly_is_not():
    async def conversation():
        wire = Wire(reply_of(5 << 20), settings=SETTINGS)
        reader, writer = await wire.connect()
        writer.write(sign("GET", "/b/k"))
        data = b""
        now = 0.0
        while len(data) - data.find(b"\r\n\r\n") < (5 << 20) + 4:
            await settled()
            wire.roster.sweep(now := now + 4)
            piece = await reader.read(64 << 10)
            assert piece
            data += piece
        writer.transport.abort()
        return answers(data)

    assert len(run(conversation())) == 1


def test_after_the_last_reply_the_client_has_a_moment_to_read_it():
    request = b"GET /b/k HTTP/1.1\r\n\r\n"
    assert case(request, 1.5)[1] is False
    found, ended = case(request, 3)
    assert (found[0].status, ended) == (400, True)


def test_a_client_that_keeps_sending_after_the_last_reply_gains_no_time():
    async def conversation():
        wire = Wire(settings=SETTINGS)
        _, writer = await wire.connect()
        writer.write(b"GET /b/k HTTP/1.1\r\n\r\n")
        for moment in (0.5, 1.0, 1.5, 2.0, 2.5, 3.0):
            await settled()
            wire.roster.sweep(moment)
            writer.write(b"more")
        await settled()
        return len(wire.roster)

    assert run(conversation()) == 0


def test_a_verb_whose_client_has_stopped_sending_is_cancelled_later():
    async def conversation(moment):
        cancelled = []

        async def dispatch(request):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cancelled.append(request.key)
                raise

        wire = Wire(dispatch, settings=SETTINGS)
        _, writer = await wire.connect()
        writer.write(sign("GET", "/b/k"))
        writer.write_eof()
        await settled()
        wire.roster.sweep(moment)
        await settled()
        writer.transport.abort()
        return list(cancelled), len(wire.roster)

    assert run(conversation(4.0))[0] == []
    assert run(conversation(6.0)) == (["k"], 0)


def verdict_on(*doing, progress=0.0, head=None, unsent=None):
    flags = dict.fromkeys(("ending", "answering", "body_awaited", "draining", "half_closed"), False)
    return judge(Lasting(progress, head, unsent), Doing(**{**flags, **dict.fromkeys(doing, True)}), SETTINGS)


@pytest.mark.parametrize(
    ("doing", "lasting", "verdict"),
    [
        (["answering"], {"progress": 1e6}, Verdict.GO_ON),
        ([], {"progress": 61.0}, Verdict.CLOSE),
        ([], {"progress": 61.0, "unsent": 1.0}, Verdict.GO_ON),
        (["answering"], {"unsent": 31.0}, Verdict.ABORT),
        (["ending"], {"unsent": 31.0}, Verdict.ABORT),
        (["ending"], {"progress": 3.0, "unsent": 3.0}, Verdict.GO_ON),
        (["ending"], {"progress": 3.0}, Verdict.END),
        ([], {"progress": 61.0, "head": 19.0}, Verdict.GO_ON),
    ],
)
def test_the_verdict_on_a_connection(doing, lasting, verdict):
    assert verdict_on(*doing, **lasting) is verdict
