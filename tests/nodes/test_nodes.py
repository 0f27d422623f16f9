"""Several nodes over one database and one bucket: none has anything that another would miss. Kill any, add any."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from isotherm.testing.postgres import programs
from isotherm.testing.segments_suite import MIB, payload
from tests.nodes.cluster import Cluster
from tests.nodes.load import Load

pytestmark = pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("nodes")) as cluster:
        cluster.start("one")
        cluster.start("two")
        cluster.client(cluster.one).create_bucket(Bucket="lake")
        yield cluster


def get(client, key):
    try:
        return client.get_object(Bucket="lake", Key=key)["Body"].read()
    except client.exceptions.NoSuchKey:
        return None


@pytest.mark.parametrize("size", [0, 1, 16_384, 16_385, 300_000, 20 * MIB + 5])
def test_what_one_node_stores_another_reads(cluster, size):
    one, two = cluster.client(cluster.one), cluster.client(cluster.two)
    one.put_object(Bucket="lake", Key=f"size {size}", Body=payload(size))
    assert get(two, f"size {size}") == payload(size)
    if size > 20:
        part = two.get_object(Bucket="lake", Key=f"size {size}", Range=f"bytes={size // 2}-{size // 2 + 9}")
        assert part["Body"].read() == payload(size)[size // 2 : size // 2 + 10]
    two.delete_object(Bucket="lake", Key=f"size {size}")
    assert get(one, f"size {size}") is None


def test_an_upload_may_be_spread_over_nodes(cluster):
    clients = [cluster.client(cluster.one), cluster.client(cluster.two)]
    named = {"Bucket": "lake", "Key": "parts"}
    named["UploadId"] = clients[0].create_multipart_upload(**named)["UploadId"]
    values = [payload(size, seed) for seed, size in enumerate((5 * MIB, 6 * MIB, 7_000))]
    parts = [
        {"PartNumber": n, "ETag": clients[n % 2].upload_part(**named, PartNumber=n, Body=value)["ETag"]}
        for n, value in enumerate(values, start=1)
    ]
    clients[1].complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    assert get(clients[0], "parts") == b"".join(values)


@pytest.mark.parametrize("size", [10, 20_000])
def test_of_creators_on_two_nodes_exactly_one_wins(cluster, size):
    clients = [cluster.client((cluster.one, cluster.two)[n % 2]) for n in range(8)]
    for number in range(6):
        start = threading.Barrier(len(clients))

        def create(racer, key=f"raced {size} {number}", start=start):
            start.wait()
            try:
                clients[racer].put_object(Bucket="lake", Key=key, Body=payload(size, racer), IfNoneMatch="*")
            except ClientError as error:
                return error.response["Error"]["Code"]
            return True

        with ThreadPoolExecutor(len(clients)) as pool:
            outcomes = list(pool.map(create, range(len(clients))))
        assert outcomes.count(True) == 1
        assert set(outcomes) == {True, "PreconditionFailed"}
        assert get(clients[0], f"raced {size} {number}") == payload(size, outcomes.index(True))


def test_readers_of_a_key_that_is_overwritten_elsewhere_are_never_turned_away(cluster):
    """Its bytes outlive the reference that was just resolved."""
    one, two = cluster.client(cluster.one), cluster.client(cluster.two)
    values = [payload(1_000 + seed * 9_000, seed) for seed in range(4)]
    two.put_object(Bucket="lake", Key="busy", Body=values[0])
    ended = threading.Event()

    def read():
        count = 0
        while not ended.is_set() or not count:
            assert get(one, "busy") in values
            count += 1
        return count

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read) for _ in range(4)]
        for turn in range(60):
            two.put_object(Bucket="lake", Key="busy", Body=values[turn % 4])
        ended.set()
        assert all(reader.result() for reader in readers)


def test_a_node_without_the_shared_root_key_is_refused(cluster, tmp_path):
    from isotherm.errors import Unavailable
    from isotherm.testing.server import RunningServer

    options = cluster.options[: cluster.options.index("--root-key")]
    with pytest.raises(Unavailable, match="--root-key"):
        RunningServer(tmp_path / "three", options=options).start()


def test_a_store_whose_data_lies_in_a_bucket_is_not_opened_without_it(cluster, tmp_path):
    from isotherm.errors import Unavailable
    from isotherm.testing.server import RunningServer

    with pytest.raises(Unavailable, match="--segments"):
        RunningServer(tmp_path / "three", options=cluster.options[2:]).start()


def kill_in_turn(cluster, rounds, puts, seed):
    """Nodes are destroyed under load, and others take their places; what was acknowledged is there in the end."""
    nodes = dict(cluster.nodes)
    clients = {}

    def client_of(number):
        name = sorted(nodes)[number % len(nodes)]
        if (number, name) not in clients:
            clients[number, name] = cluster.client(nodes[name])
        return clients[number, name]

    load = Load(client_of, 8, seed)
    load.wait_for(puts)
    for turn in range(rounds):
        gone = sorted(nodes)[turn % len(nodes)]
        cluster.destroy(gone)
        del nodes[gone]
        load.wait_for(puts // 2)
        nodes[f"new {seed} {turn}"] = cluster.start(f"new {seed} {turn}")
        load.wait_for(puts)
    load.stop()
    for node in nodes.values():
        client = cluster.client(node)
        for key in {*load.acknowledged, *load.unsure}:
            assert get(client, key) in load.allowed(key), key
    status, printed = cluster.fsck(sorted(nodes)[0])
    assert status == 0, printed
    return load


def test_nodes_are_killed_under_load_and_thrown_away_and_others_added(cluster):
    assert len(kill_in_turn(cluster, rounds=2, puts=60, seed=1).acknowledged) > 20


@pytest.mark.torture
@pytest.mark.parametrize("seed", range(10, 15))
def test_nodes_are_killed_and_replaced_for_long(cluster, seed):
    kill_in_turn(cluster, rounds=6, puts=300, seed=seed)
