"""Unmodified boto3 against the whole server, over the loopback."""

import io
import os
import re
import urllib.request

import boto3
import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.s3.verbs.loopback import serving


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory, metadata_of_module):
    with serving(tmp_path_factory.mktemp("store"), {"KEY": ("secret", 1)}) as url:
        yield url


def connect(endpoint: str, **config):
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id="KEY",
        aws_secret_access_key="secret",
        region_name="us-east-1",
        config=Config(retries={"total_max_attempts": 1}, **config),
    )


@pytest.fixture(scope="module")
def s3(endpoint):
    return connect(endpoint)


@pytest.fixture
def bucket(s3, request):
    name = re.sub("[^a-z0-9]+", "-", request.node.name.lower()).strip("-")
    s3.create_bucket(Bucket=name)
    return name


def test_a_round_trip(s3, bucket):
    s3.put_object(Bucket=bucket, Key="a/b c+d", Body=b"hello", Metadata={"x": "y"}, Tagging="t=1")
    got = s3.get_object(Bucket=bucket, Key="a/b c+d")
    assert (got["Body"].read(), got["Metadata"], got["TagCount"]) == (b"hello", {"x": "y"}, 1)
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["a/b c+d"]
    assert s3.get_object(Bucket=bucket, Key="a/b c+d", Range="bytes=1-2")["Body"].read() == b"el"


def test_a_transfer_in_parts(s3, bucket):
    data = os.urandom(12 << 20)
    config = TransferConfig(multipart_threshold=5 << 20, multipart_chunksize=5 << 20)
    s3.upload_fileobj(io.BytesIO(data), bucket, "big", Config=config)
    got = io.BytesIO()
    s3.download_fileobj(bucket, "big", got, Config=config)
    assert got.getvalue() == data
    s3.copy({"Bucket": bucket, "Key": "big"}, bucket, "copy", Config=config)
    assert s3.head_object(Bucket=bucket, Key="copy")["ContentLength"] == len(data)


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
def test_checksums(s3, bucket, algorithm):
    put = s3.put_object(Bucket=bucket, Key="k", Body=io.BytesIO(b"hello" * 99), ChecksumAlgorithm=algorithm)
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert got[f"Checksum{algorithm}"] == put[f"Checksum{algorithm}"]
    assert got["Body"].read() == b"hello" * 99


@pytest.mark.parametrize("version", [None, "s3v4", "s3"])
def test_presigned_urls(endpoint, bucket, version):
    s3 = connect(endpoint, signature_version=version)
    put = s3.generate_presigned_url("put_object", {"Bucket": bucket, "Key": "k", "Metadata": {"a": "b"}})
    request = urllib.request.Request(
        put, data=b"hello", method="PUT", headers={"x-amz-meta-a": "b", "content-type": ""}
    )
    assert urllib.request.urlopen(request).status == 200
    params = {"Bucket": bucket, "Key": "k", "ResponseContentType": "text/x"}
    with urllib.request.urlopen(s3.generate_presigned_url("get_object", params)) as got:
        assert (got.read(), got.headers["Content-Type"], got.headers["x-amz-meta-a"]) == (b"hello", "text/x", "b")


def test_errors_are_those_clients_know(s3, bucket):
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=bucket, Key="none")
    with pytest.raises(s3.exceptions.NoSuchBucket):
        s3.list_objects_v2(Bucket="none-such")
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket=bucket, Key="k", Body=b"", ACL="public-read")
    assert refused.value.response["Error"]["Code"] == "NotImplemented"
    with pytest.raises(ClientError) as missing:
        s3.head_object(Bucket=bucket, Key="none")
    assert missing.value.response["Error"]["Code"] == "404"
    with pytest.raises(ClientError) as unmodified:
        s3.get_object(Bucket=bucket, Key="k", IfNoneMatch=s3.put_object(Bucket=bucket, Key="k", Body=b"")["ETag"])
    assert unmodified.value.response["ResponseMetadata"]["HTTPStatusCode"] == 304


def test_versions_and_deletes(s3, bucket):
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"1", b"2"):
        s3.put_object(Bucket=bucket, Key="k", Body=body)
    s3.delete_object(Bucket=bucket, Key="k")
    listed = s3.list_object_versions(Bucket=bucket)
    assert (len(listed["Versions"]), len(listed["DeleteMarkers"])) == (2, 1)
    doomed = [
        {"Key": row["Key"], "VersionId": row["VersionId"]} for row in listed["Versions"] + listed["DeleteMarkers"]
    ]
    assert "Errors" not in s3.delete_objects(Bucket=bucket, Delete={"Objects": doomed})
    s3.delete_bucket(Bucket=bucket)
