"""A data directory and the database of its metadata know each other, and nothing else will do."""

import asyncio
import json
import shutil

import pytest
from botocore.exceptions import ClientError

import isotherm
from isotherm.clock import SystemClock
from isotherm.devices.directory import open_directory
from isotherm.errors import CursorExpired, Invalid, Unavailable
from isotherm.ids import SystemIds
from isotherm.settings import Settings
from isotherm.testing.postgres import TemporaryPostgres, programs
from tests.server.clients import ready, run, s3, serving

pytestmark = pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed")


@pytest.fixture(scope="module")
def postgres():
    with TemporaryPostgres() as server:
        yield server


@pytest.fixture
def meta(postgres):
    return postgres.database()


def open_store(path, meta=""):
    return isotherm.open(path, settings=Settings(path, meta=meta))


def mark(path):
    return json.loads((path / "isotherm.json").read_text())


def test_a_store_is_found_again_in_its_database(tmp_path, meta):
    with open_store(tmp_path / "data", meta) as store:
        store.create_bucket("box")
        store.put("box", "key", b"value", tags={"a": "1"})
    assert mark(tmp_path / "data")["meta"] == "postgresql"
    assert mark(tmp_path / "data")["claimed"]
    with open_store(tmp_path / "data", meta) as store:
        assert store.get("box", "key") == b"value"
        assert [found.key for found in store.find({"a": "1"})] == ["key"]
        assert store.maintain().failed == {}


def test_a_program_with_an_event_loop(tmp_path, meta):
    async def use():
        settings = Settings(tmp_path / "data", meta=meta)
        async with isotherm.open_async(tmp_path / "data", settings=settings) as store:
            await store.space.create_bucket("box")
            await asyncio.gather(*[store.put("box", f"{n}", b"value") for n in range(20)])
            return [entry.key async for entry in store.iterate("box")]

    assert len(asyncio.run(use())) == 20


def test_without_its_database_a_directory_is_refused(tmp_path, meta):
    open_store(tmp_path / "data", meta).close()
    with pytest.raises(Invalid, match="--meta postgresql"):
        isotherm.open(tmp_path / "data")
    done = run("serve", "--data", tmp_path / "data")
    assert done.returncode != 0
    assert "--meta postgresql" in done.stderr


def test_a_directory_with_its_metadata_inside_is_refused_with_a_database(tmp_path, meta):
    isotherm.open(tmp_path / "data").close()
    with pytest.raises(Invalid, match="without --meta"):
        open_store(tmp_path / "data", meta)


def test_another_directory_is_refused_by_the_database(tmp_path, meta):
    open_store(tmp_path / "data", meta).close()
    for _ in range(2):
        with pytest.raises(Invalid, match="belongs to store"):
            open_store(tmp_path / "other", meta)
    open_store(tmp_path / "data", meta).close()


def test_another_database_is_refused_by_the_directory(tmp_path, postgres, meta):
    open_store(tmp_path / "data", meta).close()
    with pytest.raises(Invalid, match="holds no store"):
        open_store(tmp_path / "data", postgres.database())
    other = postgres.database()
    open_store(tmp_path / "other", other).close()
    with pytest.raises(Invalid, match="belongs to store"):
        open_store(tmp_path / "data", other)
    open_store(tmp_path / "data", meta).close()


def test_a_first_start_that_died_before_the_database_knew_goes_on(tmp_path, meta):
    path = tmp_path / "data"
    options = {"program": "0.1.0", "clock": SystemClock(), "ids": SystemIds(), "meta_kind": "postgresql"}
    assert not open_directory(path, **options).claimed
    open_store(path, meta).close()
    assert open_directory(path, **options).claimed


def test_a_first_start_that_died_before_the_directory_knew_goes_on(tmp_path, meta):
    path = tmp_path / "data"
    open_store(path, meta).close()
    unclaimed = {**mark(path), "claimed": False}
    (path / "isotherm.json").write_text(json.dumps(unclaimed))
    open_store(path, meta).close()
    assert mark(path)["claimed"]


def test_another_root_key_is_refused(tmp_path, meta):
    path = tmp_path / "data"
    open_store(path, meta).close()
    key = path / "keys" / "root.key"
    shutil.copy(key, tmp_path / "kept")
    key.write_bytes(bytes(32))
    with pytest.raises(Invalid, match="root key"):
        open_store(path, meta)
    shutil.copy(tmp_path / "kept", key)
    open_store(path, meta).close()


def test_what_cannot_be_opened_says_what_to_do(tmp_path, postgres, meta):
    with pytest.raises(Invalid, match="createdb"):
        open_store(tmp_path / "a", meta.replace("/test", "/nowhere"))
    with pytest.raises(Unavailable):
        open_store(tmp_path / "b", "postgresql://isotherm@127.0.0.1:1/x")
    for told in ("mysql://x", "postgres"):
        done = run("keys", "list", "--data", tmp_path / "a", "--meta", told)
        assert done.returncode != 0
        assert "--meta must be a URL" in done.stderr
    done = run("find", "a=b", "--data", tmp_path / "c", "--meta", meta)
    assert done.returncode != 0
    assert "holds no Isotherm store" in done.stderr


def test_a_password_is_told_to_nobody(tmp_path):
    secret = "postgresql://user:geheim@127.0.0.1:1/x"
    assert "geheim" not in repr(Settings(tmp_path, meta=secret))
    done = run("keys", "list", "--data", tmp_path / "data", "--meta", secret)
    assert "geheim" not in done.stdout + done.stderr


def test_a_server_with_its_metadata_in_a_database(tmp_path, meta):
    options = ["--meta", meta]
    with serving(tmp_path / "data", options=options, gateways=2) as server:
        s3(server).create_bucket(Bucket="box")
        s3(server).put_object(Bucket="box", Key="key", Body=b"value", Tagging="a=1")
        assert ready(server) == (200, {})
        assert "committer" not in server.address.pids
        assert run("find", "a=1", "--data", server.data, *options).stdout == "box/key\n"
        assert run("fsck", "--data", server.data, *options).returncode == 0
        refused = run("fsck", "--repair", "--data", server.data, *options)
        assert "stop it first" in refused.stderr
    with open_store(tmp_path / "data", meta):
        refused = run("fsck", "--repair", "--data", tmp_path / "data", *options)
        assert "end those programs first" in refused.stderr
    assert run("fsck", "--repair", "--data", tmp_path / "data", *options).returncode == 0


def test_a_revoked_pair_ends_within_a_second_on_every_gateway(tmp_path, meta):
    with serving(tmp_path / "data", options=["--meta", meta], gateways=2) as server:
        s3(server).create_bucket(Bucket="box")
        made = json.loads(run("keys", "create", "--json", "--data", server.data, "--meta", meta).stdout)
        pair = {"aws_access_key_id": made["access_key"], "aws_secret_access_key": made["secret_key"]}
        clients = [s3(server, **pair) for _ in range(6)]  # over both gateways, as they take turns
        for client in clients:
            client.head_bucket(Bucket="box")
        revoked = run("keys", "revoke", made["access_key"], "--data", server.data, "--meta", meta)
        assert revoked.returncode == 0
        for client in clients:
            server.until(lambda client=client: refuses(client), 30, "a revoked pair goes on working")


def test_after_a_loss_the_operator_begins_a_new_epoch(tmp_path, meta):
    path = tmp_path / "data"
    with serving(path, options=["--meta", meta]) as server:
        s3(server).create_bucket(Bucket="box")
        s3(server).put_object(Bucket="box", Key="key", Body=b"before")
        with open_store(path, meta) as store:
            _, cursor = store.changes()
        first = run("epoch", "--data", path, "--meta", meta)
        second = run("epoch", "--new", "--data", path, "--meta", meta)
        assert (first.returncode, second.returncode) == (0, 0), second.stderr
        assert int(second.stdout) == int(first.stdout) + 1
        s3(server).put_object(Bucket="box", Key="key", Body=b"after")  # by a gateway that was told nothing
        with open_store(path, meta) as store:
            with pytest.raises(CursorExpired):
                store.changes(cursor)
            changes, _ = store.changes()
            assert [change.kind for change in changes] == ["bucket-created", "put", "put"]
            assert store.get("box", "key") == b"after"
    assert run("fsck", "--data", path, "--meta", meta).returncode == 0


def refuses(client):
    try:
        client.head_bucket(Bucket="box")
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"] == 403
    return False


def test_a_backup_is_a_store_with_its_metadata_inside(tmp_path, meta):
    with open_store(tmp_path / "data", meta) as store:
        store.create_bucket("box")
        for number in range(300):
            store.put("box", "k" * 600 + f"/{number}", b"%d" % number)
        store.delete("box", "k" * 600 + "/7")
        _, cursor = store.changes()
    assert run("backup", tmp_path / "kept", "--data", tmp_path / "data", "--meta", meta).returncode == 0
    restored = run("restore", tmp_path / "kept", tmp_path / "back", "--verify")
    assert restored.returncode == 0, restored.stderr
    with isotherm.open(tmp_path / "back") as store:
        assert len(list(store.iterate("box"))) == 299
        assert store.get("box", "k" * 600 + "/8") == b"8"
        assert len(store.changes()[0]) == 302
        with pytest.raises(CursorExpired):
            store.changes(cursor)
    assert run("fsck", "--data", tmp_path / "back").returncode == 0
