"""Requests that two readers could understand differently are refused, and nothing behind them is read as a request."""

import pytest

from isotherm.protocols.s3.limits import S3Settings
from isotherm.protocols.s3.wire import Reply
from tests.s3.wire.harness import Wire, answers, run, sign, talk

HOST = b"Host: s3.test\r\n"

REFUSED = {
    "length and coding": b"PUT /b/k HTTP/1.1\r\n"
    + HOST
    + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
    "coding and length": b"PUT /b/k HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc",
    "two lengths": b"PUT /b/k HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "two equal lengths": b"PUT /b/k HTTP/1.1\r\n" + HOST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "a list of lengths": b"PUT /b/k HTTP/1.1\r\n" + HOST + b"Content-Length: 3, 3\r\n\r\nabc",
    "a signed length": b"PUT /b/k HTTP/1.1\r\n" + HOST + b"Content-Length: +3\r\n\r\nabc",
    "a negative length": b"PUT /b/k HTTP/1.1\r\n" + HOST + b"Content-Length: -3\r\n\r\nabc",
    "an empty length": b"PUT /b/k HTTP/1.1\r\n" + HOST + b"Content-Length:\r\n\r\n",
    "a hexadecimal length": b"PUT /b/k HTTP/1.1\r\n" + HOST + b"Content-Length: 0x3\r\n\r\nabc",
    "a length beyond 64 bits": b"PUT /b/k HTTP/1.1\r\n" + HOST + b"Content-Length: 99999999999999999999\r\n\r\nabc",
    "a length of 19 digits": b"PUT /b/k HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000000000000000\r\n\r\nabc",
    "two hosts": b"GET /b/k HTTP/1.1\r\n" + HOST + b"host: b\r\n\r\n",
    "no host": b"GET /b/k HTTP/1.1\r\nX: y\r\n\r\n",
    "an empty host": b"GET /b/k HTTP/1.1\r\nHost:\r\n\r\n",
    "a host with a path": b"GET /b/k HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "a host with a user": b"GET /b/k HTTP/1.1\r\nHost: u@a\r\n\r\n",
    "a folded header": b"GET /b/k HTTP/1.1\r\n" + HOST + b"X: y\r\n z\r\n\r\n",
    "a header that begins with a blank": b"GET /b/k HTTP/1.1\r\n " + HOST + b"\r\n",
    "a blank before the colon": b"PUT /b/k HTTP/1.1\r\n" + HOST + b"Content-Length : 3\r\n\r\nabc",
    "a header without a name": b"GET /b/k HTTP/1.1\r\n" + HOST + b": x\r\n\r\n",
    "a header without a colon": b"GET /b/k HTTP/1.1\r\n" + HOST + b"X\r\n\r\n",
    "a name with brackets": b"GET /b/k HTTP/1.1\r\n" + HOST + b"X(y): z\r\n\r\n",
    "a bare LF after the request line": b"GET /b/k HTTP/1.1\n" + HOST + b"\r\n",
    "a bare LF after a header": b"GET /b/k HTTP/1.1\r\nHost: s3.test\nX: y\r\n\r\n",
    "a bare CR in a value": b"GET /b/k HTTP/1.1\r\nHost: s3.test\rX: y\r\n\r\n",
    "a NUL in a value": b"GET /b/k HTTP/1.1\r\nHost: s3\0test\r\n\r\n",
    "a control character in a value": b"GET /b/k HTTP/1.1\r\n" + HOST + b"X: \x01\r\n\r\n",
    "an absolute target": b"GET http://s3.test/b/k HTTP/1.1\r\n" + HOST + b"\r\n",
    "an authority as target": b"CONNECT s3.test:80 HTTP/1.1\r\n" + HOST + b"\r\n",
    "an asterisk as target": b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n",
    "a fragment": b"GET /b/k#x HTTP/1.1\r\n" + HOST + b"\r\n",
    "two blanks in the request line": b"GET  /b/k HTTP/1.1\r\n" + HOST + b"\r\n",
    "a tab in the request line": b"GET\t/b/k HTTP/1.1\r\n" + HOST + b"\r\n",
    "a blank in the target": b"GET /b /k HTTP/1.1\r\n" + HOST + b"\r\n",
    "raw UTF-8 in the target": b"GET /b/\xc3\xa4 HTTP/1.1\r\n" + HOST + b"\r\n",
    "a method nobody knows": b"FETCH /b/k HTTP/1.1\r\n" + HOST + b"\r\n",
    "a method in small letters": b"get /b/k HTTP/1.1\r\n" + HOST + b"\r\n",
    "HTTP/0.9": b"GET /b/k\r\n\r\n",
    "HTTP/1.2": b"GET /b/k HTTP/1.2\r\n" + HOST + b"\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "another protocol": b"GET /b/k RTSP/1.1\r\n" + HOST + b"\r\n",
    "coding under HTTP/1.0": b"PUT /b/k HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a coding before chunked": b"PUT /b/k HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a coding after chunked": b"PUT /b/k HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n",
    "identity": b"PUT /b/k HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: identity\r\n\r\n",
    "a coding spelt almost like chunked": b"PUT /b/k HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n\r\n",
    "coding twice": b"PUT /b/k HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two dates": b"GET /b/k HTTP/1.1\r\n" + HOST + b"x-amz-date: 1\r\nX-Amz-Date: 2\r\n\r\n",
    "two empty lines before the request": b"\r\n\r\nGET /b/k HTTP/1.1\r\n" + HOST + b"\r\n",
    "no words at all": b"\r\n\r\n\r\n\r\n",
    "TLS where none is spoken": bytes.fromhex("16030100c8010000c40303") + bytes(40) + b"\r\n\r\n",
}


@pytest.mark.parametrize("what", REFUSED)
def test_is_refused_and_nothing_behind_it_is_served(what):
    served = []

    async def dispatch(request):
        served.append(request.path)
        return Reply()

    found = talk(REFUSED[what] + sign("GET", "/smuggled/request"), dispatch=dispatch)
    assert not served
    assert len(found) == 1
    assert found[0].status in (400, 501)
    assert found[0].code in ("BadRequest", "NotImplemented")
    assert found[0].headers["connection"] == "close"


ACCEPTED = {
    "an empty line before the request": lambda request: b"\r\n" + request,
    "blanks around a value": lambda request: request.replace(b"host: s3.test\r\n", b"host: \t s3.test \t \r\n"),
    "names in capitals": lambda request: request.replace(b"host:", b"HOST:").replace(
        b"authorization:", b"AUTHORIZATION:"
    ),
    "an unsigned header given twice": lambda request: request.replace(b"\r\n\r\n", b"\r\nX-A: 1\r\nx-a: 2\r\n\r\n"),
    "an offer to change protocols": lambda request: request.replace(
        b"\r\n\r\n", b"\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n"
    ),
    "bytes beyond ASCII in a value": lambda request: request.replace(b"\r\n\r\n", b"\r\nX-A: \xc3\xa4\xff\r\n\r\n"),
}


@pytest.mark.parametrize("what", ACCEPTED)
def test_is_understood_by_everyone_and_served(what):
    first, second = talk(ACCEPTED[what](sign("GET", "/b/k")), sign("GET", "/b/l"))
    assert (first.status, second.status) == (200, 200)


def test_repeated_headers_are_joined_and_signed_so():
    seen = {}

    async def dispatch(request):
        seen.update(request.headers)
        return Reply()

    request = sign("GET", "/b/k", {"x-amz-meta-a": "1,2 3"})
    twice = request.replace(b"x-amz-meta-a: 1,2 3\r\n", b"x-amz-meta-a: 1\r\nX-Amz-Meta-A:  2   3 \r\n")
    [answer] = talk(twice, dispatch=dispatch)
    assert answer.status == 200
    assert seen["x-amz-meta-a"] == "1,2   3"


def test_a_head_may_be_as_long_as_the_limit_and_no_longer():
    request = sign("GET", "/b/k")
    padded = request.replace(
        b"\r\n\r\n", b"\r\nX-Pad: " + b"x" * (4096 - len(request) - len(b"X-Pad: \r\n")) + b"\r\n\r\n"
    )
    assert len(padded) == 4096
    settings = S3Settings(head_bytes_most=4096)
    assert talk(padded, settings=settings)[0].status == 200
    [answer] = talk(padded.replace(b"X-Pad: ", b"X-Pad: x"), settings=settings)
    assert (answer.status, answer.code) == (400, "RequestHeaderSectionTooLarge")


def test_a_head_that_never_ends_is_refused_at_the_limit():
    [answer] = talk(b"GET /b/k HTTP/1.1\r\nX: " + b"x" * 70_000)
    assert answer.code == "RequestHeaderSectionTooLarge"


@pytest.mark.parametrize("name", [b"x-%d", b"x"])
def test_headers_are_counted_repeated_or_not(name):
    lines = b"".join((name % at if b"%" in name else name) + b": y\r\n" for at in range(500))
    [answer] = talk(b"GET /b/k HTTP/1.1\r\nHost: a\r\n" + lines + b"\r\n")
    assert answer.code == "RequestHeaderSectionTooLarge"


def test_metadata_cannot_forge_a_header_of_a_reply():
    async def dispatch(request):
        return Reply(200, [("x-amz-meta-a", "1\r\nSet-Cookie: x\r\n\r\nbody"), ("x-amz-meta-b", "ü€")], b"data")

    wire = Wire(dispatch)
    data = run(wire.converse(sign("GET", "/b/k")))
    [answer] = answers(data)
    assert answer.body == b"data"
    assert "set-cookie" not in answer.headers
    assert answer.headers["x-amz-meta-a"] == "1  Set-Cookie: x    body"
