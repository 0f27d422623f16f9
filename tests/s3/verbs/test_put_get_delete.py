"""PutObject, GetObject, HeadObject, DeleteObject as a client sees them."""

from base64 import b64encode
from hashlib import md5

import pytest

from isotherm.devices.waiting import drive
from isotherm.objects.model import Attributes

HELLO = '"5d41402abc4b2a76b9719d911017c592"'
WRITTEN = "Tue, 14 Nov 2023 22:13:20 GMT"
BEFORE = "Tue, 14 Nov 2023 22:13:19 GMT"


@pytest.fixture
def hello(s3, bucket):
    assert s3("PUT", "/bucket/hello", b"hello").headers == {"etag": HELLO}
    return "/bucket/hello"


def test_what_is_put_is_got(s3, bucket):
    s3("PUT", "/bucket/a/b", b"hello", content_type="text/plain", x_amz_meta_color="blue")
    got = s3("GET", "/bucket/a/b")
    assert (got.status, got.body, got.operation) == (200, b"hello", "GetObject")
    assert got.headers == {
        "etag": HELLO,
        "last-modified": WRITTEN,
        "accept-ranges": "bytes",
        "content-type": "text/plain",
        "x-amz-meta-color": "blue",
    }
    head = s3("HEAD", "/bucket/a/b")
    assert (head.status, head.body, head.reply.length, head.headers) == (200, b"", 5, got.headers)


def test_system_headers_are_kept_and_a_type_is_given_where_there_is_none(s3, bucket):
    kept = {
        "cache_control": "no-cache",
        "content_disposition": 'attachment; filename="a"',
        "content_language": "de",
        "expires": "Thu, 01 Dec 1994 16:00:00 GMT",
        "content_encoding": "aws-chunked, gzip",
    }
    s3("PUT", "/bucket/k", b"", **kept)
    got = s3("GET", "/bucket/k")
    assert got.headers["content-type"] == "binary/octet-stream"
    assert got.headers["content-encoding"] == "gzip"
    assert got.headers["expires"] == kept["expires"]
    assert got.headers["content-disposition"] == kept["content_disposition"]


def test_header_values_are_utf8_and_keep_their_bytes(s3, bucket):
    as_sent = "größe 大小".encode().decode("latin-1")
    s3(
        "PUT",
        "/bucket/k",
        b"",
        x_amz_meta_a=as_sent,
        x_amz_meta_b="gr\xf6\xdfe",
        x_amz_meta_c="",
        content_disposition=as_sent,
    )
    assert drive(s3.space.head("bucket", "k")).attributes.metadata == {"a": "größe 大小", "b": "größe", "c": ""}
    got = s3("GET", "/bucket/k").headers
    assert [got[f"x-amz-meta-{name}"] for name in "abc"] == [as_sent, "größe".encode().decode("latin-1"), ""]
    assert got["content-disposition"] == as_sent


def test_what_no_header_can_hold_is_spelled_or_counted(s3, bucket):
    metadata = {"line": "a\r\nX-Evil: 1", "bad name": "x", "ok": "y"}
    drive(s3.space.put("bucket", "k", b"", attributes=Attributes(metadata=metadata)))
    got = s3("GET", "/bucket/k").headers
    assert (got["x-amz-meta-line"], got["x-amz-meta-ok"]) == ("=?UTF-8?B?YQ0KWC1FdmlsOiAx?=", "y")
    assert got["x-amz-missing-meta"] == "1"
    assert not any(" " in name for name in got)


def test_metadata_has_at_most_two_kilobytes(s3, bucket):
    assert s3("PUT", "/bucket/k", b"", x_amz_meta_a="x" * 2_047).status == 200
    refused = s3("PUT", "/bucket/k", b"", x_amz_meta_a="x" * 2_048)
    assert (refused.status, refused.code, refused.text("MaxSizeAllowed")) == (400, "MetadataTooLarge", "2048")


@pytest.mark.parametrize(
    ("asked", "body", "told"),
    [
        ("bytes=0-0", b"h", "bytes 0-0/5"),
        ("bytes=1-3", b"ell", "bytes 1-3/5"),
        ("bytes=2-", b"llo", "bytes 2-4/5"),
        ("bytes=2-99", b"llo", "bytes 2-4/5"),
        ("bytes=-2", b"lo", "bytes 3-4/5"),
        ("bytes=-99", b"hello", "bytes 0-4/5"),
        ("Bytes=1-1", b"e", "bytes 1-1/5"),
        ("bytes=2-" + "9" * 24, b"llo", "bytes 2-4/5"),
        ("bytes=-" + "9" * 5_000, b"hello", "bytes 0-4/5"),
        (f"bytes={'0' * 5_000}1-{'0' * 30}3", b"ell", "bytes 1-3/5"),
    ],
)
def test_a_range_is_answered_206(s3, hello, asked, body, told):
    got = s3("GET", hello, range=asked)
    assert (got.status, got.body, got.headers["content-range"]) == (206, body, told)
    head = s3("HEAD", hello, range=asked)
    assert (head.status, head.reply.length, head.headers["content-range"]) == (206, len(body), told)


@pytest.mark.parametrize("asked", ["bytes=5-", "bytes=5-9", "bytes=-0", f"bytes={'9' * 24}-"])
def test_a_range_that_holds_nothing_is_answered_416(s3, hello, asked):
    got = s3("GET", hello, range=asked)
    assert (got.status, got.code, got.headers["content-range"]) == (416, "InvalidRange", "bytes */5")
    assert (got.text("RangeRequested"), got.text("ActualObjectSize")) == (asked, "5")


@pytest.mark.parametrize(
    "asked",
    ["bytes=3-1", "bytes=a-b", "bytes=", "bytes=-", "lines=1-2", "0-1", "bytes=0-1,3-4", "bytes=1-2-3", "bytes=+1-2"],
)
def test_what_is_no_single_range_is_ignored(s3, hello, asked):
    got = s3("GET", hello, range=asked)
    assert (got.status, got.body) == (200, b"hello")


def test_an_empty_object_has_no_ranges(s3, bucket):
    s3("PUT", "/bucket/empty", b"")
    assert s3("GET", "/bucket/empty", range="bytes=0-").status == 416
    assert s3("GET", "/bucket/empty", range="bytes=-1").status == 416
    assert (s3("GET", "/bucket/empty").status, s3("HEAD", "/bucket/empty").reply.length) == (200, 0)


def test_if_range_decides_over_the_range(s3, hello):
    assert s3("GET", hello, range="bytes=0-0", if_range=HELLO).status == 206
    assert s3("GET", hello, range="bytes=0-0", if_range=WRITTEN).status == 206
    assert s3("GET", hello, range="bytes=0-0", if_range='"other"').status == 200
    assert s3("GET", hello, range="bytes=0-0", if_range=BEFORE).status == 200


@pytest.mark.parametrize(
    ("conditions", "status"),
    [
        ({"if_match": HELLO}, 200),
        ({"if_match": HELLO.strip('"')}, 200),
        ({"if_match": f'"other", {HELLO}'}, 200),
        ({"if_match": "*"}, 200),
        ({"if_match": '"other"'}, 412),
        ({"if_match": ""}, 412),
        ({"if_none_match": ""}, 200),
        ({"if_none_match": HELLO}, 304),
        ({"if_none_match": "*"}, 304),
        ({"if_none_match": f"W/{HELLO}"}, 304),
        ({"if_none_match": '"other"'}, 200),
        ({"if_modified_since": BEFORE}, 200),
        ({"if_modified_since": WRITTEN}, 304),
        ({"if_unmodified_since": BEFORE}, 412),
        ({"if_unmodified_since": WRITTEN}, 200),
        ({"if_modified_since": "yesterday"}, 200),
        ({"if_match": HELLO, "if_unmodified_since": BEFORE}, 200),
        ({"if_none_match": '"other"', "if_modified_since": WRITTEN}, 200),
        ({"if_none_match": HELLO, "if_modified_since": BEFORE}, 304),
        ({"if_match": '"other"', "if_none_match": HELLO}, 412),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reads_may_be_conditional(s3, hello, method, conditions, status):
    got = s3(method, hello, **conditions)
    assert got.status == status
    if status == 304:
        assert (got.body, got.headers) == (b"", {"etag": HELLO, "last-modified": WRITTEN})
    if status == 412:
        assert got.code == "PreconditionFailed"


def test_writes_may_be_conditional(s3, hello):
    assert s3("PUT", hello, b"x", if_none_match="*").code == "PreconditionFailed"
    assert s3("PUT", hello, b"x", if_match='"other"').status == 412
    assert s3("PUT", "/bucket/new", b"x", if_match="*").code == "NoSuchKey"
    assert s3("PUT", "/bucket/new", b"x", if_none_match="*").status == 200
    assert s3("PUT", hello, b"hello2", if_match=HELLO).status == 200
    assert s3("PUT", hello, b"x", if_match=HELLO, if_none_match="*").code == "InvalidRequest"
    assert s3("PUT", hello, b"x", if_none_match=f'"a", {HELLO}').code == "InvalidRequest"
    assert s3("PUT", hello, b"x", if_unmodified_since=WRITTEN).code == "NotImplemented"
    assert s3("DELETE", hello, if_match=HELLO).status == 412
    assert s3("DELETE", "/bucket/none", if_match=HELLO).status == 204
    assert s3("GET", hello).body == b"hello2"


def test_a_reply_can_be_told_other_headers(s3, hello):
    query = "response-content-type=text/x&response-cache-control=c&response-content-disposition=d&response-expires=e"
    got = s3("GET", f"{hello}?{query}&response-content-encoding=f&response-content-language=g")
    told = [got.headers[name] for name in ("content-type", "cache-control", "content-disposition", "expires")]
    assert told == ["text/x", "c", "d", "e"]
    assert (got.headers["content-encoding"], got.headers["content-language"]) == ("f", "g")
    smuggled = s3("GET", f"{hello}?response-content-type=a%0D%0AX-Evil:%201")
    assert (smuggled.status, smuggled.code) == (400, "InvalidArgument")


def test_content_md5_is_held_against_the_body(s3, bucket):
    good = b64encode(md5(b"hello").digest()).decode()
    assert s3("PUT", "/bucket/k", b"hello", content_md5=good).status == 200
    assert s3("PUT", "/bucket/k", b"hullo", content_md5=good).code == "BadDigest"
    for wrong in ("", "AWS HAHAHA", "aGVsbG8=", good[:-1]):
        assert s3("PUT", "/bucket/k", b"hello", content_md5=wrong).code == "InvalidDigest"
    assert s3("GET", "/bucket/k").body == b"hello"


def test_what_is_missing_is_said_precisely(s3, bucket):
    missing = s3("GET", "/bucket/none")
    assert (missing.status, missing.code, missing.text("Key")) == (404, "NoSuchKey", "none")
    assert missing.headers["x-amz-delete-marker"] == "false"
    assert (missing.text("RequestId"), missing.text("HostId"), missing.text("Resource")) == (
        "REQUEST",
        "HOST",
        "/bucket/none",
    )
    assert s3("GET", "/nowhere/k").text("BucketName") == "nowhere"
    head = s3("HEAD", "/bucket/none")
    assert (head.status, head.body) == (404, b"")
    assert s3("GET", "/bucket/none?versionId=00000000000000000000000000000000").code == "NoSuchVersion"
    assert s3("GET", "/bucket/none?versionId=x").code == "InvalidArgument"
    assert s3("GET", "/bucket/none?versionId=").code == "InvalidArgument"


def test_deleting_succeeds_whether_or_not_there_was_something(s3, hello):
    for _ in range(2):
        gone = s3("DELETE", hello)
        assert (gone.status, gone.headers, gone.body) == (204, {}, b"")
    assert s3("GET", hello).status == 404


@pytest.mark.parametrize(
    "key", ["%01%02%1F", "a//b", ".", "..", "../x", "%00", "%C3%A9%F0%9F%90%98", "k" * 1024, "%7F"]
)
def test_keys_are_any_utf8(s3, bucket, key):
    assert s3("PUT", f"/bucket/{key}", b"x").status == 200
    assert s3("GET", f"/bucket/{key}").body == b"x"


def test_a_key_has_at_most_1024_bytes(s3, bucket):
    refused = s3("PUT", f"/bucket/{'k' * 1025}", b"x")
    assert (refused.status, refused.code) == (400, "KeyTooLongError")


def test_a_body_of_unknown_length_is_taken(s3, bucket):
    body = b"0123456789" * 30_000
    assert s3("PUT", "/bucket/k", body, sized=False, piece_bytes=7_001).status == 200
    assert s3("GET", "/bucket/k").body == body


def test_a_part_number_of_a_plain_object(s3, hello):
    got = s3("GET", f"{hello}?partNumber=1")
    assert (got.status, got.body, got.headers["content-range"]) == (206, b"hello", "bytes 0-4/5")
    assert "x-amz-mp-parts-count" not in got.headers
    assert s3("GET", f"{hello}?partNumber=2").code == "InvalidPart"
    assert s3("GET", f"{hello}?partNumber=0").code == "InvalidArgument"
    assert s3("GET", f"{hello}?partNumber=1", range="bytes=0-0").code == "InvalidRequest"
