"""A server that may open few files: strangers who only connect take none from those it serves."""

import socket
from contextlib import ExitStack
from urllib.parse import urlsplit

from isotherm.testing.server import RunningServer
from tests.server.clients import s3


def test_strangers_take_no_descriptors_from_clients(tmp_path):
    with RunningServer(tmp_path / "data", under=["prlimit", "--nofile=256:256"]) as server, ExitStack() as strangers:
        client = s3(server)
        client.create_bucket(Bucket="bucket")
        client.put_object(Bucket="bucket", Key="small", Body=b"x" * 4096)
        client.put_object(Bucket="bucket", Key="large", Body=b"x" * (3 << 20))
        at = urlsplit(server.address.s3)
        for _ in range(300):
            stranger = strangers.enter_context(socket.create_connection((at.hostname, at.port)))
            stranger.sendall(b"GET / HTTP/1.1\r\n")
        for number in range(20):
            client.put_object(Bucket="bucket", Key=f"{number}", Body=b"y" * 4096)
            assert client.get_object(Bucket="bucket", Key=f"{number}")["Body"].read() == b"y" * 4096
            assert len(client.get_object(Bucket="bucket", Key="large")["Body"].read()) == 3 << 20
