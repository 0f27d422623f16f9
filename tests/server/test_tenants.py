"""Tenants on a running server: kept apart over S3, suspended and resumed within a second, managed by command and over HTTP."""

import urllib.request
from urllib.parse import quote

import pytest

from isotherm.tenancy.identity import Credential
from tests.server.administration import call, code_of, key, seen, signed, tenant
from tests.server.clients import basic, get, run, s3, server, serving

__all__ = ["server"]


@pytest.fixture(scope="module")
def twins(server):
    """Clients of two tenants, one below the other, that have a bucket and keys of the same names."""
    clients = {}
    for path in ("acme", "acme/research"):
        tenant(server, "create", path)
        clients[path] = signed(server, key(server, path, "data"))
    for path, client in clients.items():
        client.create_bucket(Bucket="lake")
        client.put_bucket_versioning(Bucket="lake", VersioningConfiguration={"Status": "Enabled"})
        for name in ("a", "b"):
            body = f"{name} of {path}".encode()
            client.put_object(Bucket="lake", Key=name, Body=b"first")
            client.put_object(Bucket="lake", Key=name, Body=body, Tagging=f"owner={quote(path, '')}")
        client.put_object(Bucket="lake", Key=f"only/{len(path)}", Body=b"x")
    return clients


def test_two_tenants_with_the_same_names_see_their_own_bytes_lists_tags_and_versions(server, twins):
    for path, client in twins.items():
        assert [bucket["Name"] for bucket in client.list_buckets()["Buckets"]] == ["lake"]
        assert client.get_object(Bucket="lake", Key="a")["Body"].read() == f"a of {path}".encode()
        listed = [one["Key"] for one in client.list_objects_v2(Bucket="lake")["Contents"]]
        assert listed == ["a", "b", f"only/{len(path)}"]
        assert client.get_object_tagging(Bucket="lake", Key="a")["TagSet"] == [{"Key": "owner", "Value": path}]
        versions = client.list_object_versions(Bucket="lake", Prefix="a")["Versions"]
        assert len(versions) == 2
        assert client.get_object(Bucket="lake", Key="a", VersionId=versions[1]["VersionId"])["Body"].read() == b"first"
    one, two = twins.values()
    for mine, other in ((one, two), (two, one)):
        version = mine.list_object_versions(Bucket="lake", Prefix="a")["Versions"][0]["VersionId"]
        assert code_of(other.get_object, Bucket="lake", Key="a", VersionId=version) == "NoSuchVersion"
        assert code_of(other.get_object_tagging, Bucket="lake", Key="a", VersionId=version) == "NoSuchVersion"
        name = mine.list_objects_v2(Bucket="lake", Prefix="only/")["Contents"][0]["Key"]
        assert code_of(other.get_object, Bucket="lake", Key=name) == "NoSuchKey"
        source = {"Bucket": "lake", "Key": name}
        assert code_of(other.copy_object, Bucket="lake", Key="taken", CopySource=source) == "NoSuchKey"


def test_uploads_and_presigned_urls_stay_in_their_tenant(server, twins):
    one, two = twins.values()
    upload = one.create_multipart_upload(Bucket="lake", Key="big")["UploadId"]
    one.upload_part(Bucket="lake", Key="big", UploadId=upload, PartNumber=1, Body=b"part")
    assert "Uploads" not in two.list_multipart_uploads(Bucket="lake")
    named = {"Bucket": "lake", "Key": "big", "UploadId": upload}
    assert code_of(two.upload_part, **named, PartNumber=1, Body=b"x") == "NoSuchUpload"
    assert code_of(two.list_parts, **named) == "NoSuchUpload"
    assert code_of(two.abort_multipart_upload, **named) == "NoSuchUpload"
    parts = {"Parts": [{"PartNumber": 1, "ETag": one.list_parts(**named)["Parts"][0]["ETag"]}]}
    assert code_of(two.complete_multipart_upload, **named, MultipartUpload=parts) == "NoSuchUpload"
    one.complete_multipart_upload(**named, MultipartUpload=parts)
    for path, client in twins.items():
        status, body = get(client.generate_presigned_url("get_object", {"Bucket": "lake", "Key": "a"}))
        assert (status, body) == (200, f"a of {path}".encode())
    one.delete_object(Bucket="lake", Key="big")


def test_deleting_and_overwriting_reaches_nobody_else(server, twins):
    one, two = twins.values()
    for client in (one, two):
        client.put_object(Bucket="lake", Key="gone", Body=b"x")
    one.delete_objects(Bucket="lake", Delete={"Objects": [{"Key": "gone"}]})
    one.put_bucket_tagging(Bucket="lake", Tagging={"TagSet": [{"Key": "mine", "Value": "1"}]})
    assert two.get_object(Bucket="lake", Key="gone")["Body"].read() == b"x"
    assert code_of(two.get_bucket_tagging, Bucket="lake") == "NoSuchTagSet"
    assert code_of(s3(server).head_bucket, Bucket="lake") == "404"


def test_each_follows_its_own_changes(server, twins):
    follower = {path: key(server, path, "data") for path in twins}
    for path, client in twins.items():
        start = call(server, follower[path], "GET", "/v1/feed?cursor=now")[1]["cursor"]
        for other_path, other in twins.items():
            other.put_object(Bucket="lake", Key=f"fed-by-{len(other_path)}", Body=b"x")
        changes = call(server, follower[path], "GET", f"/v1/feed?cursor={start}")[1]["changes"]
        assert [change["key"] for change in changes] == [f"fed-by-{len(path)}"]
        client.delete_object(Bucket="lake", Key=f"fed-by-{len(path)}")


def test_suspending_refuses_all_below_and_resuming_serves_them_again(server):
    tenant(server, "create", "halted")
    tenant(server, "create", "halted/deep")
    root = server.credential
    clients = [signed(server, key(server, path, "data")) for path in ("halted", "halted/deep")]
    admin = key(server, "halted/deep", "admin", "data")
    for client in clients:
        client.create_bucket(Bucket="lake")
        client.put_object(Bucket="lake", Key="k", Body=b"x")
    asks = [lambda c=client: code_of(c.get_object, Bucket="lake", Key="k") for client in clients]
    asks += [lambda p=p: call(server, admin, "GET", p)[1].get("code") for p in ("/v1/self", "/v1/feed?limit=1")]
    assert call(server, root, "PUT", "/v1/tenants/halted/state/suspended")[1]["state"] == "suspended"
    for ask in asks:
        seen(ask, "AccountProblem")
    assert code_of(clients[1].put_object, Bucket="lake", Key="k", Body=b"y") == "AccountProblem"
    assert s3(server).list_buckets()["Buckets"]
    tenant(server, "resume", "halted")
    for ask in asks:
        seen(ask, None)
    assert clients[1].get_object(Bucket="lake", Key="k")["Body"].read() == b"x"


def test_who_cannot_sign_learns_nothing_of_a_tenants_state(server):
    tenant(server, "create", "quiet")
    credential = key(server, "quiet", "data")
    client = signed(server, credential)
    tenant(server, "suspend", "quiet")
    seen(lambda: code_of(client.list_buckets), "AccountProblem")
    forged = signed(server, Credential(credential.access_key, "wrong", 0))
    assert code_of(forged.list_buckets) == "SignatureDoesNotMatch"
    assert call(server, Credential(credential.access_key, "wrong", 0), "GET", "/v1/self")[1]["code"] == "NotSignedIn"


def test_a_stream_of_changes_ends_with_its_tenants_service(server):
    tenant(server, "create", "streamed")
    credential = key(server, "streamed", "data")
    headers = {"Accept": "text/event-stream", **basic(credential)}
    request = urllib.request.Request(server.address.admin + "/v1/feed?cursor=now", headers=headers)
    with urllib.request.urlopen(request, timeout=60) as stream:
        tenant(server, "suspend", "streamed")
        assert not [line for line in stream if line.startswith(b"data:")]


def test_a_drained_tenant_serves_what_it_has_and_makes_nothing_new(server):
    tenant(server, "create", "drained")
    client = signed(server, key(server, "drained", "data"))
    client.create_bucket(Bucket="lake")
    tenant(server, "drain", "drained")
    client.put_object(Bucket="lake", Key="k", Body=b"x")
    assert code_of(client.create_bucket, Bucket="another") == "TenantNotActive"
    refused = run("keys", "create", "--tenant", "drained", "--data", server.data)
    assert (refused.returncode, "nothing new is made there" in refused.stderr) == (1, True)


def test_a_key_without_the_role_for_data_sees_none(server):
    tenant(server, "create", "roles")
    for role in ("admin", "auditor"):
        credential = key(server, "roles", role)
        assert code_of(signed(server, credential).list_buckets) == "AccessDenied"
        assert call(server, credential, "GET", "/v1/feed")[0] == 403
        assert call(server, credential, "GET", "/v1/self")[1]["roles"] == [role]
    data = key(server, "roles", "data")
    assert call(server, data, "GET", "/v1/tenants")[0] == 403


def test_an_admin_over_http_runs_his_own_house_and_no_other(server):
    tenant(server, "create", "house", "--capacity-bytes", "1000")
    admin = key(server, "house", "admin")
    assert call(server, admin, "PUT", "/v1/tenants/house%2Froom", {"capacity_bytes": 600})[0] == 201
    status, told = call(server, admin, "PUT", "/v1/tenants/house%2Fhall", {"capacity_bytes": 401})
    assert (status, told["code"], told["left"]) == (409, "PromiseExceeded", 400)
    status, pair = call(server, admin, "POST", "/v1/tenants/house%2Froom/keys", {"roles": ["data"]})
    assert status == 201
    client = signed(server, Credential(pair["access_key"], pair["secret_key"], 0))
    assert code_of(client.create_bucket, Bucket="lake") is None
    assert call(server, admin, "PATCH", "/v1/tenants/house", {"capacity_bytes": 5_000})[0] == 403
    for path in ("%2F", "acme", "nobody", "@1"):
        assert call(server, admin, "GET", f"/v1/tenants/{path}")[0] == 404
    busy = call(server, admin, "DELETE", "/v1/tenants/house%2Froom")[1]
    assert busy["held"] == ["buckets", "credentials that are not revoked"]
    client.delete_bucket(Bucket="lake")
    assert call(server, admin, "DELETE", f"/v1/keys/{pair['access_key']}")[0] == 204
    assert call(server, admin, "DELETE", "/v1/tenants/house%2Froom")[0] == 204
    seen(lambda: code_of(client.list_buckets), "InvalidAccessKeyId")


def test_the_commands_say_what_is_and_what_is_not_possible(server):
    made = tenant(server, "create", "cli", "--label", "plan=gold", "--iops-limit", "100", "--json")
    assert (made["path"], made["labels"], made["iops_limit"]) == ("cli", {"plan": "gold"}, 100)
    assert tenant(server, "create", "cli", "--label", "plan=gold", "--iops-limit", "100", "--json") == made
    assert "cli" in tenant(server, "list")
    assert tenant(server, "update", "cli", "--iops-limit", "none", "--label", "plan", "--json")["iops_limit"] is None
    assert tenant(server, "show", f"@{made['id']}", "--json")["labels"] == {}
    assert tenant(server, "move", "cli", "--to", "shell", "--json")["id"] == made["id"]
    mistakes = {
        ("create", "Ä"): "is no name of a tenant",
        ("create", "shell", "--objects", "-1"): "objects",
        ("create", "shell", "--objects", "many"): "objects",
        ("show", "nobody"): "there is no tenant nobody",
        ("list", "--limit", "0"): "limit",
        ("move", "shell", "--to", "shell/x"): "there is no tenant",
    }
    mistakes[("move", "shell", "--to", "shell/x")] = "cannot be moved below itself"
    for arguments, told in mistakes.items():
        done = run("tenant", *arguments, "--data", server.data)
        assert (done.returncode, told in done.stderr, "Traceback" in done.stderr) == (1, True, False), done.stderr
    assert tenant(server, "delete", "shell") == ""


def test_a_store_of_before_there_were_roles_has_its_root_pair_made_an_admin(tmp_path):
    from isotherm.devices.waiting import drive
    from isotherm.tenancy import credential_record as record
    from isotherm.tenancy import tree_record
    from isotherm.tenancy.keystore import ROOT
    from tests.objects.stores import open_engines

    with serving(tmp_path / "data") as running:
        credential = running.credential
        other = key(running, "/", "data")
    engines = open_engines(running.data)

    async def age(txn):
        """Rewrite both pairs as version 1 would have written them."""
        for pair in (credential, other):
            row = record.unpack(await txn.get(record.row_key(pair.access_key)))
            sealed = aged(engines.keys.key(ROOT), row.nonce, pair)
            old = record.Row(0, 1, row.created_ms, 0, row.key_id, row.nonce, sealed, row.description, version=1)
            txn.put(record.row_key(pair.access_key), old.pack())
            txn.delete(tree_record.credential_of(1, pair.access_key))

    def aged(root_key, nonce, pair):
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        associated = record.row_key(pair.access_key) + (1).to_bytes(4, "big")
        return AESGCM(root_key).encrypt(nonce, pair.secret.encode(), associated)

    drive(engines.meta.transact(age))
    engines.close()
    with serving(running.data) as running:
        assert call(running, credential, "GET", "/v1/self")[1]["roles"] == ["data", "admin", "auditor"]
        assert call(running, other, "GET", "/v1/self")[1]["roles"] == ["data"]
        s3(running).list_buckets()
        listed = call(running, credential, "GET", "/v1/tenants/@1/keys")[1]["keys"]
        assert {one["access_key"] for one in listed} == {credential.access_key, other.access_key}


def test_fsck_knows_the_tables_of_tenants(server, twins):
    done = run("fsck", "--data", server.data)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "does not know" not in done.stdout
