"""Ending: requests under way are ended, not cut off; and a server that was killed leaves nothing in the way of the next."""

import http.client
import os
import signal
import socket
import subprocess
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from isotherm.devices.processes import alive
from tests.server.clients import ISOTHERM, metrics, port_of, s3, serving

BODY = os.urandom(1 << 20)


def half_a_put(server, key):
    """A PUT of BODY whose first half has arrived; give `finish` the connection to send the rest."""
    url = s3(server, config={"signature_version": "s3v4"}).generate_presigned_url(
        "put_object", Params={"Bucket": "bucket", "Key": key}
    )
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=60)
    connection.putrequest("PUT", f"{parts.path}?{parts.query}")
    connection.putheader("Content-Length", str(len(BODY)))
    connection.endheaders()
    connection.send(BODY[: len(BODY) // 2])
    return connection


def finish(connection):
    connection.send(BODY[len(BODY) // 2 :])
    answer = connection.getresponse()
    answer.read()
    return answer.status


def connections(server):
    return sum(value for name, value in metrics(server).items() if name.startswith("isotherm_s3_connections"))


def refuses(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


@pytest.fixture
def server(tmp_path):
    with serving(tmp_path / "data", gateways=2) as running:
        s3(running).create_bucket(Bucket="bucket")
        yield running


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_put_under_way_is_ended_and_acknowledged_while_new_connections_are_refused(server, number):
    port = port_of(server.address.s3)
    with closing(half_a_put(server, "slow")) as connection:
        server.process.send_signal(number)
        server.until(lambda: refuses(port), 30, "the port is still open")
        assert finish(connection) == 200
    assert server.wait() == 0
    server.start()
    assert s3(server).get_object(Bucket="bucket", Key="slow")["Body"].read() == BODY


def test_idle_connections_do_not_hold_up_the_end(server):
    port = port_of(server.address.s3)
    idle = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(8)]
    try:
        server.until(lambda: connections(server) == 8, 30, "the connections were not accepted")
        assert server.stop() == 0
        assert all(connection.recv(1) == b"" for connection in idle)
    finally:
        for connection in idle:
            connection.close()


def test_who_takes_too_long_is_cut_off_and_not_acknowledged(tmp_path):
    with serving(tmp_path / "data", options=("--drain-s", "0.2")) as server:
        s3(server).create_bucket(Bucket="bucket")
        with closing(half_a_put(server, "endless")) as connection:
            assert server.stop() == 0
            with pytest.raises((ConnectionError, http.client.HTTPException)):
                finish(connection)
        server.start()
        assert "Contents" not in s3(server).list_objects_v2(Bucket="bucket")


def test_a_signal_that_comes_while_the_server_starts_is_heeded(tmp_path):
    data = tmp_path / "data"
    command = [*ISOTHERM, "serve", "--data", str(data), "--port", "0", "--admin-port", "0", "--gateways", "2"]
    starting = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while not (data / "meta" / "lock.mdb").exists() and starting.poll() is None:
        os.sched_yield()
    starting.send_signal(signal.SIGTERM)
    printed, _ = starting.communicate(timeout=60)
    assert starting.returncode == 0, printed
    assert "SIGTERM: no new connections" in printed
    assert not (data / "run" / "address.json").exists()
    with serving(data) as server:
        s3(server).list_buckets()


def test_a_server_started_by_nohup_outlives_its_terminal(tmp_path):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with serving(tmp_path / "data") as server:
            server.process.send_signal(signal.SIGHUP)
            s3(server).list_buckets()
            assert server.stop() == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    assert "SIGHUP" not in server.log
    assert "SIGTERM" in server.log


def test_a_second_signal_ends_everything_at_once(server):
    port = port_of(server.address.s3)
    with closing(half_a_put(server, "endless")):
        server.process.send_signal(signal.SIGTERM)
        server.until(lambda: refuses(port), 30, "the port is still open")
        server.process.send_signal(signal.SIGTERM)
        assert server.wait() == 1
    assert "SIGTERM again: ending at once" in server.log


def test_children_of_a_killed_supervisor_end_by_themselves_and_the_next_server_takes_the_same_ports(tmp_path):
    with serving(tmp_path / "data", gateways=2) as first:
        s3(first).create_bucket(Bucket="bucket")
        ports = port_of(first.address.s3), port_of(first.address.admin)
        pids = [first.pid(name) for name in ("gateway-0", "gateway-1", "committer", "control", "mover")]
        for number in range(20):
            s3(first).put_object(Bucket="bucket", Key=f"{number}", Body=b"%d" % number)
        first.kill_supervisor()
        options = ("--port", str(ports[0]), "--admin-port", str(ports[1]))
        with serving(first.data, gateways=2, options=options) as second:
            assert port_of(second.address.s3) == ports[0]
            assert not [pid for pid in pids if alive(pid)]
            client = s3(second)
            kept = {str(n): client.get_object(Bucket="bucket", Key=f"{n}")["Body"].read() for n in range(20)}
            assert kept == {str(n): b"%d" % n for n in range(20)}
            assert second.log.count("the supervisor is gone; ending") == len(pids)


def test_a_put_under_way_outlives_the_supervisor_for_a_moment(server):
    with closing(half_a_put(server, "orphaned")) as connection:
        server.kill_supervisor()
        assert finish(connection) == 200
    server.start()
    assert s3(server).get_object(Bucket="bucket", Key="orphaned")["Body"].read() == BODY


def test_after_a_power_cut_everything_acknowledged_is_there(server):
    client = s3(server)
    for number in range(20):
        client.put_object(Bucket="bucket", Key=f"{number}", Body=b"%d" % number)
    server.kill_all()
    server.start()
    client = s3(server)
    assert [client.get_object(Bucket="bucket", Key=f"{n}")["Body"].read() for n in range(20)] == [
        b"%d" % n for n in range(20)
    ]
