"""Granted buckets over S3, by an unmodified client, on a server with two gateways: used, refused, revoked within a second."""

import pytest

from tests.server.administration import call, code_of, key, seen, signed, tenant
from tests.server.clients import get, run, server, serving

__all__ = ["server"]

PART = 5 << 20


def command(server, *arguments):
    done = run(*arguments, "--data", server.data)
    assert done.returncode == 0, done.stderr
    return done.stdout


def number(server, path):
    return call(server, server.credential, "GET", f"/v1/tenants/{path}")[1]["id"]


@pytest.fixture(scope="module")
def pair(server):
    """Clients of acme, which has the bucket lake, and of beta."""
    clients = []
    for path in ("acme", "beta"):
        tenant(server, "create", path)
        clients.append(signed(server, key(server, path, "data")))
    clients[0].create_bucket(Bucket="lake")
    clients[0].put_object(Bucket="lake", Key="a/b", Body=b"cold", Tagging="t=1")
    return clients


def known(client, bucket):
    """Every gateway has heard of it: so many connections in a row find it."""
    seen(lambda: [code_of(client.head_bucket, Bucket=bucket) for _ in range(12)], [None] * 12)


def test_an_unmodified_client_uses_a_granted_bucket_as_one_of_its_own(server, pair):
    acme, beta = pair
    command(
        server,
        "grant",
        "create",
        "acme",
        "rw",
        "--bucket",
        "lake",
        "--to",
        "beta",
        "--alias",
        "shared-lake",
        "--access",
        "read-write",
    )
    known(beta, "shared-lake")
    assert beta.get_object(Bucket="shared-lake", Key="a/b")["Body"].read() == b"cold"
    assert beta.list_objects_v2(Bucket="shared-lake", Delimiter="/")["CommonPrefixes"] == [{"Prefix": "a/"}]
    assert [bucket["Name"] for bucket in beta.list_buckets()["Buckets"]] == ["shared-lake"]
    beta.put_object(Bucket="shared-lake", Key="k", Body=b"theirs", Metadata={"m": "1"})
    assert acme.get_object(Bucket="lake", Key="k")["Metadata"] == {"m": "1"}
    upload = beta.create_multipart_upload(Bucket="shared-lake", Key="big")["UploadId"]
    named = {"Bucket": "shared-lake", "Key": "big", "UploadId": upload}
    tags = [beta.upload_part(**named, PartNumber=n, Body=bytes([n]) * PART)["ETag"] for n in (1, 2)]
    parts = [{"PartNumber": n, "ETag": tag} for n, tag in enumerate(tags, start=1)]
    beta.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    assert beta.get_object(Bucket="shared-lake", Key="big", PartNumber=2)["Body"].read() == b"\x02" * PART
    beta.create_bucket(Bucket="own")
    beta.copy_object(Bucket="own", Key="copied", CopySource={"Bucket": "shared-lake", "Key": "big"})
    beta.copy_object(Bucket="shared-lake", Key="back", CopySource={"Bucket": "own", "Key": "copied"})
    assert acme.head_object(Bucket="lake", Key="back")["ContentLength"] == 2 * PART
    deleted = beta.delete_objects(
        Bucket="shared-lake", Delete={"Objects": [{"Key": name} for name in ("k", "big", "back")]}
    )
    assert len(deleted["Deleted"]) == 3
    assert [one["Key"] for one in acme.list_objects_v2(Bucket="lake")["Contents"]] == ["a/b"]
    refused = [
        (beta.delete_bucket, {}),
        (beta.put_bucket_versioning, {"VersioningConfiguration": {"Status": "Enabled"}}),
        (beta.put_bucket_tagging, {"Tagging": {"TagSet": []}}),
        (beta.get_bucket_acl, {}),
        (beta.get_object_acl, {"Key": "a/b"}),
    ]
    assert [code_of(act, Bucket="shared-lake", **named) for act, named in refused] == ["AccessDenied"] * 5
    assert code_of(beta.create_bucket, Bucket="shared-lake") == "BucketAlreadyExists"
    mine, owner = (str(number(server, path)) for path in ("beta", "acme"))
    assert code_of(beta.head_object, Bucket="shared-lake", Key="a/b", ExpectedBucketOwner=mine) == "403"
    assert code_of(beta.head_object, Bucket="shared-lake", Key="a/b", ExpectedBucketOwner=owner) is None
    assert code_of(beta.head_object, Bucket="own", Key="copied", ExpectedBucketOwner=mine) is None
    listed = beta.list_objects_v2(Bucket="shared-lake", FetchOwner=True)["Contents"]
    assert [one["Owner"]["ID"] for one in listed] == [owner]
    source = {"Bucket": "shared-lake", "Key": "a/b"}
    for expected, outcome in ((owner, None), (mine, "AccessDenied")):
        asked = {"Bucket": "own", "Key": "c", "CopySource": source, "ExpectedSourceBucketOwner": expected}
        assert code_of(beta.copy_object, **asked) == outcome


def test_a_revoked_grant_is_refused_at_once_on_every_gateway_and_the_name_is_free(server, pair):
    acme, beta = pair
    command(server, "grant", "create", "acme", "lent", "--bucket", "lake", "--to", "beta", "--alias", "lent")
    known(beta, "lent")
    url = beta.generate_presigned_url("get_object", Params={"Bucket": "lent", "Key": "a/b"})
    assert get(url) == (200, b"cold")
    assert code_of(beta.put_object, Bucket="lent", Key="k", Body=b"") == "AccessDenied"
    command(server, "grant", "revoke", "acme", "lent")
    assert {code_of(beta.get_object, Bucket="lent", Key="a/b") for _ in range(12)} == {"NoSuchBucket"}
    assert get(url)[0] == 404
    seen(lambda: code_of(beta.create_bucket, Bucket="lent"), None)
    seen(lambda: [code_of(beta.put_object, Bucket="lent", Key="a/b", Body=b"own") for _ in range(12)], [None] * 12)
    assert acme.get_object(Bucket="lake", Key="a/b")["Body"].read() == b"cold"


def test_the_receivers_admin_mounts_what_it_was_given_over_http(server, pair):
    _, beta = pair
    admins = {path: key(server, path, "admin") for path in ("acme", "beta")}
    ids = {path: number(server, path) for path in ("acme", "beta")}
    body = {"bucket": "lake", "to": f"@{ids['beta']}", "prefix": "a/"}
    status, told = call(server, admins["acme"], "PUT", "/v1/tenants/acme/grants/offered", body)
    assert (status, told["alias"]) == (201, None)
    status, page = call(server, admins["beta"], "GET", "/v1/tenants/beta/mounts")
    assert status == 200
    assert ("offered", ids["acme"]) in [(one["name"], one["owner_id"]) for one in page["grants"]]
    wanted = {"owner": f"@{ids['acme']}", "grant": "offered"}
    assert call(server, admins["beta"], "PUT", "/v1/tenants/beta/mounts/taken", wanted)[0] == 201
    assert call(server, admins["beta"], "PUT", "/v1/tenants/beta/mounts/taken", wanted)[0] == 200
    known(beta, "taken")
    tenant(server, "suspend", "acme")
    seen(lambda: {code_of(beta.get_object, Bucket="taken", Key="a/b") for _ in range(12)}, {"AccessDenied"})
    tenant(server, "resume", "acme")
    seen(lambda: {code_of(beta.get_object, Bucket="taken", Key="a/b") for _ in range(12)}, {None})
    assert call(server, admins["beta"], "DELETE", "/v1/tenants/beta/mounts/taken")[0] == 204
    assert {code_of(beta.get_object, Bucket="taken", Key="a/b") for _ in range(12)} == {"NoSuchBucket"}


def test_a_grant_outlives_a_killed_server(tmp_path):
    with serving(tmp_path / "data", gateways=1) as running:
        for path in ("acme", "beta"):
            tenant(running, "create", path)
        pairs = [key(running, path, "data") for path in ("acme", "beta")]
        acme = signed(running, pairs[0])
        acme.create_bucket(Bucket="lake")
        acme.put_object(Bucket="lake", Key="k", Body=b"x")
        command(running, "grant", "create", "acme", "g", "--bucket", "lake", "--to", "beta", "--alias", "theirs")
        running.kill_all()
        running.start()
        assert signed(running, pairs[1]).get_object(Bucket="theirs", Key="k")["Body"].read() == b"x"
        command(running, "fsck")
