"""Starting: what a server makes, says and refuses."""

import json
import socket
import stat
from pathlib import Path

import pytest

import isotherm
from isotherm.errors import Unavailable
from isotherm.testing.server import RunningServer
from tests.server.clients import port_of, run, s3, serving


def test_the_first_start_makes_credentials_and_tells_how_to_use_them_and_later_ones_where_they_lie(tmp_path):
    data = tmp_path / "data"
    with serving(data) as server:
        path = data / "keys" / "root-credentials"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        first = server.credential
        assert f"export AWS_SHARED_CREDENTIALS_FILE={path}" in server.printed
        assert f"aws --endpoint-url {server.address.s3} s3 mb" in server.printed
        assert f'endpoint_url="{server.address.s3}"' in server.printed
        assert first.secret not in server.printed + server.log
        s3(server).create_bucket(Bucket="kept")
        s3(server).put_object(Bucket="kept", Key="k", Body=b"of the first start")
    printed = server.printed
    with serving(data) as server:
        assert server.credential == first
        assert s3(server).get_object(Bucket="kept", Key="k")["Body"].read() == b"of the first start"
        again = server.printed[len(printed) :]
        assert str(path) in again
        assert "made by an earlier start" in again
        assert "boto3" not in again
    assert not (data / "run" / "address.json").exists()


def test_the_credentials_file_works_as_awss_own(tmp_path, monkeypatch):
    import boto3

    with serving(tmp_path / "data") as server:
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(server.data / "keys" / "root-credentials"))
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        client = boto3.session.Session().client("s3", endpoint_url=server.address.s3)
        client.create_bucket(Bucket="by-file")
        assert [bucket["Name"] for bucket in client.list_buckets()["Buckets"]] == ["by-file"]


def test_credentials_that_were_carried_away_are_not_made_again(tmp_path):
    data = tmp_path / "data"
    with serving(data) as server:
        client = server.client()
    (data / "keys" / "root-credentials").unlink()
    with serving(data) as server:
        assert "Root credentials: not kept here" in server.printed
        assert not (data / "keys" / "root-credentials").exists()
        import boto3

        boto3.client("s3", **{**client, "endpoint_url": server.address.s3}).list_buckets()


def test_a_first_start_that_died_before_it_stored_the_pair_is_mended_by_the_next(tmp_path):
    data = tmp_path / "data"
    with serving(data):
        pass
    path = data / "keys" / "root-credentials"
    path.write_text(path.read_text().replace("ISOT", "ISOX"))
    with serving(data) as server:
        assert server.credential.access_key.startswith("ISOX")
        s3(server).list_buckets()


def test_the_second_server_on_a_directory_is_refused_with_the_address_of_the_first(tmp_path):
    with serving(tmp_path / "data") as server:
        done = run("serve", "--data", server.data, "--port", "0", "--admin-port", "0")
        assert done.returncode == 75
        assert f"a server runs on {server.data} already at {server.address.s3}" in done.stderr
        s3(server).list_buckets()


def test_a_taken_port_is_named_and_nothing_else_is_left_running(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run("serve", "--data", tmp_path / "data", "--port", port, "--admin-port", "0")
    assert done.returncode == 75
    told = f"port {port} on 127.0.0.1 is taken by another program; choose others with --port and --admin-port"
    assert done.stderr == f"isotherm: {told}\n"
    assert not (tmp_path / "data").exists()


def test_a_taken_port_is_named_on_a_store_that_is_there_too(tmp_path):
    with serving(tmp_path / "data"):
        pass
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("serve", "--data", tmp_path / "data", "--port", taken.getsockname()[1], "--admin-port", "0")
    assert done.returncode == 75
    assert "is taken by another program" in done.stderr


@pytest.mark.parametrize("command", ["serve", "backup", "restore"])
def test_what_the_operating_system_does_not_permit_is_not_worth_trying_again(command, tmp_path):
    """Nobody may make a directory there, not even root."""
    barred = Path("/sys/isotherm-of-a-test")
    isotherm.open(tmp_path / "store").close()
    assert run("backup", tmp_path / "backup", "--data", tmp_path / "store").returncode == 0
    done = run(
        *{
            "serve": ("serve", "--data", barred, "--port", 0, "--admin-port", 0),
            "backup": ("backup", barred, "--data", tmp_path / "store"),
            "restore": ("restore", tmp_path / "backup", barred),
        }[command]
    )
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith("isotherm: cannot ")
    assert str(barred) in done.stderr


def test_another_version_of_the_directory_is_refused_with_the_command(tmp_path):
    with serving(tmp_path / "data") as server:
        pass
    mark = server.data / "isotherm.json"
    mark.write_text(json.dumps({**json.loads(mark.read_text()), "format": 2, "written_by": "3.1.4"}))
    done = run("serve", "--data", server.data, "--port", "0", "--admin-port", "0")
    assert done.returncode == 1
    assert "pip install 'isotherm>=3.1.4'" in done.stderr


def test_somebody_elses_directory_is_refused(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"x")
    done = run("serve", "--data", tmp_path, "--port", "0", "--admin-port", "0")
    assert done.returncode == 1
    assert "not empty and holds no Isotherm store" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["photo.jpg"]


def test_what_no_restart_can_mend_ends_the_server_with_its_message(tmp_path):
    with serving(tmp_path / "data") as server:
        pass
    key = server.data / "keys" / "root.key"
    key.chmod(0o644)
    with pytest.raises(Unavailable, match=f"Run: chmod 600 {key}"):
        server.start()
    assert "starts again" not in server.log
    key.chmod(0o600)
    with server:
        s3(server).list_buckets()


def test_a_certificate_that_is_none_ends_the_server_with_its_message(tmp_path):
    (tmp_path / "no.pem").write_text("no")
    tls = ("--tls-cert", str(tmp_path / "no.pem"), "--tls-key", str(tmp_path / "no.pem"))
    server = RunningServer(tmp_path / "data", options=tls)
    with pytest.raises(Unavailable, match="TLS: cannot use"):
        server.start()
    assert server.log.startswith("isotherm: TLS: cannot use")
    assert not (tmp_path / "data").exists()


def test_listening_elsewhere_than_on_loopback_without_tls_is_warned_of(tmp_path):
    with serving(tmp_path / "data", options=("--host", "0.0.0.0")) as server:
        assert "warning supervisor listening on 0.0.0.0 without TLS" in server.log
        assert server.address.s3.startswith("http://127.0.0.1:")
        s3(server).list_buckets()


def test_settings_come_from_the_environment_too(tmp_path, monkeypatch):
    monkeypatch.setenv("ISOTHERM_DOMAIN", "s3.test")
    with serving(tmp_path / "data") as server:
        s3(server).create_bucket(Bucket="virtual")
        s3(server).put_object(Bucket="virtual", Key="k", Body=b"x")
        with socket.create_connection(("127.0.0.1", port_of(server.address.s3)), timeout=60) as plain:
            plain.sendall(b"GET /k HTTP/1.1\r\nHost: virtual.s3.test\r\nConnection: close\r\n\r\n")
            answer = b"".join(iter(lambda: plain.recv(65_536), b""))
        assert answer.startswith(b"HTTP/1.1 403")
    # At its end at the latest, a gateway writes what it has to say.
    assert '"bucket":"virtual","key":"k","path":"/k"' in (server.data / "log" / "access.log").read_text()
