"""Objects of buckets that keep versions."""

import pytest


@pytest.fixture
def versioned(s3, bucket):
    s3("PUT", "/bucket?versioning", b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
    return "/bucket/k"


def suspend(s3):
    s3("PUT", "/bucket?versioning", b"<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>")


def test_every_version_can_be_read(s3, versioned):
    ids = [s3("PUT", versioned, body).headers["x-amz-version-id"] for body in (b"1", b"2")]
    assert s3("GET", versioned).headers["x-amz-version-id"] == ids[1]
    assert [s3("GET", f"{versioned}?versionId={id_}").body for id_ in ids] == [b"1", b"2"]
    assert s3("HEAD", f"{versioned}?versionId={ids[0]}").headers["x-amz-version-id"] == ids[0]


def test_a_delete_marker_hides_and_its_removal_shows_again(s3, versioned):
    s3("PUT", versioned, b"1")
    gone = s3("DELETE", versioned)
    marker = gone.headers["x-amz-version-id"]
    assert (gone.status, gone.headers["x-amz-delete-marker"]) == (204, "true")
    missing = s3("GET", versioned)
    assert (missing.status, missing.code) == (404, "NoSuchKey")
    assert (missing.headers["x-amz-delete-marker"], missing.headers["x-amz-version-id"]) == ("true", marker)
    named = s3("GET", f"{versioned}?versionId={marker}")
    assert (named.status, named.code) == (405, "MethodNotAllowed")
    assert (named.headers["x-amz-delete-marker"], named.headers["allow"]) == ("true", "DELETE")
    assert named.headers["last-modified"] == "Tue, 14 Nov 2023 22:13:20 GMT"
    undone = s3("DELETE", f"{versioned}?versionId={marker}")
    assert (undone.headers["x-amz-delete-marker"], undone.headers["x-amz-version-id"]) == ("true", marker)
    assert s3("GET", versioned).body == b"1"


def test_removing_a_version_names_it(s3, versioned):
    id_ = s3("PUT", versioned, b"1").headers["x-amz-version-id"]
    gone = s3("DELETE", f"{versioned}?versionId={id_}")
    assert (gone.status, gone.headers) == (204, {"x-amz-version-id": id_})
    assert s3("GET", f"{versioned}?versionId={id_}").code == "NoSuchVersion"


def test_the_null_version_is_named_null(s3, bucket):
    s3("PUT", "/bucket/k", b"before")
    s3("PUT", "/bucket?versioning", b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
    s3("PUT", "/bucket/k", b"after")
    old = s3("GET", "/bucket/k?versionId=null")
    assert (old.body, "x-amz-version-id" in old.headers) == (b"before", False)
    suspend(s3)
    assert "x-amz-version-id" not in s3("PUT", "/bucket/k", b"again").headers
    assert s3("GET", "/bucket/k?versionId=null").body == b"again"
    gone = s3("DELETE", "/bucket/k")
    assert (gone.headers["x-amz-version-id"], gone.headers["x-amz-delete-marker"]) == ("null", "true")


def test_a_conditional_delete_looks_at_what_it_would_remove_or_hide(s3, versioned):
    assert s3("DELETE", versioned, if_match="*").headers == {}
    put = s3("PUT", versioned, b"1").headers
    s3("PUT", versioned, b"2")
    assert s3("DELETE", versioned, if_match=put["etag"]).code == "PreconditionFailed"
    assert s3("DELETE", f"{versioned}?versionId={put['x-amz-version-id']}", if_match='"other"').status == 412
    assert s3("DELETE", f"{versioned}?versionId={put['x-amz-version-id']}", if_match=put["etag"]).status == 204
    assert s3("DELETE", f"{versioned}?versionId={put['x-amz-version-id']}", if_match=put["etag"]).status == 204
    marker = s3("DELETE", versioned, if_match="*")
    assert (marker.status, marker.headers["x-amz-delete-marker"]) == (204, "true")
    assert s3("DELETE", versioned, if_match=put["etag"]).status == 412
    assert s3("DELETE", versioned, if_match="*").status == 204
