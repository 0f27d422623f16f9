"""Races of clients over two gateways: a condition holds for one of them only."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError

from tests.server.clients import metrics, s3, serving

RACERS = 16
ROUNDS = 12


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("races") / "data", gateways=2) as running:
        s3(running).create_bucket(Bucket="bucket")
        yield running


@pytest.fixture(scope="module")
def clients(server):
    """Each has a connection of its own, so that they spread over both gateways."""
    made = [s3(server) for _ in range(RACERS)]
    for client in made:
        client.head_bucket(Bucket="bucket")
    shares = [value for name, value in metrics(server).items() if name.startswith("isotherm_s3_connections{")]
    assert len(shares) == 2
    assert all(shares), "the connections have not spread over both gateways"
    return made


def race(clients, act):
    """What `act(client, racer)` gave each, started together: True, or the error's code."""
    start = threading.Barrier(len(clients))

    def run(racer):
        start.wait()
        try:
            act(clients[racer], racer)
        except ClientError as error:
            return error.response["Error"]["Code"]
        return True

    with ThreadPoolExecutor(len(clients)) as pool:
        return list(pool.map(run, range(len(clients))))


@pytest.mark.parametrize("how", ["put", "copy", "complete"])
def test_of_many_creators_exactly_one_wins(server, clients, how):
    clients[0].put_object(Bucket="bucket", Key="source", Body=b"copied")
    for number in range(ROUNDS):
        key = f"{how}/{number}"

        def put(client, racer, key=key):
            client.put_object(Bucket="bucket", Key=key, Body=b"%d" % racer, IfNoneMatch="*")

        def copy(client, racer, key=key):
            client.copy_object(Bucket="bucket", Key=key, CopySource="bucket/source", IfNoneMatch="*")

        def complete(client, racer, key=key):
            upload = client.create_multipart_upload(Bucket="bucket", Key=key)["UploadId"]
            named = {"Bucket": "bucket", "Key": key, "UploadId": upload}
            etag = client.upload_part(**named, PartNumber=1, Body=b"%d" % racer)["ETag"]
            parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
            client.complete_multipart_upload(**named, MultipartUpload=parts, IfNoneMatch="*")

        outcomes = race(clients, {"put": put, "copy": copy, "complete": complete}[how])
        assert outcomes.count(True) == 1
        assert set(outcomes) == {True, "PreconditionFailed"}
        stored = clients[0].get_object(Bucket="bucket", Key=key)["Body"].read()
        assert stored == (b"copied" if how == "copy" else b"%d" % outcomes.index(True))


def test_of_many_who_replace_the_same_version_exactly_one_wins(clients):
    etag = clients[0].put_object(Bucket="bucket", Key="replaced", Body=b"first")["ETag"]
    for _ in range(ROUNDS):

        def replace(client, racer, etag=etag):
            client.put_object(Bucket="bucket", Key="replaced", Body=b"%s %d" % (etag.encode(), racer), IfMatch=etag)

        outcomes = race(clients, replace)
        assert outcomes.count(True) == 1
        assert set(outcomes) == {True, "PreconditionFailed"}
        answer = clients[0].get_object(Bucket="bucket", Key="replaced")
        assert answer["Body"].read() == b"%s %d" % (etag.encode(), outcomes.index(True))
        etag = answer["ETag"]
