"""DeleteObjects: many keys in one document."""

import pytest


def delete(*rows: str, quiet: bool = False) -> bytes:
    objects = "".join(f"<Object>{row}</Object>" for row in rows)
    return f"<Delete>{objects}{'<Quiet>true</Quiet>' if quiet else ''}</Delete>".encode()


def key(name: str, more: str = "") -> str:
    return f"<Key>{name}</Key>{more}"


def test_keys_are_deleted_whether_or_not_they_are_there(s3, bucket):
    for name in "abc":
        s3("PUT", f"/bucket/{name}", b"x")
    got = s3("POST", "/bucket?delete", delete(key("a"), key("b"), key("none")))
    assert (got.status, got.texts("Deleted/Key"), got.texts("Error")) == (200, ["a", "b", "none"], [])
    assert s3("GET", "/bucket").texts("Contents/Key") == ["c"]
    quiet = s3("POST", "/bucket?delete", delete(key("c"), quiet=True))
    assert (quiet.status, list(quiet.xml)) == (200, [])
    assert s3("GET", "/bucket").texts("Contents/Key") == []


def test_markers_are_made_and_removed(s3, bucket):
    s3("PUT", "/bucket?versioning", b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>")
    version = s3("PUT", "/bucket/k", b"1").headers["x-amz-version-id"]
    made = s3("POST", "/bucket?delete", delete(key("k")))
    assert (made.text("Deleted/DeleteMarker"), made.text("Deleted/VersionId")) == ("true", None)
    marker = made.text("Deleted/DeleteMarkerVersionId")
    names = [key("k", f"<VersionId>{version}</VersionId>"), key("k", f"<VersionId>{marker}</VersionId>")]
    gone = s3("POST", "/bucket?delete", delete(*names))
    assert gone.texts("Deleted/VersionId") == [version, marker]
    assert gone.texts("Deleted/DeleteMarkerVersionId") == [marker]
    assert s3("DELETE", "/bucket").status == 204


def test_each_error_is_its_own(s3, bucket):
    s3("PUT", "/bucket/a", b"x")
    s3("PUT", "/bucket/b", b"x")
    rows = [key("a", "<ETag>other</ETag>"), key("b"), key("c", "<VersionId>nonsense</VersionId>"), key("k" * 1025)]
    got = s3("POST", "/bucket?delete", delete(*rows))
    assert got.status == 200
    assert got.texts("Deleted/Key") == ["b"]
    assert got.texts("Error/Code") == ["PreconditionFailed", "NoSuchVersion", "KeyTooLongError"]
    assert s3("GET", "/bucket").texts("Contents/Key") == ["a"]
    etag = s3("HEAD", "/bucket/a").headers["etag"].replace('"', "&quot;")
    assert s3("POST", "/bucket?delete", delete(key("a", f"<ETag>{etag}</ETag>"))).texts("Deleted/Key") == ["a"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "MalformedXML"),
        (delete(), "MalformedXML"),
        (delete(key("")), "MalformedXML"),
        (delete("<VersionId>null</VersionId>"), "MalformedXML"),
        (delete(*[key(str(n)) for n in range(1001)]), "MalformedXML"),
        (delete(key("a", "<Unknown/>")), "MalformedXML"),
        (delete(key("a", "<Size>3</Size>")), "NotImplemented"),
        (b"<Delete><Object><Key>a</Key></Object></Delete><more/>", "MalformedXML"),
    ],
)
def test_documents_that_delete_nothing(s3, bucket, body, code):
    s3("PUT", "/bucket/a", b"x")
    assert s3("POST", "/bucket?delete", body).code == code
    assert s3("GET", "/bucket/a").status == 200


def test_a_thousand_keys_with_special_characters(s3, bucket):
    names = [f"&lt;{n}&amp;&#10;é" for n in range(1000)]
    s3("PUT", "/bucket/%3C7%26%0A%C3%A9", b"x")
    got = s3("POST", "/bucket?delete", delete(*[key(name) for name in names]))
    assert len(got.texts("Deleted/Key")) == 1000
    assert s3("GET", "/bucket").texts("Contents/Key") == []


def test_a_bucket_that_is_not_there(s3):
    assert s3("POST", "/none?delete", delete(key("a"))).code == "NoSuchBucket"
