"""Buckets: created, listed, located, versioned, tagged, deleted."""

import pytest


def test_a_bucket_is_created_found_and_deleted(s3):
    made = s3("PUT", "/bucket")
    assert (made.status, made.headers) == (200, {"location": "/bucket"})
    head = s3("HEAD", "/bucket")
    assert (head.status, head.body, head.headers["x-amz-bucket-region"]) == (200, b"", "us-east-1")
    assert s3("DELETE", "/bucket").status == 204
    assert s3("HEAD", "/bucket").status == 404
    assert s3("DELETE", "/bucket").code == "NoSuchBucket"


def test_creating_ones_own_bucket_again_is_fine_in_the_first_region_only(s3, bucket):
    assert s3("PUT", "/bucket").status == 200
    s3.region = "eu-central-1"
    again = s3("PUT", "/bucket")
    assert (again.status, again.code, again.text("BucketName")) == (409, "BucketAlreadyOwnedByYou", "bucket")


def test_a_bucket_that_holds_something_stays(s3, bucket):
    s3("PUT", "/bucket/k", b"x")
    refused = s3("DELETE", "/bucket")
    assert (refused.status, refused.code, s3("GET", "/bucket/k").body) == (409, "BucketNotEmpty", b"x")


@pytest.mark.parametrize(
    "name", ["a", "UPPER", "has_underscore", "-dash", "dash-", "a..b", "a.-b", "a-.b", "192.168.0.1", "x" * 64]
)
def test_names_follow_s3s_rules(s3, name):
    refused = s3("PUT", f"/{name}")
    assert (refused.status, refused.code) == (400, "InvalidBucketName")


def configuration(inside: str) -> bytes:
    return f'<CreateBucketConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{inside}</CreateBucketConfiguration>'.encode()


def test_a_location_is_accepted_and_told_as_the_signers_region(s3):
    assert s3("PUT", "/one", configuration("<LocationConstraint>eu-central-1</LocationConstraint>")).status == 200
    assert s3("PUT", "/two", configuration("")).status == 200
    assert s3("GET", "/one?location").xml.text is None
    s3.region = "eu-central-1"
    assert s3("GET", "/one?location").xml.text == "eu-central-1"
    for several, told in (("eu-central-1,us-west-2", "eu-central-1"), ("*", None), ("", None)):
        s3.region = several
        assert s3("GET", "/one?location", x_amz_region_set=several).xml.text == told
    assert s3("GET", "/none?location").code == "NoSuchBucket"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"junk", "MalformedXML"),
        (b"<Other/>", "MalformedXML"),
        (configuration("<Location><Type>AvailabilityZone</Type></Location>"), "MalformedXML"),
        (configuration("<LocationConstraint>../</LocationConstraint>"), "InvalidLocationConstraint"),
    ],
)
def test_a_configuration_that_is_not_understood_creates_nothing(s3, body, code):
    assert s3("PUT", "/bucket", body).code == code
    assert s3("HEAD", "/bucket").status == 404


def test_buckets_are_listed_in_pages(s3, other):
    for name in ("bbb", "aaa", "abc", "ccc"):
        s3("PUT", f"/{name}")
    whole = s3("GET", "/")
    assert whole.texts("Buckets/Bucket/Name") == ["aaa", "abc", "bbb", "ccc"]
    assert whole.text("Buckets/Bucket/CreationDate") == "2023-11-14T22:13:20.000Z"
    assert (whole.text("Owner/ID"), whole.text("ContinuationToken")) == ("owner-1", None)
    assert s3("GET", "/?prefix=a").texts("Buckets/Bucket/Name") == ["aaa", "abc"]
    first = s3("GET", "/?max-buckets=3")
    assert first.texts("Buckets/Bucket/Name") == ["aaa", "abc", "bbb"]
    rest = s3("GET", f"/?max-buckets=3&continuation-token={first.text('ContinuationToken')}")
    assert (rest.texts("Buckets/Bucket/Name"), rest.text("ContinuationToken")) == (["ccc"], None)
    assert s3("GET", "/?max-buckets=0").code == "InvalidArgument"
    assert s3("GET", "/?continuation-token=@@").code == "InvalidArgument"
    assert other("GET", "/").texts("Buckets/Bucket/Name") == []


def test_one_tenants_buckets_are_nothing_to_another(s3, other, bucket):
    s3("PUT", "/bucket/k", b"x")
    for method, path in (("GET", "/bucket/k"), ("GET", "/bucket"), ("PUT", "/bucket/k"), ("DELETE", "/bucket")):
        assert other(method, path).status == 404
    assert other("PUT", "/own").status == 200
    assert other("PUT", "/own/k", x_amz_copy_source="/bucket/k").code == "NoSuchBucket"


def versioning(inside: str) -> bytes:
    return f"<VersioningConfiguration>{inside}</VersioningConfiguration>".encode()


def test_versioning_is_enabled_and_suspended(s3, bucket):
    assert s3("GET", "/bucket?versioning").text("Status") is None
    for state in ("Enabled", "Suspended", "Enabled"):
        assert s3("PUT", "/bucket?versioning", versioning(f"<Status>{state}</Status>")).status == 200
        assert s3("GET", "/bucket?versioning").text("Status") == state
    for body in ("", "<Status>Off</Status>", "<Status/>"):
        assert s3("PUT", "/bucket?versioning", versioning(body)).status == 400
    mfa = versioning("<Status>Enabled</Status><MfaDelete>Enabled</MfaDelete>")
    assert s3("PUT", "/bucket?versioning", mfa).status == 501
    assert s3("PUT", "/none?versioning", versioning("<Status>Enabled</Status>")).code == "NoSuchBucket"


def test_buckets_have_tags(s3, bucket):
    assert s3("GET", "/bucket?tagging").code == "NoSuchTagSet"
    body = b"<Tagging><TagSet><Tag><Key>b</Key><Value>2</Value></Tag><Tag><Key>a</Key><Value/></Tag></TagSet></Tagging>"
    assert s3("PUT", "/bucket?tagging", body).status == 204
    got = s3("GET", "/bucket?tagging")
    assert (got.texts("TagSet/Tag/Key"), got.texts("TagSet/Tag/Value")) == (["a", "b"], [None, "2"])
    assert s3("DELETE", "/bucket?tagging").status == 204
    assert s3("GET", "/bucket?tagging").code == "NoSuchTagSet"


def test_an_acl_says_what_is_so_and_can_be_set_to_nothing_else(s3, bucket):
    s3("PUT", "/bucket/k", b"x")
    for target in ("/bucket?acl", "/bucket/k?acl"):
        got = s3("GET", target)
        assert got.text("AccessControlList/Grant/Grantee/ID") == got.text("Owner/ID") == "owner-1"
        assert got.texts("AccessControlList/Grant/Permission") == ["FULL_CONTROL"]
        assert s3("PUT", target, got.body).status == 200
        assert s3("PUT", target, x_amz_acl="private").status == 200
        assert s3("PUT", target, x_amz_acl="public-read").status == 501
        assert s3("PUT", target, x_amz_grant_read="id=x").status == 501
        assert s3("PUT", target, got.body.replace(b"FULL_CONTROL", b"READ")).status == 501
        assert s3("PUT", target, got.body.replace(b"<ID>owner-1</ID><Dis", b"<ID>owner-2</ID><Dis")).status == 501
        assert s3("PUT", target).code == "MissingSecurityHeader"
        assert s3("PUT", target, b"<AccessControlPolicy/>").code == "MalformedXML"
    assert s3("GET", "/bucket/none?acl").code == "NoSuchKey"
    assert s3("PUT", "/none?acl", x_amz_acl="private").code == "NoSuchBucket"
