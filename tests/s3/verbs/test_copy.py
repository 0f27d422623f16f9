"""CopyObject and UploadPartCopy."""

from urllib.parse import quote

import pytest


@pytest.fixture
def source(s3, bucket):
    s3("PUT", "/bucket/s", b"hello", content_type="text/plain", x_amz_meta_a="b", x_amz_tagging="t=1")
    return "/bucket/s"


def test_a_copy_is_the_same_and_its_own(s3, source):
    copied = s3("PUT", "/bucket/c", x_amz_copy_source="bucket/s")
    assert (copied.status, copied.text("ETag")) == (200, '"5d41402abc4b2a76b9719d911017c592"')
    assert copied.text("LastModified") == "2023-11-14T22:13:20.000Z"
    s3("DELETE", source)
    got = s3("GET", "/bucket/c")
    assert (got.body, got.headers["content-type"], got.headers["x-amz-meta-a"]) == (b"hello", "text/plain", "b")
    assert got.headers["x-amz-tagging-count"] == "1"


def test_what_is_copied_may_be_described_anew(s3, source):
    s3("PUT", "/bucket/c", x_amz_copy_source="/bucket/s", x_amz_metadata_directive="REPLACE", x_amz_meta_x="y")
    got = s3("HEAD", "/bucket/c").headers
    assert (got["x-amz-meta-x"], got.get("x-amz-meta-a"), got["content-type"]) == ("y", None, "binary/octet-stream")
    assert got["x-amz-tagging-count"] == "1"
    s3("PUT", "/bucket/d", x_amz_copy_source="/bucket/s", x_amz_tagging_directive="REPLACE", x_amz_tagging="u=1&v=2")
    assert s3("HEAD", "/bucket/d").headers["x-amz-tagging-count"] == "2"
    for name in ("x_amz_metadata_directive", "x_amz_tagging_directive"):
        assert s3("PUT", "/bucket/e", x_amz_copy_source="/bucket/s", **{name: "MOVE"}).code == "InvalidArgument"


def test_a_copy_onto_itself_must_change_something(s3, source):
    refused = s3("PUT", source, x_amz_copy_source="bucket/s")
    assert (refused.status, refused.code) == (400, "InvalidRequest")
    assert s3("PUT", source, x_amz_copy_source="bucket/s", x_amz_metadata_directive="REPLACE").status == 200
    assert s3("GET", source).body == b"hello"


def test_a_copy_may_be_conditional(s3, source):
    etag = s3("HEAD", source).headers["etag"]
    for name, value, status in (
        ("if_match", etag, 200),
        ("if_match", '"other"', 412),
        ("if_none_match", etag, 412),
        ("if_none_match", "other", 200),
        ("if_modified_since", "Tue, 14 Nov 2023 22:13:20 GMT", 412),
        ("if_unmodified_since", "Tue, 14 Nov 2023 22:13:19 GMT", 412),
    ):
        answer = s3("PUT", "/bucket/c", x_amz_copy_source="bucket/s", **{f"x_amz_copy_source_{name}": value})
        assert (name, answer.status) == (name, status)
    assert s3("PUT", "/bucket/c", x_amz_copy_source="bucket/s", if_none_match="*").code == "PreconditionFailed"


@pytest.mark.parametrize("key", ["a b", "a+b", "?versionId", "a?b", "é", "a%25b", "\x01", "a//b"])
def test_sources_are_percent_encoded(s3, bucket, key):
    s3("PUT", f"/bucket/{quote(key, safe='')}", b"x")
    assert s3("PUT", "/bucket/copy", x_amz_copy_source=quote(f"bucket/{key}")).status == 200
    assert s3("GET", "/bucket/copy").body == b"x"


@pytest.mark.parametrize(
    "text",
    ["", "bucket", "bucket/", "/", "//s", "bucket/s?versionId=x", "bucket/s?versionId=", "bucket/s?x=y", "bucket/%FF"],
)
def test_sources_that_name_nothing(s3, source, text):
    answer = s3("PUT", "/bucket/c", x_amz_copy_source=text)
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_sources_that_are_not_there(s3, source):
    assert s3("PUT", "/bucket/c", x_amz_copy_source="bucket/none").code == "NoSuchKey"
    assert s3("PUT", "/bucket/c", x_amz_copy_source="none/s").code == "NoSuchBucket"
    assert s3("PUT", "/none/c", x_amz_copy_source="bucket/s").code == "NoSuchBucket"
    assert s3("PUT", "/bucket/c", x_amz_copy_source=f"bucket/s?versionId={'0' * 32}").code == "NoSuchVersion"


def test_a_version_is_copied_by_its_id(s3, source):
    s3("PUT", "/bucket?versioning", b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
    first = s3("PUT", source, b"1").headers["x-amz-version-id"]
    s3("PUT", source, b"2")
    copied = s3("PUT", "/bucket/c", x_amz_copy_source=f"bucket/s?versionId={first}")
    assert copied.headers["x-amz-copy-source-version-id"] == first
    assert s3("GET", "/bucket/c").headers["x-amz-version-id"] == copied.headers["x-amz-version-id"]
    assert s3("GET", "/bucket/c").body == b"1"
    restored = s3("PUT", source, x_amz_copy_source=f"bucket/s?versionId={first}")
    assert (restored.status, s3("GET", source).body) == (200, b"1")


def test_a_copy_may_get_a_checksum(s3, source):
    copied = s3("PUT", "/bucket/c", x_amz_copy_source="bucket/s", x_amz_checksum_algorithm="CRC32")
    assert copied.text("ChecksumCRC32") == "NhCmhg=="
    assert s3("HEAD", "/bucket/c", x_amz_checksum_mode="ENABLED").headers["x-amz-checksum-crc32"] == "NhCmhg=="


def test_parts_are_copied(s3, source):
    upload = s3("POST", "/bucket/m?uploads").text("UploadId")
    target = f"/bucket/m?partNumber=1&uploadId={upload}"
    part = s3("PUT", target, x_amz_copy_source="bucket/s", x_amz_copy_source_range="bytes=1-3")
    assert part.status == 200
    done = s3(
        "POST",
        f"/bucket/m?uploadId={upload}",
        b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>%b</ETag></Part></CompleteMultipartUpload>"
        % part.text("ETag").encode(),
    )
    assert (done.status, s3("GET", "/bucket/m").body) == (200, b"ell")


@pytest.mark.parametrize(
    "text", ["0-2", "bytes=0", "bytes=a-b", "bytes=0-b", "bytes=a-", "bytes=0-2,3-5", "bytes=-3", "bytes=3-1", ""]
)
def test_ranges_of_a_part_to_copy_are_strict(s3, source, text):
    upload = s3("POST", "/bucket/m?uploads").text("UploadId")
    target = f"/bucket/m?partNumber=1&uploadId={upload}"
    refused = s3("PUT", target, x_amz_copy_source="bucket/s", x_amz_copy_source_range=text)
    assert (refused.status, refused.code) == (400, "InvalidArgument")
    beyond = s3("PUT", target, x_amz_copy_source="bucket/s", x_amz_copy_source_range="bytes=0-5")
    assert beyond.code == "InvalidRange"
