"""What no verb understands is answered 501, and nothing of it is done."""

import importlib
import pkgutil

import pytest

from isotherm.protocols.s3 import verbs
from isotherm.protocols.s3.routes import ROUTES

UNOFFERED = [
    *("accelerate", "analytics", "cors", "encryption", "intelligent-tiering", "inventory", "lifecycle", "logging"),
    *("metrics", "notification", "object-lock", "ownershipControls", "policy", "policyStatus", "publicAccessBlock"),
    *("replication", "requestPayment", "website", "metadataTable", "legal-hold", "retention", "restore", "torrent"),
    *("select", "append", "position", "session", "renameObject", "unheard-of", "List-Type", "Uploads"),
]


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE", "HEAD"])
def test_an_unknown_subresource_never_falls_through(s3, bucket, method):
    s3("PUT", "/bucket/k", b"kept")
    for target in (f"{path}?{subresource}" for path in ("/", "/bucket", "/bucket/k") for subresource in UNOFFERED):
        answer = s3(method, target, b"<x/>" if method in ("PUT", "POST") else b"")
        assert (target, answer.status) == (target, 501)
        assert s3("GET", "/bucket/k").body == b"kept"


REFUSED_HEADERS = {
    "x_amz_acl": "public-read",
    "x_amz_grant_read": "id=1",
    "x_amz_grant_full_control": "id=1",
    "x_amz_server_side_encryption": "AES256",
    "x_amz_server_side_encryption_customer_algorithm": "AES256",
    "x_amz_object_lock_mode": "GOVERNANCE",
    "x_amz_object_lock_legal_hold": "ON",
    "x_amz_mfa": "1 2",
    "x_amz_website_redirect_location": "/x",
    "x_amz_storage_class": "GLACIER",
    "x_amz_write_offset_bytes": "3",
    "x_amz_object_ownership": "ObjectWriter",
    "x_amz_bucket_object_lock_enabled": "true",
    "x_amz_copy_source_server_side_encryption_customer_key": "x",
    "x_amz_rename_source": "x",
    "x_amz_api_version": "2038-01-19",
    "x_amz_unheard_of": "x",
    "x_amz_source_expected_bucket": "x",
    "content_range": "bytes 0-1/5",
    "if_modified_since": "Tue, 14 Nov 2023 22:13:20 GMT",
}


@pytest.mark.parametrize(
    "target", ["/bucket/k", "/bucket/k?uploads", "/bucket/k?tagging", "/bucket/k?partNumber=1&uploadId=0"]
)
def test_a_header_that_means_something_else_is_refused(s3, bucket, target):
    method = "POST" if target.endswith("uploads") else "PUT"
    for name, value in REFUSED_HEADERS.items():
        answer = s3(method, target, b"x", **{name: value})
        assert (name, answer.status, answer.code) == (name, 501, "NotImplemented")
        assert s3("GET", "/bucket/k").status == 404


@pytest.mark.parametrize("target", ["/bucket/k", "/bucket", "/", "/bucket?list-type=2"])
def test_so_it_is_on_reads(s3, bucket, target):
    s3("PUT", "/bucket/k", b"x")
    for name, value in REFUSED_HEADERS.items():
        if name.startswith("x_"):
            assert (name, s3("GET", target, **{name: value}).status) == (name, 501)


def test_headers_that_ask_for_what_is_so_anyway_are_understood(s3, bucket):
    for acl in ("private", "bucket-owner-full-control", "bucket-owner-read"):
        assert s3("PUT", "/bucket/k", b"x", x_amz_acl=acl).status == 200
    assert s3("PUT", "/bucket/k", b"x", x_amz_storage_class="STANDARD", x_amz_request_payer="requester").status == 200
    assert s3("PUT", "/bucket2", x_amz_object_ownership="BucketOwnerEnforced").status == 200
    assert s3("PUT", "/bucket3", x_amz_bucket_object_lock_enabled="false").status == 200
    for method, target in (("HEAD", "/bucket"), ("GET", "/bucket"), ("PUT", "/bucket/k"), ("GET", "/bucket/k")):
        assert s3(method, target, x_amz_api_version="2006-03-01").status == 200
    assert s3("PUT", "/bucket/k", b"x", x_amz_acl="public-ready").code == "InvalidArgument"


def test_the_expected_owner_is_compared(s3, bucket):
    assert s3("PUT", "/bucket/k", b"x", x_amz_expected_bucket_owner="owner-1").status == 200
    refused = s3("PUT", "/bucket/k", b"y", x_amz_expected_bucket_owner="owner-2")
    assert (refused.status, refused.code) == (403, "AccessDenied")
    assert s3("GET", "/bucket/k").body == b"x"


def test_a_clients_own_parameters_are_ignored(s3, bucket):
    assert s3("PUT", "/bucket/k?x-id=PutObject&x-note=1", b"x").status == 200
    assert s3("GET", "/bucket/k?x-id=GetObject").body == b"x"
    assert s3("GET", "/bucket/k?note=1").code == "NotImplemented"


def test_a_parameter_is_no_header(s3, bucket):
    assert s3("PUT", "/bucket/k?x-amz-meta-color=blue", b"x").status == 501


def test_two_subresources_contradict_each_other(s3, bucket):
    answer = s3("GET", "/bucket?acl&tagging")
    assert (answer.status, answer.code) == (400, "InvalidArgument")


def test_a_method_that_a_resource_does_not_have(s3, bucket):
    answer = s3("POST", "/bucket/k?acl")
    assert (answer.status, answer.code, answer.headers["allow"]) == (405, "MethodNotAllowed", "GET, PUT")
    assert s3("PATCH", "/bucket/k").status == 405
    assert s3("PUT", "/").status == 405
    assert s3("POST", "/bucket", b"x", content_type="multipart/form-data; boundary=b").status == 501


def test_a_version_where_none_is_taken(s3, bucket):
    assert s3("PUT", "/bucket/k?versionId=null", b"x").code == "InvalidArgument"


def test_every_route_names_its_operation_and_is_reachable():
    operations = [route.operation for route in ROUTES.values()]
    assert len(set(operations)) == len(operations)
    modules = [
        importlib.import_module(f"{verbs.__name__}.{found.name}") for found in pkgutil.iter_modules(verbs.__path__)
    ]
    offered = [one for module in modules for one in vars(module).values() if callable(one)]
    assert all(route.verb in offered for route in ROUTES.values())
