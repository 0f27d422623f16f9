"""Headers that come again on a connection are not read again; whatever else comes is answered as if they had been."""

import re

import pytest

from tests.s3.wire.harness import Wire, answers, run, sign, talk

HEX = "0123456789abcdef" * 4


def signature_of(raw):
    return re.search(rb"Signature=([0-9a-f]{64})\r\n", raw)[1]


def test_many_requests_with_the_same_headers_are_each_answered_for_themselves():
    keys = [f"k{number}" for number in range(20)]
    replies = talk(b"".join(sign("GET", f"/b/{key}?list-type={key}") for key in keys))
    assert [bytes.fromhex(reply.headers["x-key"]).decode() for reply in replies] == keys
    assert {reply.status for reply in replies} == {200}


def test_a_signature_is_checked_each_time():
    first, second = sign("GET", "/b/a"), sign("GET", "/b/other")
    stolen = second.replace(signature_of(second), signature_of(first))
    replies = talk(first + stolen + second)
    assert [reply.status for reply in replies] == [200, 403, 200]
    assert replies[1].code == "SignatureDoesNotMatch"


def test_the_method_is_part_of_what_is_signed():
    get = sign("GET", "/b/a")
    assert [reply.status for reply in talk(get + get.replace(b"GET", b"DELETE", 1) + get)] == [200, 403, 200]


def test_a_header_that_changes_is_seen():
    plain, other = sign("GET", "/b/a"), sign("GET", "/b/a", {"range": "bytes=0-0"})
    seen = []

    async def dispatch(request):
        seen.append(request.headers.get("range"))
        return await Wire().dispatch(request)

    run(Wire(dispatch).converse(plain + plain + other + other + plain))
    assert seen == [None, None, "bytes=0-0", "bytes=0-0", None]


def test_a_signature_cannot_smuggle_a_header():
    """64 bytes in a signature's place that end its line: what a proxy would read as a header is not overlooked."""
    first = sign("GET", "/b/a")
    smuggled = b"abcd\r\ncontent-length: 11\r\nx: ".ljust(64, b"0")
    assert len(smuggled) == 64
    body = b"GET / HTTP/"
    replies = talk(first + first.replace(signature_of(first), smuggled) + body + first)
    assert [reply.status for reply in replies] == [200, 403, 200]


@pytest.mark.parametrize(
    "line",
    [b"GET /b/a b HTTP/1.1", b"GET /b/a HTTP/2.0", b"CONNECT a:1 HTTP/1.1", b"GET b HTTP/1.1", b"GE\x01 / HTTP/1.1"],
)
def test_a_request_line_is_read_strictly_whatever_follows_it(line):
    first = sign("GET", "/b/a")
    bad = line + first[first.index(b"\r\n") :]
    replies = talk(first + bad)
    assert replies[0].status == 200
    assert replies[1].status in (400, 501, 505)
    assert replies[1].status == talk(bad)[0].status


def test_an_old_version_of_http_ends_the_connection_all_the_same():
    first = sign("GET", "/b/a")
    replies = talk(first + first.replace(b"HTTP/1.1", b"HTTP/1.0", 1) + first)
    assert [reply.status for reply in replies] == [200, 200]
    assert replies[1].headers["connection"] == "close"


def test_a_revoked_key_is_refused_at_the_next_request():
    wire = Wire()

    async def dispatch(request):
        wire.keys.active.clear()
        return await Wire().dispatch(request)

    wire.endpoint.dispatch = dispatch
    replies = answers(run(wire.converse(sign("GET", "/b/a") * 2)))
    assert [reply.status for reply in replies] == [200, 403]
    assert replies[1].code == "InvalidAccessKeyId"


def test_a_signature_that_has_grown_old_is_refused_though_it_was_good_before():
    wire = Wire()

    async def dispatch(request):
        wire.clock.advance(3_600)
        return await Wire().dispatch(request)

    wire.endpoint.dispatch = dispatch
    assert [reply.status for reply in answers(run(wire.converse(sign("GET", "/b/a") * 2)))] == [200, 403]


def test_a_header_that_looks_like_the_end_of_a_signature_is_none():
    first = sign("GET", "/b/a")
    decoy = first.replace(b"\r\nauthorization", b"\r\nx-note: Signature=" + signature_of(first) + b"\r\nauthorization")
    other = decoy.replace(b"x-note: Signature=" + signature_of(first), b"x-note: Signature=" + HEX.encode())
    replies = talk(decoy + other + decoy)
    assert [reply.status for reply in replies] == [200, 200, 200]
