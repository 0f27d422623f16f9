"""Checksums of single bodies: by header, by trailer, named only."""

from base64 import b64encode
from hashlib import sha1, sha256

import pytest
from awscrt import checksums

BODY = b"hello"
DIGESTS = {
    "crc32": checksums.crc32(BODY).to_bytes(4, "big"),
    "crc32c": checksums.crc32c(BODY).to_bytes(4, "big"),
    "crc64nvme": checksums.crc64nvme(BODY).to_bytes(8, "big"),
    "sha1": sha1(BODY).digest(),
    "sha256": sha256(BODY).digest(),
}
TEXTS = {name: b64encode(value).decode() for name, value in DIGESTS.items()}


@pytest.mark.parametrize("name", DIGESTS)
def test_a_checksum_is_checked_kept_and_told(s3, bucket, name):
    header = f"x-amz-checksum-{name}"
    put = s3("PUT", "/bucket/k", BODY, **{header: TEXTS[name]})
    assert (put.headers[header], put.headers["x-amz-checksum-type"]) == (TEXTS[name], "FULL_OBJECT")
    assert header not in s3("GET", "/bucket/k").headers
    told = s3("GET", "/bucket/k", x_amz_checksum_mode="ENABLED").headers
    assert (told[header], told["x-amz-checksum-type"]) == (TEXTS[name], "FULL_OBJECT")
    assert header not in s3("GET", "/bucket/k", x_amz_checksum_mode="ENABLED", range="bytes=0-1").headers
    whole = s3("GET", "/bucket/k?partNumber=1", x_amz_checksum_mode="ENABLED").headers
    assert whole[header] == TEXTS[name]
    attributes = s3("GET", "/bucket/k?attributes", x_amz_object_attributes="Checksum,ObjectParts")
    assert attributes.text(f"Checksum/Checksum{name.upper()}") == TEXTS[name]
    assert attributes.text("ObjectParts") is None


@pytest.mark.parametrize("name", DIGESTS)
def test_a_wrong_checksum_stores_nothing(s3, bucket, name):
    wrong = b64encode(bytes(len(DIGESTS[name]))).decode()
    for text in (wrong, "bad", "", "AAAA"):
        refused = s3("PUT", "/bucket/k", BODY, **{f"x-amz-checksum-{name}": text})
        assert (refused.status, refused.code) == (400, "BadDigest")
    assert s3("GET", "/bucket/k").status == 404


@pytest.mark.parametrize("name", DIGESTS)
def test_a_checksum_may_come_after_the_body(s3, bucket, name):
    header = f"x-amz-checksum-{name}"
    put = s3("PUT", "/bucket/k", BODY, x_amz_trailer=header, trailers={header: TEXTS[name]})
    assert put.headers[header] == TEXTS[name]
    wrong = s3(
        "PUT", "/bucket/l", BODY, x_amz_trailer=header, trailers={header: b64encode(bytes(len(DIGESTS[name]))).decode()}
    )
    assert wrong.code == "BadDigest"
    missing = s3("PUT", "/bucket/l", BODY, x_amz_trailer=header)
    assert missing.code == "MalformedTrailerError"
    assert s3("GET", "/bucket/l").status == 404


def test_a_named_algorithm_is_computed(s3, bucket):
    for header in ("x_amz_sdk_checksum_algorithm", "x_amz_checksum_algorithm"):
        put = s3("PUT", "/bucket/k", BODY, **{header: "CRC32C"})
        assert put.headers["x-amz-checksum-crc32c"] == TEXTS["crc32c"]


def test_contradictions(s3, bucket):
    both = {"x-amz-checksum-crc32": TEXTS["crc32"], "x-amz-checksum-sha1": TEXTS["sha1"]}
    assert s3("PUT", "/bucket/k", BODY, **both).code == "InvalidRequest"
    assert s3("PUT", "/bucket/k", BODY, x_amz_trailer="x-amz-meta-a").code == "InvalidRequest"
    named = {"x-amz-checksum-crc32": TEXTS["crc32"], "x-amz-sdk-checksum-algorithm": "SHA1"}
    assert s3("PUT", "/bucket/k", BODY, **named).code == "InvalidRequest"
    assert s3("PUT", "/bucket/k", BODY, x_amz_sdk_checksum_algorithm="MD4").code == "InvalidRequest"
    trailing = {"x-amz-checksum-crc32": TEXTS["crc32"], "x-amz-trailer": "x-amz-checksum-crc32"}
    assert s3("PUT", "/bucket/k", BODY, **trailing).code == "InvalidRequest"
    assert s3("GET", "/bucket/k").status == 404


def test_documents_are_checked_too(s3, bucket):
    body = b"<Tagging><TagSet/></Tagging>"
    s3("PUT", "/bucket/k", b"")
    assert s3("PUT", "/bucket/k?tagging", body, x_amz_checksum_crc32=TEXTS["crc32"]).code == "BadDigest"
    good = b64encode(checksums.crc32(body).to_bytes(4, "big")).decode()
    assert s3("PUT", "/bucket/k?tagging", body, x_amz_checksum_crc32=good).status == 200
    assert s3("PUT", "/bucket/k?tagging", body, content_md5="AAAAAAAAAAAAAAAAAAAAAA==").code == "BadDigest"
