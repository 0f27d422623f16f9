"""Tenants on several nodes: what is decided on one holds on the other within a second."""

import pytest

from isotherm.tenancy.identity import Credential
from isotherm.testing.postgres import programs
from tests.nodes.cluster import Cluster
from tests.server.administration import call, code_of, seen

pytestmark = pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("tenants")) as cluster:
        cluster.start("one")
        cluster.start("two")
        yield cluster


def test_a_tenant_that_is_made_and_suspended_on_one_node_is_so_on_the_other(cluster):
    root, one, two = cluster.credential, cluster.one, cluster.two
    assert call(one, root, "PUT", "/v1/tenants/acme", {"capacity_bytes": 10})[0] == 201
    assert call(two, root, "PUT", "/v1/tenants/acme%2Flab", {"capacity_bytes": 10})[0] == 201
    assert call(one, root, "PUT", "/v1/tenants/acme%2Fx", {"capacity_bytes": 1})[1]["left"] == 0
    pair = call(one, root, "POST", "/v1/tenants/acme%2Flab/keys", {"roles": ["data", "admin"]})[1]
    credential = Credential(pair["access_key"], pair["secret_key"], 0)
    clients = [cluster.client(node, credential) for node in (one, two)]
    clients[0].create_bucket(Bucket="lake")
    clients[1].put_object(Bucket="lake", Key="k", Body=b"x")
    asks = [lambda c=client: code_of(c.get_object, Bucket="lake", Key="k") for client in clients]
    asks += [lambda n=node: call(n, credential, "GET", "/v1/self")[1].get("code") for node in (one, two)]
    assert call(two, root, "PUT", "/v1/tenants/acme/state/suspended")[0] == 200
    for ask in asks:
        seen(ask, "AccountProblem")
    assert call(one, root, "PUT", "/v1/tenants/acme/state/active")[0] == 200
    for ask in asks:
        seen(ask, None)


def test_what_a_tenant_sealed_on_one_node_is_read_on_the_other_and_lies_nowhere_in_plain(cluster):
    root, one, two = cluster.credential, cluster.one, cluster.two
    assert call(one, root, "PUT", "/v1/tenants/sealed", {})[0] == 201
    pair = call(one, root, "POST", "/v1/tenants/sealed/keys", {"roles": ["data"]})[1]
    credential = Credential(pair["access_key"], pair["secret_key"], 0)
    here, there = (cluster.client(node, credential) for node in (one, two))
    here.create_bucket(Bucket="lake")
    needle = b"what only this tenant may ever read on any node. "
    for size in (50, 5_000, 100_000, 3_000_000):
        data = (needle * (size // len(needle) + 1))[:size]
        here.put_object(Bucket="lake", Key=str(size), Body=data)
        assert there.get_object(Bucket="lake", Key=str(size))["Body"].read() == data
        there.copy_object(Bucket="lake", Key="copy", CopySource={"Bucket": "lake", "Key": str(size)})
        assert here.get_object(Bucket="lake", Key="copy", Range="bytes=10-49")["Body"].read() == data[10:50]
    stored = [path for path in cluster.directory.rglob("*") if path.is_file()]
    assert sum(path.suffix == ".seg" for path in stored) > 1
    assert [path for path in stored if needle[:24] in path.read_bytes()] == []
