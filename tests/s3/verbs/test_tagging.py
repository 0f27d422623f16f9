"""Tags of objects: by header and by document, with S3's limits."""

import pytest


def tagging(*pairs: tuple[str, str]) -> bytes:
    rows = "".join(f"<Tag><Key>{key}</Key><Value>{value}</Value></Tag>" for key, value in pairs)
    return f"<Tagging><TagSet>{rows}</TagSet></Tagging>".encode()


@pytest.fixture
def tags_of(s3):
    def read(target):
        got = s3("GET", f"{target}?tagging")
        assert got.status == 200, got.body
        return dict(zip(got.texts("TagSet/Tag/Key"), got.texts("TagSet/Tag/Value"), strict=True))

    return read


def test_tags_come_by_header(s3, bucket, tags_of):
    s3("PUT", "/bucket/k", b"", x_amz_tagging="b=2&a=x%20y+z&bare")
    assert list(tags_of("/bucket/k").items()) == [("a", "x y z"), ("b", "2"), ("bare", None)]
    assert s3("HEAD", "/bucket/k").headers["x-amz-tagging-count"] == "3"
    assert s3("GET", "/bucket/k").headers["x-amz-tagging-count"] == "3"


def test_tags_come_by_document_replace_and_go(s3, bucket, tags_of):
    s3("PUT", "/bucket/k", b"", x_amz_tagging="old=1")
    assert s3("PUT", "/bucket/k?tagging", tagging(("new", "2"), ("größe", "&lt;"))).status == 200
    assert tags_of("/bucket/k") == {"new": "2", "größe": "<"}
    assert s3("DELETE", "/bucket/k?tagging").status == 204
    assert tags_of("/bucket/k") == {}
    assert "x-amz-tagging-count" not in s3("HEAD", "/bucket/k").headers


@pytest.mark.parametrize(
    ("pairs", "ok"),
    [
        ([(str(n), "") for n in range(10)], True),
        ([(str(n), "") for n in range(11)], False),
        ([("k" * 128, "v" * 256)], True),
        ([("k" * 129, "")], False),
        ([("k", "v" * 257)], False),
        ([("", "v")], False),
        ([("a", "1"), ("a", "2")], False),
        ([("aws:x", "1")], False),
    ],
)
def test_limits(s3, bucket, tags_of, pairs, ok):
    s3("PUT", "/bucket/k", b"")
    answer = s3("PUT", "/bucket/k?tagging", tagging(*pairs))
    header = "&".join(f"{key}={value}" for key, value in pairs)
    by_header = s3("PUT", "/bucket/l", b"", x_amz_tagging=header)
    if ok:
        assert (answer.status, by_header.status) == (200, 200)
    else:
        assert (answer.status, answer.code, by_header.code) == (400, "InvalidTag", "InvalidTag")
        assert tags_of("/bucket/k") == {}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<Tagging/>",
        b"<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>",
        b"<Tagging><TagSet><Other/></TagSet></Tagging>",
        b"<Tagging><TagSet>text</TagSet></Tagging>",
        b"<Tagging><TagSet/><TagSet/></Tagging>",
        b"<Tagging><TagSet><Tag><Key>a<b/></Key><Value/></Tag></TagSet></Tagging>",
    ],
)
def test_documents_that_do_not_validate(s3, bucket, body):
    s3("PUT", "/bucket/k", b"")
    assert s3("PUT", "/bucket/k?tagging", body).code == "MalformedXML"


def test_versions_have_tags_of_their_own(s3, bucket, tags_of):
    s3("PUT", "/bucket?versioning", b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
    first = s3("PUT", "/bucket/k", b"1", x_amz_tagging="n=1").headers["x-amz-version-id"]
    s3("PUT", "/bucket/k", b"2", x_amz_tagging="n=2")
    set_ = s3("PUT", f"/bucket/k?tagging&versionId={first}", tagging(("n", "one")))
    assert set_.headers == {"x-amz-version-id": first}
    assert tags_of("/bucket/k") == {"n": "2"}
    assert s3("GET", f"/bucket/k?tagging&versionId={first}").texts("TagSet/Tag/Value") == ["one"]
    assert s3("GET", "/bucket/none?tagging").code == "NoSuchKey"


def test_a_header_that_is_no_query(s3, bucket):
    assert s3("PUT", "/bucket/k", b"", x_amz_tagging="a=%FF").code == "InvalidArgument"
    assert s3("GET", "/bucket/k").status == 404
