"""A node whose bucket is down, slow, erring or lying: errors that say try again, recovery by itself, never a wrong byte."""

import http.client
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError, IncompleteReadError, ResponseStreamingError
from urllib3.exceptions import ProtocolError

from isotherm.testing.segments_suite import MIB, payload
from tests.nodes.cluster import Cluster
from tests.server.clients import ready

BROKEN_OFF = (IncompleteReadError, ResponseStreamingError, ConnectionClosedError, ProtocolError)
SMALL, MIDDLE, LARGE = 1_000, 50_000, 9 * MIB


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with Cluster(tmp_path_factory.mktemp("bucket"), postgres=False) as cluster:
        cluster.node = cluster.start("node")
        cluster.s3 = cluster.client(cluster.node)
        cluster.s3.create_bucket(Bucket="lake")
        yield cluster


@pytest.fixture(autouse=True)
def mended(cluster):
    yield
    cluster.proxy.down = False
    cluster.proxy.errors = cluster.proxy.cut = cluster.proxy.flips = 0
    cluster.proxy.held.set()


def put(cluster, key, size):
    cluster.s3.put_object(Bucket="lake", Key=key, Body=payload(size))


def get(cluster, key):
    return cluster.s3.get_object(Bucket="lake", Key=key)["Body"].read()


@pytest.mark.parametrize("size", [MIDDLE, LARGE])
def test_while_it_is_down_clients_are_told_to_try_again_and_small_objects_are_served(cluster, size):
    put(cluster, "before", size)
    put(cluster, "small", SMALL)
    cluster.proxy.down = True
    with pytest.raises(ClientError) as caught:
        put(cluster, "meanwhile", size)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert get(cluster, "small") == payload(SMALL)
    put(cluster, "small meanwhile", SMALL)
    if size == LARGE:
        with pytest.raises((ClientError, *BROKEN_OFF)):
            get(cluster, "before")
    cluster.proxy.down = False
    assert get(cluster, "before") == payload(size)
    put(cluster, "afterwards", size)
    assert get(cluster, "afterwards") == payload(size)
    with pytest.raises(ClientError):
        get(cluster, "meanwhile")
    assert cluster.fsck("node")[0] == 0


@pytest.mark.parametrize("size", [MIDDLE, LARGE])
def test_a_few_errors_are_not_noticed(cluster, size):
    cluster.proxy.errors = 3
    put(cluster, "erring", size)
    assert cluster.proxy.errors == 0
    cluster.proxy.errors = 2
    assert get(cluster, "erring") == payload(size)


def test_while_it_hangs_others_are_served(cluster):
    put(cluster, "small", SMALL)
    cluster.proxy.held.clear()
    with ThreadPoolExecutor(12) as pool:
        slow = [pool.submit(put, cluster, f"slow {number}", MIDDLE) for number in range(12)]
        cluster.proxy.waiting.acquire()
        for _ in range(20):
            assert get(cluster, "small") == payload(SMALL)
            put(cluster, "small", SMALL)
        assert not any(one.done() for one in slow)
        cluster.proxy.held.set()
        for one in slow:
            one.result()
    for number in range(12):
        assert get(cluster, f"slow {number}") == payload(MIDDLE)


@pytest.mark.parametrize("fault", ["cut", "flips"])
def test_what_is_damaged_on_the_way_is_fetched_again(cluster, fault):
    put(cluster, fault, LARGE)
    for _ in range(3):
        setattr(cluster.proxy, fault, 1)
        assert get(cluster, fault) == payload(LARGE)
        assert getattr(cluster.proxy, fault) == 0


@pytest.mark.parametrize("fault", ["cut", "flips"])
def test_what_is_damaged_for_good_is_never_taken_for_an_answer(cluster, fault):
    put(cluster, "lost", LARGE)
    setattr(cluster.proxy, fault, -1)
    with pytest.raises((ClientError, *BROKEN_OFF)):
        get(cluster, "lost")
    setattr(cluster.proxy, fault, 0)
    assert get(cluster, "lost") == payload(LARGE)


def test_readiness_tells_of_a_bucket_that_cannot_be_reached(cluster):
    assert ready(cluster.node) == (200, {})
    cluster.proxy.down = True
    cluster.node.until(lambda: "segments" in ready(cluster.node)[1], 30, "it stayed ready")
    cluster.proxy.down = False
    cluster.node.until(lambda: ready(cluster.node)[0] == 200, 30, "it did not become ready again")


def test_clients_that_give_up_leave_nothing_under_way(cluster):
    """Uploads that are cut off by their clients are aborted, and their segments are not there."""
    stop = threading.Event()

    def body():
        yield payload(6 * MIB)
        stop.set()
        raise ConnectionResetError("the client has gone")

    before = _objects(cluster)
    url = cluster.s3.generate_presigned_url("put_object", Params={"Bucket": "lake", "Key": "gone"})
    host = cluster.node.address.s3.removeprefix("http://")
    connection = http.client.HTTPConnection(host)
    with pytest.raises(ConnectionResetError):
        connection.request("PUT", url.partition(host)[2], body=body(), headers={"Content-Length": str(20 * MIB)})
    connection.close()
    assert stop.is_set()
    cluster.node.until(lambda: not _uploads(cluster), 30, "the upload was not aborted")
    assert _objects(cluster) == before
    assert cluster.fsck("node")[0] == 0


def _objects(cluster):
    return [one["Key"] for one in cluster.backing.list_objects_v2(Bucket="segments").get("Contents", [])]


def _uploads(cluster):
    return cluster.backing.list_multipart_uploads(Bucket="segments").get("Uploads", [])
