"""Multipart uploads, their checksums and their attributes."""

from base64 import b64decode, b64encode
from hashlib import md5, sha256
from zlib import crc32

import pytest

MIB5 = 5 << 20
ONE, TWO = b"a" * MIB5, b"b" * 1000


def b64crc(data: bytes) -> str:
    return b64encode(crc32(data).to_bytes(4, "big")).decode()


def b64sha(data: bytes) -> str:
    return b64encode(sha256(data).digest()).decode()


def completion(*parts: tuple[int, str], extra: dict[int, str] | None = None) -> bytes:
    rows = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag>{(extra or {}).get(number, '')}</Part>"
        for number, etag in parts
    )
    return f"<CompleteMultipartUpload>{rows}</CompleteMultipartUpload>".encode()


@pytest.fixture
def begin(s3, bucket):
    def start(**headers):
        begun = s3("POST", "/bucket/big?uploads", **headers)
        assert begun.status == 200, begun.body
        return begun.text("UploadId")

    return start


def test_an_upload_from_begin_to_end(s3, begin):
    upload = begin(content_type="text/plain", x_amz_meta_a="b", x_amz_tagging="t=1")
    etags = []
    for number, data in ((1, ONE), (3, TWO)):
        put = s3("PUT", f"/bucket/big?partNumber={number}&uploadId={upload}", data)
        assert (put.status, put.headers["etag"]) == (200, f'"{md5(data).hexdigest()}"')
        etags.append(put.headers["etag"])
    assert s3("GET", "/bucket/big").status == 404
    done = s3("POST", f"/bucket/big?uploadId={upload}", completion((1, etags[0]), (3, etags[1].strip('"'))))
    etag = f'"{md5(md5(ONE).digest() + md5(TWO).digest()).hexdigest()}-2"'
    assert (done.status, done.text("ETag"), done.text("Key")) == (200, etag, "big")
    assert done.text("Location") == "http://localhost/bucket/big"
    got = s3("GET", "/bucket/big")
    assert (got.body == ONE + TWO, got.headers["etag"]) == (True, etag)
    assert (got.headers["content-type"], got.headers["x-amz-meta-a"], got.headers["x-amz-tagging-count"]) == (
        "text/plain",
        "b",
        "1",
    )
    second = s3("GET", "/bucket/big?partNumber=2")
    assert (second.status, second.body == TWO, second.headers["x-amz-mp-parts-count"]) == (206, True, "2")
    assert second.headers["content-range"] == f"bytes {MIB5}-{MIB5 + 999}/{MIB5 + 1000}"
    head = s3("HEAD", "/bucket/big?partNumber=1")
    assert (head.status, head.reply.length) == (206, MIB5)
    assert s3("GET", "/bucket/big?partNumber=3").code == "InvalidPart"


def test_completing_again_says_the_same(s3, begin):
    upload = begin()
    etag = s3("PUT", f"/bucket/big?partNumber=1&uploadId={upload}", TWO).headers["etag"]
    first = s3("POST", f"/bucket/big?uploadId={upload}", completion((1, etag)))
    again = s3("POST", f"/bucket/big?uploadId={upload}", completion((1, etag)))
    assert (again.status, again.text("ETag")) == (200, first.text("ETag"))
    assert s3("POST", f"/bucket/big?uploadId={upload}", completion((1, "0" * 32))).code == "InvalidPart"
    s3("PUT", "/bucket/big", b"other")
    assert s3("POST", f"/bucket/big?uploadId={upload}", completion((1, etag))).code == "NoSuchUpload"
    assert s3("GET", "/bucket/big").body == b"other"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "MalformedXML"),
        (completion(), "MalformedXML"),
        (completion((2, "x")), "InvalidPart"),
        (completion((1, "0" * 32)), "InvalidPart"),
        (completion((0, "x")), "InvalidArgument"),
        (completion((10_001, "x")), "InvalidArgument"),
        (b"<CompleteMultipartUpload><Part><ETag>x</ETag></Part></CompleteMultipartUpload>", "MalformedXML"),
        (
            b"<CompleteMultipartUpload><Part><PartNumber>x</PartNumber><ETag/></Part></CompleteMultipartUpload>",
            "MalformedXML",
        ),
        (completion(*((number, "x") for number in range(1, 10_002))), "MalformedXML"),
    ],
)
def test_a_list_of_parts_that_is_wrong_completes_nothing(s3, begin, body, code):
    upload = begin()
    s3("PUT", f"/bucket/big?partNumber=1&uploadId={upload}", TWO)
    answer = s3("POST", f"/bucket/big?uploadId={upload}", body)
    assert (answer.status, answer.code) == (400, code)
    assert s3("GET", f"/bucket/big?uploadId={upload}").status == 200


def test_order_and_size_of_parts(s3, begin):
    upload = begin()
    etags = [s3("PUT", f"/bucket/big?partNumber={n}&uploadId={upload}", TWO).headers["etag"] for n in (1, 2)]
    backwards = s3("POST", f"/bucket/big?uploadId={upload}", completion((2, etags[1]), (1, etags[0])))
    assert backwards.code == "InvalidPartOrder"
    small = s3("POST", f"/bucket/big?uploadId={upload}", completion((1, etags[0]), (2, etags[1])))
    assert (small.code, small.text("MinSizeAllowed")) == ("EntityTooSmall", str(MIB5))


def test_uploads_of_keys_that_xml_cannot_carry(s3, bucket):
    upload = s3("POST", "/bucket/%01?uploads").text("UploadId")
    etag = s3("PUT", f"/bucket/%01?partNumber=1&uploadId={upload}", TWO).headers["etag"]
    assert s3("GET", f"/bucket/%01?uploadId={upload}").texts("Part/PartNumber") == ["1"]
    assert (
        s3("POST", f"/bucket/%01?uploadId={upload}", completion((1, etag))).text("Location")
        == "http://localhost/bucket/%01"
    )
    assert s3("GET", "/bucket/%01").body == TWO


def test_a_part_named_twice_in_a_row_counts_as_named_last(s3, begin):
    upload = begin()
    first = s3("PUT", f"/bucket/big?partNumber=1&uploadId={upload}", ONE).headers["etag"]
    second = s3("PUT", f"/bucket/big?partNumber=1&uploadId={upload}", TWO).headers["etag"]
    assert s3("POST", f"/bucket/big?uploadId={upload}", completion((1, second), (1, first))).code == "InvalidPart"
    assert s3("POST", f"/bucket/big?uploadId={upload}", completion((1, first), (1, second))).status == 200
    assert s3("GET", "/bucket/big").body == TWO


def test_completing_may_be_conditional(s3, begin):
    upload = begin()
    etag = s3("PUT", f"/bucket/big?partNumber=1&uploadId={upload}", TWO).headers["etag"]
    s3("PUT", "/bucket/big", b"there")
    refused = s3("POST", f"/bucket/big?uploadId={upload}", completion((1, etag)), if_none_match="*")
    assert (refused.status, refused.code) == (412, "PreconditionFailed")
    wrong = s3("POST", f"/bucket/big?uploadId={upload}", completion((1, etag)), x_amz_mp_object_size="1")
    assert wrong.code == "InvalidRequest"
    assert s3("POST", f"/bucket/big?uploadId={upload}", completion((1, etag)), if_match="*").status == 200


def test_uploads_are_listed_and_aborted(s3, begin):
    uploads = sorted([begin(), begin()])
    got = s3("GET", "/bucket?uploads")
    assert sorted(got.texts("Upload/UploadId")) == uploads
    assert (got.text("Upload/Owner/ID"), got.text("Upload/Initiator/ID")) == ("owner-1", "owner-1")
    page = s3("GET", "/bucket?uploads&max-uploads=1")
    markers = f"key-marker={page.text('NextKeyMarker')}&upload-id-marker={page.text('NextUploadIdMarker')}"
    rest = s3("GET", f"/bucket?uploads&{markers}")
    assert sorted(page.texts("Upload/UploadId") + rest.texts("Upload/UploadId")) == uploads
    assert s3("GET", "/bucket?uploads&prefix=x").texts("Upload/UploadId") == []
    assert s3("GET", "/bucket?uploads&delimiter=i").texts("CommonPrefixes/Prefix") == ["bi"]
    for upload in uploads:
        assert s3("DELETE", f"/bucket/big?uploadId={upload}").status == 204
        assert s3("DELETE", f"/bucket/big?uploadId={upload}").code == "NoSuchUpload"
        assert s3("PUT", f"/bucket/big?partNumber=1&uploadId={upload}", TWO).code == "NoSuchUpload"
    assert s3("GET", "/bucket?uploads").texts("Upload/UploadId") == []


def test_parts_are_listed_in_pages(s3, begin):
    upload = begin(x_amz_checksum_algorithm="CRC32")
    for number in (1, 4, 9):
        s3("PUT", f"/bucket/big?partNumber={number}&uploadId={upload}", TWO)
    got = s3("GET", f"/bucket/big?uploadId={upload}")
    assert got.texts("Part/PartNumber") == ["1", "4", "9"]
    assert (got.text("ChecksumAlgorithm"), got.text("ChecksumType")) == ("CRC32", "COMPOSITE")
    assert (got.text("Part/ChecksumCRC32"), got.text("Part/Size")) == (b64crc(TWO), "1000")
    page = s3("GET", f"/bucket/big?uploadId={upload}&max-parts=2")
    assert (page.text("NextPartNumberMarker"), page.text("IsTruncated")) == ("4", "true")
    rest = s3("GET", f"/bucket/big?uploadId={upload}&part-number-marker=4")
    assert (rest.texts("Part/PartNumber"), rest.text("IsTruncated")) == (["9"], "false")
    assert s3("GET", f"/bucket/big?uploadId={upload}&max-parts=x").code == "InvalidArgument"


@pytest.mark.parametrize("number", ["0", "10001", "x", ""])
def test_numbers_no_part_can_have(s3, begin, number):
    answer = s3("PUT", f"/bucket/big?partNumber={number}&uploadId={begin()}", TWO)
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_a_part_without_its_upload_is_refused(s3, bucket):
    assert s3("PUT", "/bucket/big?partNumber=1", TWO).status == 501
    assert s3("PUT", "/bucket/big?partNumber=1&uploadId=none", TWO).code == "NoSuchUpload"
    assert s3("GET", "/bucket/big").status == 404


def test_a_composite_checksum(s3, begin):
    upload = begin(x_amz_checksum_algorithm="SHA256")
    whole = b64encode(sha256(sha256(ONE).digest() + sha256(TWO).digest()).digest()).decode() + "-2"
    etags, extra = [], {}
    for number, data in ((1, ONE), (2, TWO)):
        put = s3("PUT", f"/bucket/big?partNumber={number}&uploadId={upload}", data, x_amz_checksum_sha256=b64sha(data))
        assert put.headers["x-amz-checksum-sha256"] == b64sha(data)
        etags.append((number, put.headers["etag"]))
        extra[number] = f"<ChecksumSHA256>{b64sha(data)}</ChecksumSHA256>"
    wrong = s3("POST", f"/bucket/big?uploadId={upload}", completion(*etags, extra=extra), x_amz_checksum_sha256="bad")
    assert wrong.code == "BadDigest"
    other = b64sha(b"x") + "-2"
    assert (
        s3("POST", f"/bucket/big?uploadId={upload}", completion(*etags, extra=extra), x_amz_checksum_sha256=other).code
        == "BadDigest"
    )
    done = s3("POST", f"/bucket/big?uploadId={upload}", completion(*etags, extra=extra), x_amz_checksum_sha256=whole)
    assert (done.text("ChecksumSHA256"), done.text("ChecksumType")) == (whole, "COMPOSITE")
    head = s3("HEAD", "/bucket/big", x_amz_checksum_mode="ENABLED")
    assert (head.headers["x-amz-checksum-sha256"], head.headers["x-amz-checksum-type"]) == (whole, "COMPOSITE")
    assert "x-amz-checksum-sha256" not in s3("HEAD", "/bucket/big").headers
    part = s3("GET", "/bucket/big?partNumber=2", x_amz_checksum_mode="ENABLED")
    assert part.headers["x-amz-checksum-sha256"] == b64sha(TWO)
    attributes = s3("GET", "/bucket/big?attributes", x_amz_object_attributes="Checksum,ObjectParts,ObjectSize,ETag")
    assert attributes.text("Checksum/ChecksumSHA256") == whole
    assert attributes.texts("ObjectParts/Part/ChecksumSHA256") == [b64sha(ONE), b64sha(TWO)]
    assert (attributes.text("ObjectParts/PartsCount"), attributes.text("ObjectSize")) == ("2", str(MIB5 + 1000))
    assert attributes.text("StorageClass") is None


def test_a_full_object_checksum(s3, begin):
    upload = begin(x_amz_checksum_algorithm="CRC32", x_amz_checksum_type="FULL_OBJECT")
    etags = [
        (n, s3("PUT", f"/bucket/big?partNumber={n}&uploadId={upload}", data).headers["etag"])
        for n, data in ((1, ONE), (2, TWO))
    ]
    mismatch = s3("POST", f"/bucket/big?uploadId={upload}", completion(*etags), x_amz_checksum_type="COMPOSITE")
    assert mismatch.code == "InvalidRequest"
    done = s3("POST", f"/bucket/big?uploadId={upload}", completion(*etags), x_amz_checksum_crc32=b64crc(ONE + TWO))
    assert (done.text("ChecksumCRC32"), done.text("ChecksumType")) == (b64crc(ONE + TWO), "FULL_OBJECT")


@pytest.mark.parametrize(
    ("algorithm", "kind"),
    [("SHA256", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE"), ("MD4", ""), ("CRC32", "HALF"), ("", "COMPOSITE")],
)
def test_kinds_of_checksum_an_upload_cannot_have(s3, bucket, algorithm, kind):
    headers = {"x_amz_checksum_algorithm": algorithm} if algorithm else {}
    headers |= {"x_amz_checksum_type": kind} if kind else {}
    answer = s3("POST", "/bucket/big?uploads", **headers)
    assert (answer.status, answer.code) == (400, "InvalidRequest")


def test_crc64nvme_uploads_are_full_object(s3, bucket):
    begun = s3("POST", "/bucket/big?uploads", x_amz_checksum_algorithm="CRC64NVME")
    assert begun.headers["x-amz-checksum-type"] == "FULL_OBJECT"


def test_a_part_of_another_algorithm_is_refused(s3, begin):
    upload = begin(x_amz_checksum_algorithm="SHA256")
    answer = s3("PUT", f"/bucket/big?partNumber=1&uploadId={upload}", TWO, x_amz_checksum_crc32=b64crc(TWO))
    assert answer.code == "InvalidRequest"


def test_attributes_are_told_in_pages(s3, begin):
    upload = begin()
    etags = [
        (n, s3("PUT", f"/bucket/big?partNumber={n}&uploadId={upload}", data).headers["etag"])
        for n, data in ((1, ONE), (2, ONE), (3, TWO))
    ]
    s3("POST", f"/bucket/big?uploadId={upload}", completion(*etags))
    got = s3(
        "GET",
        "/bucket/big?attributes",
        x_amz_object_attributes="ObjectParts, StorageClass",
        x_amz_max_parts="1",
        x_amz_part_number_marker="1",
    )
    assert got.texts("ObjectParts/Part/PartNumber") == ["2"]
    assert (got.text("ObjectParts/IsTruncated"), got.text("ObjectParts/NextPartNumberMarker")) == ("true", "2")
    assert (got.text("StorageClass"), got.text("ETag")) == ("STANDARD", None)
    assert s3("GET", "/bucket/big?attributes").code == "InvalidArgument"
    assert s3("GET", "/bucket/big?attributes", x_amz_object_attributes="Other").code == "InvalidArgument"


def test_known_crc_is_what_the_store_computes():
    assert b64crc(b"hello") == "NhCmhg=="
    assert len(b64decode(b64crc(b""))) == 4
