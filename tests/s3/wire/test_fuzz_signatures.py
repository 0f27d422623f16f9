"""Requests signed by botocore, verified by us: whatever the key, the query and the headers are."""

import datetime
from unittest import mock
from urllib.parse import urlsplit

import botocore.auth
import hypothesis.strategies as st
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import example, given, settings

from isotherm.protocols.s3.wire import Reply
from tests.s3.wire.harness import ACCESS, SECRET, Wire, answers, run

NOW = datetime.datetime(2023, 11, 14, 22, 13, 20, tzinfo=datetime.UTC)

text = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
odd = st.text(
    st.sampled_from("a/.~ +%&=?#;:@!$'()*,[]{}|\\^`\"<>äß中\U0001f600\x01\x7f\u0085\u2028-_"), min_size=1, max_size=20
)
keys = st.one_of(text, odd)
queries = st.dictionaries(st.one_of(text, odd), st.one_of(st.just(""), text, odd), max_size=4)
# Header values as HTTP has them: no control characters, no blanks at either end.
values = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=30).map(str.strip)
headers = st.dictionaries(
    st.from_regex(r"\A(x-amz-meta-[a-z0-9\-]{1,10}|content-type|cache-control)\Z"), values, max_size=4
)


def signed(signer, method, key, query, headers, body=None, **given):
    """What botocore makes of it, as bytes on the wire."""
    from botocore.awsrequest import prepare_request_dict

    described = {
        "url_path": "/bucket/" + botocore_quoted(key),
        "query_string": dict(query),
        "method": method,
        "headers": dict(headers),
        "body": body or b"",
        "context": {},
    }
    prepare_request_dict(described, "http://s3.test:9000")
    request = AWSRequest(
        method=described["method"], url=described["url"], headers=described["headers"], data=described["body"]
    )
    request.context.update(client_config=mock.Mock(s3={"payload_signing_enabled": True}), **given)
    with mock.patch("botocore.auth.get_current_datetime", return_value=NOW.replace(tzinfo=None)):
        signer.add_auth(request)
    prepared = request.prepare()
    parts = urlsplit(prepared.url)
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    lines = {name.lower(): value for name, value in prepared.headers.items()}
    lines.setdefault("host", parts.netloc)
    if body is not None:
        lines["content-length"] = str(len(body))
    head = "".join(
        f"{name}: {value.decode() if isinstance(value, bytes) else value}\r\n" for name, value in lines.items()
    )
    return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + (body or b"")


def botocore_quoted(key):
    from botocore.utils import percent_encode

    return percent_encode(key, safe="/~")


def served(request):
    """(the answer, what the verb saw)"""
    seen = []

    async def dispatch(request):
        seen.append(request)
        return Reply(200, [], b"".join([bytes(piece) async for piece in request.body.pieces]))

    [answer] = answers(run(Wire(dispatch).converse(request)))
    return answer, seen


def signer(kind, **given):
    return kind(Credentials(ACCESS, SECRET), "s3", "eu-north-1", **given)


@settings(deadline=None, max_examples=150)
@given(keys, queries, headers)
@example("a+b c//../.", {"prefix": "a b+c", "list-type": "2", "x": ""}, {"x-amz-meta-a": "b   c"})
def test_headers_signed_by_botocore_are_accepted_and_mean_the_same(key, query, headers):
    answer, seen = served(signed(signer(botocore.auth.S3SigV4Auth), "GET", key, query, headers))
    assert answer.status == 200, answer.body
    [request] = seen
    assert (request.bucket, request.key, dict(request.query)) == ("bucket", key, query)
    assert request.region == "eu-north-1"
    assert {name: request.headers[name] for name in headers} == headers


@settings(deadline=None, max_examples=60)
@given(keys, st.binary(max_size=200))
def test_bodies_signed_by_botocore_are_accepted(key, body):
    answer, _ = served(signed(signer(botocore.auth.S3SigV4Auth), "PUT", key, {}, {}, body))
    assert (answer.status, answer.body) == (200, body)


@settings(deadline=None, max_examples=150)
@given(keys, st.dictionaries(odd.filter(lambda name: not name.lower().startswith("x-amz")), text, max_size=3))
def test_urls_presigned_by_botocore_are_accepted_and_mean_the_same(key, query):
    answer, seen = served(signed(signer(botocore.auth.S3SigV4QueryAuth, expires=60), "GET", key, query, {}))
    assert answer.status == 200, answer.body
    [request] = seen
    assert (request.bucket, request.key, dict(request.query)) == ("bucket", key, query)


@settings(deadline=None, max_examples=150)
@given(keys, queries, st.data())
def test_one_changed_byte_is_never_accepted_for_something_else(key, query, data):
    request = signed(signer(botocore.auth.S3SigV4Auth), "GET", key, query, {"x-amz-meta-a": "some value"})
    _, [meant] = served(request)
    at = data.draw(st.integers(0, len(request) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda byte: byte != request[at]))
    seen = []

    async def dispatch(request):
        seen.append(request)
        return Reply()

    run(Wire(dispatch).converse(request[:at] + bytes([byte]) + request[at + 1 :]))
    signed_names = ("host", "x-amz-meta-a", "x-amz-date", "x-amz-content-sha256")
    for got in seen:
        assert (got.method, got.path, dict(got.query)) == ("GET", meant.path, dict(meant.query))
        assert got.headers["x-amz-meta-a"].split() == ["some", "value"]
        assert all(got.headers[name] == meant.headers[name] for name in signed_names if name != "x-amz-meta-a")
