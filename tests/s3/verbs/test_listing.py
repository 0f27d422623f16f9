"""ListObjects, ListObjectsV2, ListObjectVersions."""

from urllib.parse import quote, unquote

import pytest

KEYS = ["a/1", "a/2", "b", "c/d/e", "c/f", "g"]


@pytest.fixture
def keys(s3, bucket):
    for key in KEYS:
        s3("PUT", f"/bucket/{key}", key.encode())


def test_a_listing_tells_of_each_object(s3, bucket):
    s3("PUT", "/bucket/k", b"hello", x_amz_checksum_crc32="NhCmhg==")
    got = s3("GET", "/bucket?list-type=2&fetch-owner=true")
    told = {element.tag: element.text for element in got.xml.find("Contents")}
    assert told.pop("Owner") is None
    assert got.text("Contents/Owner/ID") == "owner-1"
    assert told == {
        "Key": "k",
        "LastModified": "2023-11-14T22:13:20.000Z",
        "ETag": '"5d41402abc4b2a76b9719d911017c592"',
        "Size": "5",
        "ChecksumAlgorithm": "CRC32",
        "ChecksumType": "FULL_OBJECT",
        "StorageClass": "STANDARD",
    }
    assert s3("GET", "/bucket?list-type=2").text("Contents/Owner") is None
    assert s3("GET", "/bucket").text("Contents/Owner/DisplayName") == "owner-1"


def test_an_empty_bucket(s3, bucket):
    got = s3("GET", "/bucket?list-type=2")
    assert [(element.tag, element.text) for element in got.xml] == [
        ("Name", "bucket"),
        ("Prefix", None),
        ("KeyCount", "0"),
        ("MaxKeys", "1000"),
        ("IsTruncated", "false"),
    ]
    assert s3("GET", "/none?list-type=2").code == "NoSuchBucket"
    assert s3("GET", "/none?max-keys=0").code == "NoSuchBucket"


@pytest.mark.parametrize("size", [1, 2, 3, 10])
@pytest.mark.parametrize("delimiter", ["", "/"])
def test_pages_of_v2_hold_everything_once(s3, keys, size, delimiter):
    seen, token = [], ""
    while True:
        got = s3("GET", f"/bucket?list-type=2&max-keys={size}&delimiter={delimiter}{token}")
        page = got.texts("Contents/Key") + got.texts("CommonPrefixes/Prefix")
        assert len(page) == int(got.text("KeyCount")) <= size
        seen += page
        if got.text("IsTruncated") == "false":
            assert got.text("NextContinuationToken") is None
            break
        token = "&continuation-token=" + quote(got.text("NextContinuationToken"))
    assert sorted(seen) == (sorted(["a/", "b", "c/", "g"]) if delimiter else KEYS)


@pytest.mark.parametrize("size", [1, 2, 3, 10])
@pytest.mark.parametrize("delimiter", ["", "/"])
def test_pages_of_v1_hold_everything_once(s3, keys, size, delimiter):
    seen, marker = [], ""
    while True:
        got = s3("GET", f"/bucket?max-keys={size}&delimiter={delimiter}&marker={quote(marker)}")
        page = sorted(got.texts("Contents/Key") + got.texts("CommonPrefixes/Prefix"))
        seen += page
        assert (got.text("Marker") or "") == marker
        if got.text("IsTruncated") == "false":
            break
        assert (got.text("NextMarker") is not None) == bool(delimiter)
        marker = got.text("NextMarker") or page[-1]
    assert seen == (["a/", "b", "c/", "g"] if delimiter else KEYS)


def test_prefix_delimiter_and_start(s3, keys):
    got = s3("GET", "/bucket?list-type=2&prefix=c/&delimiter=/")
    assert (got.texts("Contents/Key"), got.texts("CommonPrefixes/Prefix")) == (["c/f"], ["c/d/"])
    assert (got.text("Prefix"), got.text("Delimiter")) == ("c/", "/")
    got = s3("GET", "/bucket?list-type=2&start-after=b")
    assert (got.texts("Contents/Key"), got.text("StartAfter")) == (["c/d/e", "c/f", "g"], "b")
    got = s3("GET", "/bucket?list-type=2&max-keys=0")
    assert (got.text("KeyCount"), got.text("IsTruncated"), got.text("MaxKeys")) == ("0", "false", "0")
    assert s3("GET", "/bucket?list-type=2&max-keys=5000").text("MaxKeys") == "1000"


@pytest.mark.parametrize(
    "query",
    [
        "max-keys=-1",
        "max-keys=blah",
        "max-keys=99999999999",
        "encoding-type=base64",
        "list-type=3",
        "list-type=2&fetch-owner=maybe",
        "list-type=2&continuation-token=%C3%BC",
        "list-type=2&continuation-token=AAAA",
        "list-type=2&continuation-token=Mf8=",
    ],
)
def test_arguments_that_make_no_sense(s3, bucket, query):
    answer = s3("GET", f"/bucket?{query}")
    assert (answer.status, answer.code) == (400, "InvalidArgument")


HARD = ["<&>\"'", "sp ace", "plus+", "per%cent", "t\tn\nr\r", "é🐘", "a=b&c", "~*-_.", "\u2028", "]]>"]


def test_special_characters_come_back(s3, bucket):
    for key in HARD:
        s3("PUT", f"/bucket/{quote(key, safe='')}", b"")
    plain = s3("GET", "/bucket?list-type=2")
    assert sorted(plain.texts("Contents/Key")) == sorted(HARD)
    encoded = s3("GET", "/bucket?list-type=2&encoding-type=url")
    assert encoded.text("EncodingType") == "url"
    assert sorted(unquote(key) for key in encoded.texts("Contents/Key")) == sorted(HARD)
    assert "sp%20ace" in encoded.texts("Contents/Key")
    assert "plus%2B" in encoded.texts("Contents/Key")


def test_characters_xml_cannot_carry_are_references_unless_url_encoding_is_asked_for(s3, bucket):
    for key in ("%01", "%EF%BF%BF"):
        s3("PUT", f"/bucket/{key}", b"")
    assert b"<Key>&#x1;</Key>" in s3("GET", "/bucket?list-type=2").body
    assert b"<Key>&#xFFFF;</Key>" in s3("GET", "/bucket").body
    encoded = s3("GET", "/bucket?list-type=2&encoding-type=url")
    assert encoded.texts("Contents/Key") == ["%01", "%EF%BF%BF"]


def test_markers_and_prefixes_are_encoded_like_keys(s3, bucket):
    for key in ("x y/1", "x y/2"):
        s3("PUT", f"/bucket/{quote(key)}", b"")
    got = s3("GET", "/bucket?encoding-type=url&delimiter=%20&prefix=x&marker=%0A&max-keys=1")
    assert (got.text("Marker"), got.text("Delimiter"), got.text("Prefix")) == ("%0A", "%20", "x")
    assert got.texts("CommonPrefixes/Prefix") == ["x%20"]
    assert s3("GET", "/bucket?prefix=%3Ca%3E").text("Prefix") == "<a>"
    assert s3("GET", "/bucket?list-type=2&prefix=x%20&encoding-type=url").text("Prefix") == "x%20"


def test_the_prefix_of_v1_is_encoded_only_where_xml_could_not_carry_it(s3, bucket):
    assert s3("GET", "/bucket?prefix=x%20%0A&encoding-type=url").text("Prefix") == "x \n"
    assert s3("GET", "/bucket?prefix=%01&encoding-type=url").text("Prefix") == "%01"


def test_versions_are_listed_newest_first_with_markers_between(s3, bucket):
    s3("PUT", "/bucket?versioning", b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
    first = s3("PUT", "/bucket/k", b"1").headers["x-amz-version-id"]
    second = s3("PUT", "/bucket/k", b"2").headers["x-amz-version-id"]
    marker = s3("DELETE", "/bucket/k").headers["x-amz-version-id"]
    s3("PUT", "/bucket/l", b"3")
    got = s3("GET", "/bucket?versions")
    rows = [
        (element.tag, element.findtext("VersionId"), element.findtext("IsLatest"))
        for element in got.xml
        if element.tag in ("Version", "DeleteMarker") and element.findtext("Key") == "k"
    ]
    assert rows == [("DeleteMarker", marker, "true"), ("Version", second, "false"), ("Version", first, "false")]
    assert got.text("DeleteMarker/Owner/ID") == got.text("Version/Owner/ID") == "owner-1"
    assert got.text("DeleteMarker/Size") is None


@pytest.mark.parametrize("size", [1, 2, 5])
def test_pages_of_versions_hold_everything_once(s3, bucket, size):
    s3("PUT", "/bucket?versioning", b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
    for key in ("a/1", "b", "b", "b", "c"):
        s3("PUT", f"/bucket/{key}", b"")
    s3("DELETE", "/bucket/b")
    seen, markers = [], ""
    while True:
        got = s3("GET", f"/bucket?versions&delimiter=/&max-keys={size}{markers}")
        seen += [element.findtext("VersionId") for element in got.xml if element.tag in ("Version", "DeleteMarker")]
        seen += got.texts("CommonPrefixes/Prefix")
        if got.text("IsTruncated") == "false":
            break
        markers = "&key-marker=" + quote(got.text("NextKeyMarker"))
        if got.text("NextVersionIdMarker"):
            markers += "&version-id-marker=" + got.text("NextVersionIdMarker")
    assert len(seen) == len(set(seen)) == 6


def test_a_version_marker_needs_its_key(s3, bucket):
    assert s3("GET", "/bucket?versions&version-id-marker=null").code == "InvalidArgument"
    assert s3("GET", "/bucket?versions&key-marker=a&version-id-marker=zz").code == "InvalidArgument"
