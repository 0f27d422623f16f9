"""Supervision: what dies starts again, and what clients see meanwhile."""

import os
import signal
import threading

import pytest

from tests.server.clients import get, metrics, patient_s3, ready, s3, serving


@pytest.fixture
def server(tmp_path):
    with serving(tmp_path / "data", gateways=2) as running:
        s3(running).create_bucket(Bucket="bucket")
        yield running


@pytest.mark.parametrize("name", ["gateway-0", "gateway-1", "committer", "control", "mover"])
def test_a_killed_process_starts_again_and_clients_with_retries_notice_nothing(server, name):
    client = patient_s3(server)
    client.put_object(Bucket="bucket", Key="before", Body=b"x")
    old = server.kill(name)
    for number in range(20):
        client.put_object(Bucket="bucket", Key=f"{number}", Body=b"%d" % number)
    assert server.pid(name) != old
    assert f"{name} ended (SIGKILL); it starts again in 0.05 s" in server.log
    server.until(lambda: ready(server) == (200, {}), 30, "the server is not ready again")
    assert metrics(server)[f'isotherm_process_restarts_total{{process="{name}"}}'] == 1
    assert client.get_object(Bucket="bucket", Key="before")["Body"].read() == b"x"


def test_every_gateway_can_be_killed_again_and_again(server):
    client = patient_s3(server)
    for number in range(6):
        server.kill(f"gateway-{number % 2}")
        client.put_object(Bucket="bucket", Key=f"{number}", Body=b"%d" % number)
    assert [client.get_object(Bucket="bucket", Key=f"{n}")["Body"].read() for n in range(6)] == [
        b"%d" % n for n in range(6)
    ]


def test_counters_outlive_the_gateways_that_counted(server):
    sample = 'isotherm_s3_requests_total{operation="HeadBucket",status="2xx"}'
    for _ in range(10):
        s3(server).head_bucket(Bucket="bucket")
    server.until(lambda: metrics(server)[sample] == 10, 30, "ten requests are not counted")
    server.kill("gateway-0")
    server.kill("gateway-1")
    server.pid("gateway-0")
    patient_s3(server).head_bucket(Bucket="bucket")
    server.until(lambda: metrics(server)[sample] >= 11, 30, "the gateways that came began anew")


def test_a_gateway_that_hangs_holds_up_no_new_client(server):
    hung = server.pid("gateway-0")
    os.kill(hung, signal.SIGSTOP)
    try:
        # Fresh connections, since one that the stopped process holds waits for it.
        for number in range(10):
            s3(server).put_object(Bucket="bucket", Key=f"{number}", Body=b"x")
        server.until(lambda: metrics(server)['isotherm_process_up{process="gateway-0"}'] == 0, 30, "it seems well")
        assert ready(server) == (200, {})
    finally:
        os.kill(hung, signal.SIGCONT)


def test_without_a_gateway_that_shows_life_the_server_is_not_ready(server):
    hung = [server.pid("gateway-0"), server.pid("gateway-1")]
    for pid in hung:
        os.kill(pid, signal.SIGSTOP)
    try:
        server.until(lambda: ready(server) == (503, {"gateways": "none of 2 serves"}), 30, "it seems ready")
        assert get(server.address.admin + "/healthz") == (200, b"ok\n")
    finally:
        for pid in hung:
            os.kill(pid, signal.SIGCONT)
    server.until(lambda: ready(server) == (200, {}), 30, "it is not ready again")


def test_a_process_that_shows_no_life_is_replaced(tmp_path):
    with serving(tmp_path / "data", options=("--hung-s", "3")) as server:
        s3(server).create_bucket(Bucket="bucket")
        hung = server.pid("gateway-0")
        os.kill(hung, signal.SIGSTOP)
        server.until(lambda: server.address.pids["gateway-0"] != hung, 60, "it was not replaced")
        s3(server).put_object(Bucket="bucket", Key="k", Body=b"x")
        assert "gateway-0 shows no life; killing it" in server.log
        assert server.log.count("gateway-0 shows no life") == 1


def test_connections_that_come_at_once_are_spread_over_the_gateways(server):
    opened = threading.Barrier(17)
    done = threading.Event()

    def connect():
        import socket
        from urllib.parse import urlsplit

        parts = urlsplit(server.address.s3)
        with socket.create_connection((parts.hostname, parts.port), timeout=60):
            opened.wait()
            done.wait()

    threads = [threading.Thread(target=connect) for _ in range(16)]
    for thread in threads:
        thread.start()
    opened.wait()
    try:
        names = [f'isotherm_s3_connections{{gateway="{n}"}}' for n in range(2)]
        counts = []

        def all_counted():
            now = metrics(server)
            counts[:] = [now[name] for name in names]
            return sum(counts) == 16

        server.until(all_counted, 30, "connections are missing")
        assert min(counts) >= 4
    finally:
        done.set()
        for thread in threads:
            thread.join()
