"""Streams of requests, cut anywhere, mutated anyhow: the same answers, or an error, never a hang, never another's bytes."""

import asyncio
from itertools import pairwise

import hypothesis.strategies as st
from hypothesis import given, settings

from isotherm.errors import NotFound
from isotherm.protocols.s3.limits import S3Settings
from isotherm.protocols.s3.wire import Reply
from tests.s3.wire.chunking import Hmac, framed
from tests.s3.wire.harness import Wire, answers, run, sign

SETTINGS = S3Settings(head_bytes_most=4096, body_bytes_ahead=10_000, drain_bytes_most=5_000, pipelined_bytes_most=5_000)
CHECKSUM = {"x-amz-checksum-crc32c": "sOO8/Q=="}


async def dispatch(request):
    """Some verbs answer at once, some later, some do not want their body, some stream."""
    kind = request.key[:1]
    if kind == "n":
        raise NotFound("no such key")
    if kind == "w":
        await asyncio.sleep(0)
    body = b"".join([bytes(piece) async for piece in request.body.pieces]) if kind != "i" else b""
    told = [("x-method", request.method), ("x-key", request.key.encode().hex())]
    if kind == "s":

        async def pieces():
            for at in range(0, len(body), 1000):
                await asyncio.sleep(0)
                yield body[at : at + 1000]

        return Reply(200, told, pieces())
    return Reply(200, told, body)


def put(target, body):
    return sign("PUT", target, body=body)


def chunked(target, body, size):
    head = sign("PUT", target, {"transfer-encoding": "chunked"}, payload="UNSIGNED-PAYLOAD")
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    return head.replace(b"content-length: 0\r\n", b"") + b"".join(
        b"%x\r\n%b\r\n" % (len(part), part) for part in [*parts, b""]
    )


def aws_chunked(target, body, trailers):
    more = {"x-amz-decoded-content-length": str(len(body)), "x-amz-trailer": ",".join(trailers)}
    payload = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
    head = sign("PUT", target, more, payload=payload)
    seed = head.partition(b"Signature=")[2].partition(b"\r\n")[0].decode()
    wire = framed([body[:9000], body[9000:]] if len(body) > 9000 else [body] if body else [], Hmac(seed), trailers)
    return head.replace(b"content-length: 0\r\n", b"content-length: %d\r\n" % len(wire)) + wire


names = st.sampled_from(["now", "wait", "none", "ignored", "stream"])
targets = names.map(lambda name: f"/b/{name}")
bodies = st.binary(max_size=50).flatmap(lambda seed: st.integers(0, 400).map(lambda times: seed * times))
requests = st.one_of(
    targets.map(lambda target: sign("GET", target)),
    st.builds(put, targets, bodies),
    st.builds(chunked, targets, bodies, st.integers(1, 5000)),
    st.builds(aws_chunked, targets, bodies, st.sampled_from([{}, CHECKSUM])),
    targets.map(lambda target: sign("GET", target, secret="wrong")),
    st.builds(lambda target, body: sign("PUT", target, body=body, secret="wrong"), targets, bodies),
)
conversations = st.lists(requests, min_size=1, max_size=6).map(b"".join)


def converse(*pieces):
    return answers(run(Wire(dispatch, settings=SETTINGS).converse(*pieces)))


def told(found):
    return [
        (answer.status, answer.headers.get("x-method"), answer.headers.get("x-key"), answer.body) for answer in found
    ]


def cut(data, places):
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[start:end] for start, end in pairwise(edges)]


def comparable(found):
    """Without what differs by design: request ids in error documents, and where a connection ended early."""
    return [(status, method, key, body if method else b"") for status, method, key, body in told(found)]


@settings(deadline=None, max_examples=150)
@given(conversations, st.lists(st.integers(0, 1 << 20), max_size=12))
def test_it_does_not_matter_how_a_stream_is_cut(stream, places):
    whole, parts = comparable(converse(stream)), comparable(converse(*cut(stream, places)))
    # A body that nobody wants ends the connection or not, depending on how much of it has arrived: one of the two is then
    # the beginning of the other.
    shorter = min(len(whole), len(parts))
    assert whole[:shorter] == parts[:shorter]
    assert shorter > 0


@settings(deadline=None, max_examples=10)
@given(st.lists(st.builds(put, targets, st.binary(max_size=60)), min_size=1, max_size=4).map(b"".join))
def test_a_stream_may_come_byte_by_byte(stream):
    assert comparable(converse(stream)) == comparable(converse(*[stream[at : at + 1] for at in range(len(stream))]))


mutations = st.one_of(
    st.tuples(st.just("set"), st.integers(0, 1 << 20), st.binary(min_size=1, max_size=4)),
    st.tuples(st.just("cut"), st.integers(0, 1 << 20), st.integers(1, 200)),
    st.tuples(st.just("insert"), st.integers(0, 1 << 20), st.one_of(st.binary(max_size=20), st.sampled_from(
        [b"\r\n", b"\n", b"\r", b"\0", b" ", b"\r\n\r\n", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"0\r\n\r\n"]
    ))),
    st.tuples(st.just("repeat"), st.integers(0, 1 << 20), st.integers(1, 2000)),
)  # fmt: skip


def mutated(stream, changes):
    for kind, place, what in changes:
        at = place % (len(stream) + 1)
        if kind == "set":
            stream = stream[:at] + what + stream[at + len(what) :]
        elif kind == "cut":
            stream = stream[:at] + stream[at + what :]
        elif kind == "insert":
            stream = stream[:at] + what + stream[at:]
        else:
            stream = stream[:at] + stream[at : at + what] * 2 + stream[at + what :]
    return stream


@settings(deadline=None, max_examples=300)
@given(conversations, st.lists(mutations, min_size=1, max_size=4), st.lists(st.integers(0, 1 << 20), max_size=4))
def test_mutated_streams_get_answers_or_errors_and_an_end(stream, changes, places):
    """`converse` fails on a hang, `answers` on a reply that is cut off, `Wire.said` on an error of ours."""
    wire = Wire(dispatch, settings=SETTINGS)
    data = run(wire.converse(*cut(mutated(stream, changes), places)))
    for answer in answers(data):
        assert answer.status in (200, 400, 403, 404, 411, 501)
    assert not wire.said
    assert len(wire.roster) == 0


@settings(deadline=None, max_examples=100)
@given(st.binary(max_size=3000))
def test_noise_gets_an_error_or_an_end(noise):
    wire = Wire(dispatch, settings=SETTINGS)
    for answer in answers(run(wire.converse(noise))):
        assert answer.status in (400, 403, 501)
    assert not wire.said
