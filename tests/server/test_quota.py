"""Quota on a running server: what a client of S3 is told, what commands, API and metrics tell, on every gateway and after a kill."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from tests.server.administration import call, code_of, key, signed, tenant
from tests.server.clients import basic, get, run, server, serving
from tests.server.test_terms import outcome

__all__ = ["server"]

KIB = 1 << 10


def holds(server, path):
    return tenant(server, "usage", path, "--json")


def test_a_client_is_told_that_the_quota_is_exceeded_and_may_still_read_and_delete(server):
    tenant(server, "create", "full", "--capacity-bytes", "3000000", "--objects", "3")
    client = signed(server, key(server, "full", "data"))
    client.create_bucket(Bucket="own")
    client.put_object(Bucket="own", Key="k", Body=b"x" * 2_000_000)
    for size in (1_000_001, 2_000_000):
        with pytest.raises(ClientError) as refused:
            client.put_object(Bucket="own", Key="l", Body=b"x" * size)
        assert refused.value.response["Error"]["Code"] == "QuotaExceeded"
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    copy = {"Bucket": "own", "Key": "l", "CopySource": {"Bucket": "own", "Key": "k"}}
    assert code_of(client.copy_object, **copy) == "QuotaExceeded"
    assert len(client.get_object(Bucket="own", Key="k")["Body"].read()) == 2_000_000
    client.delete_object(Bucket="own", Key="k")
    for name in "abc":
        client.put_object(Bucket="own", Key=name, Body=b"")
    assert code_of(client.put_object, Bucket="own", Key="d", Body=b"") == "QuotaExceeded"
    assert code_of(client.create_multipart_upload, Bucket="own", Key="d") == "QuotaExceeded"
    tenant(server, "update", "full", "--objects", "4")
    client.put_object(Bucket="own", Key="d", Body=b"")


def test_usage_is_told_with_its_warnings_by_command_api_and_metrics(server):
    for path in ("seen", "seen/below"):
        tenant(server, "create", path)
    tenant(server, "update", "seen", "--capacity-bytes", "100", "--warning-percent", "50")
    client = signed(server, key(server, "seen/below", "data"))
    client.create_bucket(Bucket="own")
    client.put_object(Bucket="own", Key="k", Body=b"x" * 50)
    client.create_multipart_upload(Bucket="own", Key="u")
    nothing = dict.fromkeys(("bytes", "objects", "versions", "markers", "uploads", "upload_bytes"), 0)
    some = {**nothing, "bytes": 50, "objects": 1, "versions": 1, "uploads": 1}
    told = holds(server, "seen")
    assert (told["own"], told["total"], told["warnings"]) == (nothing, some, ["capacity_bytes"])
    assert call(server, server.credential, "GET", "/v1/tenants/seen/usage") == (200, {**told, "counted": True})
    assert tenant(server, "show", "seen", "--json")["warnings"] == ["capacity_bytes"]
    assert "capacity_bytes" in tenant(server, "show", "seen")
    auditor = key(server, "seen/below", "auditor")
    assert call(server, auditor, "GET", "/v1/tenants/seen%2Fbelow/usage")[1]["own"] == some
    assert call(server, auditor, "GET", "/v1/tenants/seen/usage")[0] == 404
    url = server.address.admin + "/metrics"
    body = get(url, basic(server.credential))[1].decode()
    assert f'isotherm_tenant_held_bytes{{tenant="{told["id"]}"}} 50.0' in body
    assert f'isotherm_tenant_held_objects{{tenant="{told["id"]}"}} 2.0' in body
    assert f'isotherm_tenant_warned{{limit="capacity_bytes",tenant="{told["id"]}"}} 1.0' in body
    assert 'isotherm_tenants_warned{limit="capacity_bytes"}' in body
    assert "held" not in get(url)[1].decode()


def test_racing_clients_of_two_gateways_one_of_which_is_killed_end_exactly_at_the_limit(tmp_path):
    with serving(tmp_path / "data", gateways=2) as running:
        tenant(running, "create", "acme", "--capacity-bytes", str(60 * KIB))
        tenant(running, "create", "acme/lab")
        credential = key(running, "acme/lab", "data")
        signed(running, credential).create_bucket(Bucket="own")

        def write(number):
            client = signed(running, credential)
            for n in range(6):
                if number == n == 3:
                    running.kill("gateway-0")
                outcome(client.put_object, Bucket="own", Key=f"{number}-{n}", Body=bytes(KIB))

        with ThreadPoolExecutor(16) as writers:
            list(writers.map(write, range(16)))
        client = signed(running, credential)
        for n in range(60):  # whatever was broken off, the rest still goes in
            if outcome(client.put_object, Bucket="own", Key=f"more-{n}", Body=bytes(KIB)) == "QuotaExceeded":
                break
        assert len(client.list_objects_v2(Bucket="own")["Contents"]) == 60
        assert holds(running, "acme")["total"]["bytes"] == 60 * KIB
        assert code_of(client.put_object, Bucket="own", Key="one more", Body=b"x") == "QuotaExceeded"
    done = run("fsck", "--data", running.data)
    assert done.returncode == 0, done.stdout + done.stderr
