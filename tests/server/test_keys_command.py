"""`isotherm keys`, beside a running server and without one; and how soon a server follows."""

import boto3
import pytest
from botocore.exceptions import ClientError

from tests.server.clients import keys, run, s3, server, serving

__all__ = ["server"]


def signed(server, pair):
    return s3(server, aws_access_key_id=pair["access_key"], aws_secret_access_key=pair["secret_key"])


def refused(client):
    try:
        client.list_buckets()
    except ClientError as error:
        return error.response["Error"]["Code"]
    return None


def states(server):
    return {row["access_key"]: row["state"] for row in keys(server, "list", "--json")}


def test_a_pair_made_beside_the_server_signs_until_it_is_revoked(server):
    pair = keys(server, "create", "--description", "a robot", "--json")
    client = signed(server, pair)
    server.until(lambda: refused(client) is None, 10, "the new pair is not accepted")
    assert {"access_key": pair["access_key"], "state": "active"}.items() <= {
        "access_key": pair["access_key"],
        "state": states(server)[pair["access_key"]],
    }.items()
    assert "is revoked" in keys(server, "revoke", pair["access_key"])
    server.until(lambda: refused(client) == "InvalidAccessKeyId", 10, "the revoked pair is still accepted")
    assert states(server)[pair["access_key"]] == "revoked"


def test_a_narrow_terminal_shows_access_keys_whole(server, monkeypatch):
    pair = keys(server, "create", "--description", "a robot that has a lot to say about itself", "--json")
    monkeypatch.setenv("COLUMNS", "60")
    assert pair["access_key"] in run("keys", "list", "--data", server.data).stdout


def test_a_rotated_pair_goes_on_for_its_grace_and_the_new_one_works(server):
    old = keys(server, "create", "--json")
    fresh = keys(server, "rotate", old["access_key"], "--grace", "3600", "--json")
    assert refused(signed(server, fresh)) is None
    server.until(lambda: refused(signed(server, old)) is None, 10, "the old pair has ended early")
    assert states(server)[old["access_key"]] == "ending"
    again = run("keys", "rotate", old["access_key"], "--data", server.data)
    assert again.returncode == 1
    assert "revoked or replaced already" in again.stderr


def test_secrets_are_shown_once(server):
    pair = keys(server, "create", "--description", "shown once", "--json")
    assert pair["secret_key"] not in keys(server, "list") + keys(server, "list", "--json").__repr__()
    assert pair["secret_key"] not in server.log
    told = run("keys", "create", "--data", server.data)
    assert "secret key  " in told.stdout
    assert "not shown again" in told.stderr


def test_keys_are_made_and_ended_without_a_server_too(tmp_path):
    with serving(tmp_path / "data") as server:
        pass
    pair = keys(server, "create", "--json")
    with serving(server.data) as server:
        signed(server, pair).list_buckets()
    keys(server, "revoke", pair["access_key"])
    with serving(server.data) as server:
        assert refused(signed(server, pair)) == "InvalidAccessKeyId"


def test_rotating_the_root_pair_rewrites_its_file(tmp_path):
    with serving(tmp_path / "data") as server:
        old = server.client()
        keys(server, "rotate", server.credential.access_key, "--json")
        assert server.credential.access_key != old["aws_access_key_id"]
        s3(server).list_buckets()
        server.until(lambda: refused(boto3.client("s3", **old)) is not None, 10, "the old pair is still accepted")
    with serving(server.data) as server:
        s3(server).list_buckets()


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["revoke", "ISOTNOSUCHKEY"], 1, "there is no access key ISOTNOSUCHKEY"),
        (["rotate", "ISOTNOSUCHKEY"], 1, "there is no access key ISOTNOSUCHKEY"),
        (["create", "--description", "x" * 257], 1, "at most 256 bytes"),
    ],
)
def test_mistakes_are_told_in_a_line(server, arguments, status, message):
    done = run("keys", *arguments, "--data", server.data)
    assert (done.returncode, message in done.stderr, "Traceback" in done.stderr) == (status, True, False)


def test_a_directory_without_a_store_is_not_made_into_one(tmp_path):
    done = run("keys", "list", "--data", tmp_path / "none")
    assert done.returncode == 1
    assert "holds no Isotherm store" in done.stderr
    assert not (tmp_path / "none").exists()
