"""The key store of the AWS KMS, against moto's server in a process of its own."""

import socket
import subprocess
import sys
import time

import boto3
import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import Denied, Unavailable
from isotherm.ids import SeededIds
from isotherm.segments.port import Extent
from isotherm.tenancy.keystore import FileKeys
from isotherm.tenancy.keystore.aws import AwsKeys
from isotherm.tenancy.vault import Vault
from tests.tenancy.forest import planted

REGION = "eu-west-1"


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = (tmp_path_factory.mktemp("moto") / "log").open("wb")
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        for _ in range(600):
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert process.poll() is None
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
        log.close()


@pytest.fixture
def kms(endpoint, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    client = boto3.client("kms", region_name=REGION, endpoint_url=endpoint)
    yield client
    client.close()


@pytest.fixture
def open_keys(kms, endpoint, tmp_path):
    (tmp_path / "keys").mkdir()
    root = FileKeys(tmp_path / "keys", SeededIds(1))
    return lambda store=tmp_path.name: AwsKeys(root, store, region=REGION, endpoint=endpoint)


def test_a_secret_is_the_same_on_every_node_and_of_one_store_and_tenant_alone(open_keys):
    one, two = open_keys(), open_keys()
    assert drive(one.secret(17)) is None
    made = drive(one.make(17))
    assert len(made) == 32
    assert drive(two.make(17)) == drive(two.secret(17)) == made
    assert drive(two.make(18)) != made
    assert drive(open_keys("another").secret(17)) is None


def test_what_was_destroyed_never_comes_back(open_keys, kms):
    keys = open_keys()
    made = drive(keys.make(17))
    (key_id,) = {one["TargetKeyId"] for one in aliases(kms) if one["AliasName"] == keys._alias(17)}
    assert [drive(keys.destroy(17)) for _ in range(3)] == [True, False, False]
    assert drive(keys.secret(17)) is None
    state = kms.describe_key(KeyId=key_id)["KeyMetadata"]
    assert state["KeyState"] == "PendingDeletion"
    assert not state["Enabled"]
    assert drive(keys.make(17)) != made


def test_a_destruction_that_was_cut_off_is_finished_by_the_next(open_keys, kms):
    keys = open_keys()
    drive(keys.make(17))
    key_id = keys._key_id(17)
    keys._condemn(key_id)  # and then it died: the alias is still there
    assert drive(keys.destroy(17))
    assert keys._alias(17) not in [one["AliasName"] for one in aliases(kms)]


def test_of_two_who_make_a_secret_at_once_both_get_the_same_and_no_key_is_left_over(open_keys, kms, monkeypatch):
    winner, loser = open_keys(), open_keys()
    ask = loser._key_id

    def late(tenant):
        """The other is faster, just after this one has looked."""
        found = ask(tenant)
        drive(winner.make(tenant))
        return found

    before = usable(kms)
    monkeypatch.setattr(AwsKeys, "_key_id", lambda self, tenant: late(tenant) if self is loser else ask(tenant))
    assert drive(loser.make(17)) == drive(winner.secret(17))
    assert len(usable(kms) - before) == 1


def aliases(kms):
    return [one for page in kms.get_paginator("list_aliases").paginate() for one in page["Aliases"]]


def usable(kms):
    ids = [one["KeyId"] for page in kms.get_paginator("list_keys").paginate() for one in page["Keys"]]
    return {one for one in ids if kms.describe_key(KeyId=one)["KeyMetadata"]["KeyState"] == "Enabled"}


def test_a_kms_that_cannot_be_reached_is_no_absence(open_keys, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    nowhere = AwsKeys(FileKeys(tmp_path, SeededIds(1)), "s", region=REGION, endpoint="http://127.0.0.1:9")
    for call in (nowhere.secret, nowhere.make, nowhere.destroy):
        with pytest.raises(Unavailable):
            drive(call(17))


def test_a_remedy_names_the_alias_of_a_secret_and_the_file_of_the_root_key(tmp_path):
    keys = AwsKeys(FileKeys(tmp_path, SeededIds(1)), "s", region=REGION)
    assert "alias/isotherm/s/17" in keys.remedy(17)
    assert str(tmp_path / "root.key") in keys.remedy("root")
    assert keys.present("root") is None
    made = keys.key("root")
    assert keys.present("root") == made


def test_tenants_are_sealed_under_keys_of_the_kms_and_go_with_them(open_keys, tmp_path):
    keys = open_keys()
    with planted(tmp_path) as forest:
        acme = forest.make("acme").node.id
        research = forest.make("acme/research").node.id

        def vault():
            return Vault(forest.meta, open_keys(), forest.clock, SeededIds(6))

        sealed = drive(vault().to_write(research)).seal(b"12345")
        seal = drive(vault().to_read(research))
        assert seal.open(Extent(7, 64, 5, 0, True), sealed.salt, 0, sealed.payload, sealed.tags) == b"12345"
        assert not (tmp_path / "keys" / "tenants").exists()
        drive(keys.destroy(acme))
        with pytest.raises(Denied, match=f"@{acme} is gone"):
            drive(vault().to_read(research))
