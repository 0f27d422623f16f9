"""Large objects over a real server: damage in the middle, clients that vanish or dawdle, a disk that runs full.

Hands on a socket, because what matters is where a reply breaks off, which clients hide.
"""

import os
import random
import socket
import subprocess
from contextlib import closing, suppress
from urllib.parse import urlsplit

import pytest
from botocore.exceptions import ClientError

from isotherm.testing.server import RunningServer
from tests.server.clients import s3, serving

MIB = 1 << 20
SIZE = 24 * MIB
WRONG_AT = 13 * MIB + 5
CONTENT = random.Random(1).randbytes(SIZE)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("large") / "data", gateways=1) as running:
        s3(running).create_bucket(Bucket="bucket")
        yield running


@pytest.fixture
def client(server):
    return s3(server)


def say(server, method, key, headers=()):
    """A connection on which a presigned request has been said, up to the end of its head."""
    url = urlsplit(s3(server).generate_presigned_url(f"{method}_object", Params={"Bucket": "bucket", "Key": key}))
    lines = [f"{method.upper()} {url.path}?{url.query} HTTP/1.1", f"Host: {url.netloc}", *headers]
    connection = socket.create_connection((url.hostname, url.port), 60)
    connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
    return connection


def heard(connection):
    """(status, announced length, what came of the body) up to the connection's end, or the body's."""
    with closing(connection), connection.makefile("rb") as stream:
        status = int(stream.readline().split()[1])
        length = 0
        while (line := stream.readline()) != b"\r\n":
            name, _, value = line.decode().partition(":")
            length = int(value) if name.lower() == "content-length" else length
        body = bytearray()
        try:
            while len(body) < length and (piece := stream.read(min(MIB, length - len(body)))):
                body += piece
        except ConnectionResetError:
            pass
        return status, length, bytes(body)


def segment_of(server):
    """The file that holds the only large object, and where in it the object begins."""
    for path in (server.data / "performance").rglob("*.seg"):
        at = path.read_bytes().find(CONTENT[:64])
        if at >= 0:
            return path, at
    raise AssertionError("no segment holds the object")


def damage(path, at):
    with path.open("r+b") as file:
        file.seek(at)
        (byte,) = file.read(1)
        file.seek(at)
        file.write(bytes((byte ^ 1,)))


def open_files(server):
    """How many descriptors the gateway has, beside that of its access log, which it opens when it first has something to write."""
    folder = f"/proc/{server.pid('gateway-0')}/fd"
    targets = []
    for descriptor in os.listdir(folder):
        with suppress(FileNotFoundError):  # closed meanwhile
            targets.append(os.readlink(f"{folder}/{descriptor}"))
    return sum(not target.endswith("access.log") for target in targets)


def settled(server, files):
    """Wait until the gateway has no more descriptors than that."""
    server.until(lambda: open_files(server) <= files, 30, "descriptors are left open")


@pytest.mark.parametrize("how", ["flipped", "cut off"])
def test_what_is_damaged_in_the_middle_is_broken_off_there_and_never_sent(tmp_path, how):
    with serving(tmp_path / "data", gateways=1) as server:
        client = s3(server)
        client.create_bucket(Bucket="bucket")
        client.put_object(Bucket="bucket", Key="k", Body=CONTENT)
        path, start = segment_of(server)
        if how == "flipped":
            damage(path, start + WRONG_AT)
        else:
            # The checksums of the blocks lie behind the payload, and are known from an earlier reading.
            client.get_object(Bucket="bucket", Key="k", Range="bytes=0-99999")["Body"].read()
            os.truncate(path, start + WRONG_AT)
        for _ in range(2):
            status, length, body = heard(say(server, "get", "k"))
            assert (status, length) == (200, SIZE)
            assert 0 < len(body) <= WRONG_AT
            assert body == CONTENT[: len(body)]
        whole = client.get_object(Bucket="bucket", Key="k", Range=f"bytes=0-{12 * MIB - 1}")["Body"].read()
        assert whole == CONTENT[: 12 * MIB]
        with pytest.raises(ClientError) as refused:
            client.get_object(Bucket="bucket", Key="k", Range=f"bytes={WRONG_AT}-{WRONG_AT + 9}")
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500


def test_a_file_cut_short_under_sendfile_breaks_the_reply_off(tmp_path):
    with serving(tmp_path / "data", gateways=1) as server:
        client = s3(server)
        client.create_bucket(Bucket="bucket")
        client.put_object(Bucket="bucket", Key="k", Body=CONTENT)
        assert client.get_object(Bucket="bucket", Key="k")["Body"].read() == CONTENT  # all of it is verified now
        path, start = segment_of(server)
        os.truncate(path, start + WRONG_AT)
        status, length, body = heard(say(server, "get", "k"))
        assert (status, length) == (200, SIZE)
        assert len(body) <= WRONG_AT
        assert body == CONTENT[: len(body)]


def test_readers_that_vanish_leave_nothing_open(server, client):
    client.put_object(Bucket="bucket", Key="k", Body=CONTENT)
    for _ in range(2):  # verified by the first, sent from the file to the second
        assert client.get_object(Bucket="bucket", Key="k")["Body"].read() == CONTENT
    files = open_files(server)
    for taken in (1, 100_000, 5 * MIB):
        for _ in range(5):
            connection = say(server, "get", "k")
            missing = taken
            while missing > 0:
                missing -= len(connection.recv(min(missing, 65_536)))
            connection.close()
    settled(server, files)
    assert client.get_object(Bucket="bucket", Key="k")["Body"].read() == CONTENT


@pytest.mark.parametrize("sent", [0, 1, 100_000, 3 * MIB + 1, SIZE - 1])
def test_writers_that_vanish_leave_nothing_behind(server, client, sent):
    files = open_files(server)
    for _ in range(5):
        connection = say(server, "put", "vanished", [f"Content-Length: {SIZE}"])
        connection.sendall(CONTENT[:sent])
        connection.close()
    settled(server, files + 8)  # segments that a stream has made are kept for the next
    with pytest.raises(ClientError, match="404"):
        client.head_object(Bucket="bucket", Key="vanished")
    client.put_object(Bucket="bucket", Key="after", Body=CONTENT)
    assert client.get_object(Bucket="bucket", Key="after")["Body"].read() == CONTENT


def test_readers_that_dawdle_hold_up_nobody_and_get_it_all(server, client):
    client.put_object(Bucket="bucket", Key="k", Body=CONTENT)
    client.put_object(Bucket="bucket", Key="small", Body=b"small")
    for turn in range(2):
        dawdlers = [say(server, "get", "k") for _ in range(12)]
        for _ in range(50):
            assert client.get_object(Bucket="bucket", Key="small")["Body"].read() == b"small"
        assert [heard(connection) for connection in dawdlers] == [(200, SIZE, CONTENT)] * len(dawdlers), turn


def test_parts_that_are_sent_again_from_one_connection_after_another(server, client):
    """Parts of no round size: what is verified piece by piece, and sent from files afterwards, is the same bytes."""
    upload = client.create_multipart_upload(Bucket="bucket", Key="parts")["UploadId"]
    named = {"Bucket": "bucket", "Key": "parts", "UploadId": upload}
    sizes = [5 * MIB + 4_321, 6 * MIB + 1, 7 * MIB - 1, 333]
    parts, start = [], 0
    for number, size in enumerate(sizes, 1):
        etag = client.upload_part(**named, PartNumber=number, Body=CONTENT[start : start + size])["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
        start += size
    client.complete_multipart_upload(**named, MultipartUpload={"Parts": parts})
    for _ in range(3):
        assert heard(say(server, "get", "parts")) == (200, start, CONTENT[:start])
    crossing = f"bytes={5 * MIB}-{17 * MIB}"
    assert heard(say(server, "get", "parts", [f"Range: {crossing}"])) == (
        206,
        12 * MIB + 1,
        CONTENT[5 * MIB : 17 * MIB + 1],
    )


def test_a_disk_that_runs_full_in_mid_put_says_so_and_gives_the_space_back(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=96m", "isotherm-test", str(disk)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a file system here")
    try:
        with serving(disk / "data", gateways=1) as server:
            _fill(server)
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def _fill(server: RunningServer):
    client = s3(server)
    client.create_bucket(Bucket="bucket")
    client.put_object(Bucket="bucket", Key="kept", Body=CONTENT)
    gateway = server.pid("gateway-0")
    for _ in range(3):
        with pytest.raises(ClientError) as refused:
            client.put_object(Bucket="bucket", Key="too much", Body=CONTENT * 4)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert client.get_object(Bucket="bucket", Key="kept")["Body"].read() == CONTENT
    client.put_object(Bucket="bucket", Key="fits", Body=CONTENT)
    assert client.get_object(Bucket="bucket", Key="fits")["Body"].read() == CONTENT
    assert server.pid("gateway-0") == gateway
