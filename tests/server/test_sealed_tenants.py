"""Encryption at rest on a running server: a tenant's bytes lie nowhere in the data directory, and go with its key."""

import pytest

from isotherm.devices.waiting import drive
from isotherm.ids import SystemIds
from isotherm.tenancy.keystore import FileKeys
from tests.server.administration import code_of, key, signed, tenant
from tests.server.clients import run, s3, server, serving

__all__ = ["server"]

NEEDLE = b"Nobody but acme may ever read this very line of text. "
MIB = 1 << 20


def text(size):
    return (NEEDLE * (size // len(NEEDLE) + 1))[:size]


def everything(directory):
    """(path, bytes) of every file below a directory."""
    return [(path, path.read_bytes()) for path in directory.rglob("*") if path.is_file()]


@pytest.fixture(scope="module")
def client(server):
    tenant(server, "create", "acme")
    tenant(server, "create", "acme/research")
    client = signed(server, key(server, "acme/research", "data"))
    client.create_bucket(Bucket="lake")
    return client


def test_nothing_that_a_tenant_wrote_lies_in_the_data_directory(server, client):
    sizes = {"tiny": 60, "small": 5_000, "block": 65_536, "odd": 65_537, "medium": 900_000, "large": 9 * MIB + 5}
    for name, size in sizes.items():
        client.put_object(Bucket="lake", Key=name, Body=text(size))
    client.copy_object(Bucket="lake", Key="copy", CopySource={"Bucket": "lake", "Key": "large"})
    upload = client.create_multipart_upload(Bucket="lake", Key="parts")["UploadId"]
    named = {"Bucket": "lake", "Key": "parts", "UploadId": upload}
    parts = []
    for number, size in ((1, 5 * MIB), (2, 5 * MIB + 3)):
        put = client.upload_part(**named, PartNumber=number, Body=text(size))
        parts.append({"PartNumber": number, "ETag": put["ETag"]})
    source = {"Bucket": "lake", "Key": "large"}
    put = client.upload_part_copy(**named, PartNumber=3, CopySource=source, CopySourceRange="bytes=7-6000000")
    parts.append({"PartNumber": 3, "ETag": put["CopyPartResult"]["ETag"]})
    client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})

    for name, size in {**sizes, "copy": sizes["large"]}.items():
        assert client.get_object(Bucket="lake", Key=name)["Body"].read() == text(size)
    joined = text(5 * MIB) + text(5 * MIB + 3) + text(9 * MIB)[7:6_000_001]
    assert client.get_object(Bucket="lake", Key="parts")["Body"].read() == joined
    for start, end in ((0, 0), (65_535, 65_536), (5 * MIB - 1, 5 * MIB + 70_000)):
        ranged = client.get_object(Bucket="lake", Key="parts", Range=f"bytes={start}-{end}")["Body"].read()
        assert ranged == joined[start : end + 1]

    stored = everything(server.data)
    assert sum(len(data) for path, data in stored if path.suffix == ".seg") > 25 * MIB
    assert [path for path, data in stored if NEEDLE[:24] in data or NEEDLE[-24:] in data] == []


def test_the_roots_own_bytes_are_plain(server):
    """What the test before it looks for can be found."""
    s3(server).create_bucket(Bucket="open")
    s3(server).put_object(Bucket="open", Key="a", Body=NEEDLE.swapcase())
    assert [path.suffix for path, data in everything(server.data) if NEEDLE.swapcase() in data] == [".seg"]


def test_a_check_opens_the_keys_and_finds_nothing_wrong(server, client):
    client.put_object(Bucket="lake", Key="checked", Body=text(100_000))
    assert run("fsck", "--data", server.data).returncode == 0


def test_what_a_tenant_sealed_outlives_the_server_and_goes_with_its_secret(tmp_path):
    with serving(tmp_path) as server:
        tenant(server, "create", "acme")
        tenant(server, "create", "other")
        pairs = {name: key(server, name, "data") for name in ("acme", "other")}
        for pair in pairs.values():
            signed(server, pair).create_bucket(Bucket="lake")
            signed(server, pair).put_object(Bucket="lake", Key="a", Body=text(5_000))
        data = server.data
        server.kill_all()
        assert drive(FileKeys(data / "keys", SystemIds()).destroy(2))
        server.start()
        acme, other = (signed(server, pairs[name]) for name in ("acme", "other"))
        assert other.get_object(Bucket="lake", Key="a")["Body"].read() == text(5_000)
        assert code_of(acme.get_object, Bucket="lake", Key="a") == "TenantKeyGone"
        assert code_of(acme.put_object, Bucket="lake", Key="b", Body=b"x") == "TenantKeyGone"
        assert [one["Key"] for one in acme.list_objects_v2(Bucket="lake")["Contents"]] == ["a"]
    assert server.log.count("what tenants have stored cannot be read: copy keys/tenants back") == 1
    assert "tenants=1 first=@2" in server.log


def test_a_tenant_moved_by_command_reads_on_while_the_server_runs(server, client):
    client.put_object(Bucket="lake", Key="moved", Body=text(70_000))
    tenant(server, "create", "elsewhere")
    tenant(server, "move", "acme/research", "--to", "elsewhere/research")
    assert client.get_object(Bucket="lake", Key="moved")["Body"].read() == text(70_000)
    client.put_object(Bucket="lake", Key="after", Body=text(70_000))
    tenant(server, "move", "elsewhere/research", "--to", "acme/research")
    assert client.get_object(Bucket="lake", Key="after")["Body"].read() == text(70_000)
