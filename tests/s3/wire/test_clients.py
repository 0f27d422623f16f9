"""Unmodified boto3 over the wire, with and without TLS: every way in which it sends a body."""

import asyncio
import io
import urllib.request

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from isotherm.clock import SystemClock
from isotherm.errors import NotFound
from isotherm.protocols.s3.error_table import render_error
from isotherm.protocols.s3.wire import Reply
from tests.s3.wire.harness import ACCESS, SECRET, Wire, run
from tests.s3.wire.serving import Served, certify


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return certify(tmp_path_factory.mktemp("tls"))


class Shelf:
    """Keeps what is put, as a verb would."""

    def __init__(self):
        self.kept = {}
        self.seen = {}

    async def __call__(self, request):
        self.seen[request.method, request.key] = request
        if request.method == "PUT":
            self.kept[request.key] = b"".join([bytes(piece) async for piece in request.body.pieces])
            return Reply(200, [("ETag", '"e"')])
        if request.key not in self.kept:
            raise NotFound("The specified key does not exist.", Key=request.key)
        body = self.kept[request.key]
        return Reply(200, [("ETag", '"e"')], body, length=len(body))


class Unseekable:
    """A stream of which nobody knows the length."""

    def __init__(self, content):
        self._stream = io.BytesIO(content)

    def read(self, size=-1):
        return self._stream.read(size)


def with_boto3(certificate, use):
    """Run `use(client, shelf, address)` on a thread against a gateway; `certificate` None: plain HTTP."""
    shelf = Shelf()

    async def conversation():
        wire = Wire(shelf, clock=SystemClock())
        wire.endpoint.render_error = render_error
        async with Served(wire, tls=certificate and certificate.server) as served:
            address = f"http{'s' if certificate else ''}://127.0.0.1:{served.listener.getsockname()[1]}"
            client = boto3.client(
                "s3",
                endpoint_url=address,
                aws_access_key_id=ACCESS,
                aws_secret_access_key=SECRET,
                region_name="eu-north-1",
                verify=str(certificate.path) if certificate else None,
                config=Config(retries={"max_attempts": 1}, s3={"addressing_style": "path"}),
            )
            await asyncio.to_thread(use, client, shelf, address)
            client.close()
        assert not wire.said

    run(conversation())


CONTENTS = {
    "nothing": b"",
    "a word": b"hello",
    "a mebibyte": bytes(range(256)) * 4096,
    "several chunks": b"0123456789abcdef" * 200_000,
}


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_bodies_arrive_with_every_checksum(certificate, secure, algorithm):
    def use(client, shelf, address):
        for key, content in CONTENTS.items():
            client.put_object(Bucket="b", Key=key, Body=content, ChecksumAlgorithm=algorithm)
            assert shelf.kept[key] == content
            request = shelf.seen["PUT", key]
            name = f"x-amz-checksum-{algorithm.lower()}"
            assert (name in request.trailers) == secure  # botocore sends trailers over TLS only
            assert (name in request.headers) == (not secure)
            assert request.body.size == len(content)
            assert "content-encoding" not in request.headers
            assert client.get_object(Bucket="b", Key=key)["Body"].read() == content
            assert client.head_object(Bucket="b", Key=key)["ContentLength"] == len(content)

    with_boto3(certificate if secure else None, use)


def test_a_stream_of_unknown_length_arrives(certificate):
    def use(client, shelf, address):
        client.put_object(Bucket="b", Key="k", Body=Unseekable(b"x" * 3_000_000))
        assert shelf.kept["k"] == b"x" * 3_000_000
        assert shelf.seen["PUT", "k"].body.size is None

    with_boto3(certificate, use)


@pytest.mark.parametrize("secure", [False, True], ids=["http", "https"])
def test_presigned_urls_work_in_other_clients(certificate, secure):
    def use(client, shelf, address):
        put = client.generate_presigned_url("put_object", Params={"Bucket": "b", "Key": "a/ä +~k"}, ExpiresIn=60)
        get = client.generate_presigned_url("get_object", Params={"Bucket": "b", "Key": "a/ä +~k"}, ExpiresIn=60)
        context = certificate.client if secure else None
        request = urllib.request.Request(put, b"hello", {"Content-Type": ""}, method="PUT")
        with urllib.request.urlopen(request, context=context) as reply:
            assert reply.status == 200
        with urllib.request.urlopen(get, context=context) as reply:
            assert reply.read() == b"hello"
        assert shelf.kept == {"a/ä +~k": b"hello"}

    with_boto3(certificate if secure else None, use)


def test_errors_are_understood(certificate):
    def use(client, shelf, address):
        with pytest.raises(ClientError) as missing:
            client.get_object(Bucket="b", Key="k")
        assert missing.value.response["Error"]["Code"] == "NoSuchKey"
        with pytest.raises(ClientError) as missing:
            client.head_object(Bucket="b", Key="k")
        assert missing.value.response["Error"]["Code"] == "404"
        stranger = boto3.client(
            "s3",
            endpoint_url=address,
            aws_access_key_id="NOBODY",
            aws_secret_access_key="x",
            region_name="eu-north-1",
        )
        with pytest.raises(ClientError) as denied:
            stranger.put_object(Bucket="b", Key="k", Body=b"x" * 1_000_000)
        assert denied.value.response["Error"]["Code"] == "InvalidAccessKeyId"
        stranger.close()

    with_boto3(None, use)
