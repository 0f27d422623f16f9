"""Terms of tenants act on a running server's S3: told to slow down, held back, let go, without a restart, on every gateway."""

from botocore.exceptions import BotoCoreError, ClientError

from tests.server.administration import code_of, key, seen, signed, tenant
from tests.server.clients import basic, get, s3, server, serving

__all__ = ["server"]


def outcome(call_, **options):
    """As `code_of`, but a connection that breaks is an answer, too."""
    try:
        return code_of(call_, **options)
    except BotoCoreError as error:
        return type(error).__name__


def test_a_limit_of_nothing_is_told_with_the_time_to_come_back_and_lifted_without_a_restart(server):
    tenant(server, "create", "closed")
    client = signed(server, key(server, "closed", "data"))
    client.create_bucket(Bucket="own")
    tenant(server, "update", "closed", "--iops-limit", "0")
    seen(lambda: code_of(client.list_buckets), "SlowDown")
    try:
        client.put_object(Bucket="own", Key="k", Body=b"x")
        raise AssertionError("it was let through")
    except ClientError as error:
        told = error.response["ResponseMetadata"]
        assert told["HTTPStatusCode"] == 503
        assert 1 <= int(told["HTTPHeaders"]["retry-after"]) <= 60
    assert code_of(s3(server).list_buckets) is None, "nobody else is held"
    tenant(server, "update", "closed", "--iops-limit", "1000")
    seen(lambda: code_of(client.list_buckets), None)


def test_a_limit_above_binds_those_below_and_moving_away_frees_them(server):
    tenant(server, "create", "above")
    tenant(server, "create", "above/below")
    client = signed(server, key(server, "above/below", "data"))
    seen(lambda: code_of(client.list_buckets), None)
    tenant(server, "update", "above", "--bandwidth-limit-bytes-s", "0")
    seen(lambda: code_of(client.list_buckets), "SlowDown")
    tenant(server, "move", "above/below", "--to", "freed")
    seen(lambda: code_of(client.list_buckets), None)


def test_large_objects_come_whole_through_limits_reservations_and_a_killed_gateway(tmp_path):
    body = bytes(range(256)) * 40_000
    with serving(tmp_path / "data", gateways=2, options=["--qos-requests", "1", "--qos-mib", "1"]) as running:
        clients = []
        for name, options in (
            ("fast", ["--iops-reservation", "100"]),
            ("slow", ["--bandwidth-limit-bytes-s", "40000000"]),
        ):
            tenant(running, "create", name, *options)
            client = signed(running, key(running, name, "data"))
            client.create_bucket(Bucket="own")
            client.put_object(Bucket="own", Key="k", Body=body)
            clients.append(client)
        for client in clients:
            assert client.get_object(Bucket="own", Key="k")["Body"].read() == body
        running.kill("gateway-0")
        for client in clients:
            seen(lambda client=client: outcome(client.put_object, Bucket="own", Key="k2", Body=body), None)
            assert client.get_object(Bucket="own", Key="k2")["Body"].read() == body


def test_what_tenants_did_is_told_to_the_roots_auditors_alone(server):
    tenant(server, "create", "counted")
    pair = key(server, "counted", "data", "auditor")
    signed(server, pair).create_bucket(Bucket="own")
    number = tenant(server, "show", "counted", "--json")["id"]
    url = server.address.admin + "/metrics"
    sample = f'isotherm_tenant_admitted_total{{tenant="{number}"}} 1.0'
    auditor = key(server, "/", "auditor")
    for credential, status in ((auditor, 200), (server.credential, 200), (pair, 403), (key(server, "/", "data"), 403)):
        told, body = get(url, basic(credential))
        assert told == status
        assert (sample in body.decode()) == (status == 200)
    assert get(url, {"Authorization": "Basic bm9ib2R5Om5vdGhpbmc="})[0] == 401
    status, body = get(url)
    assert status == 200
    assert "isotherm_tenant" not in body.decode()
