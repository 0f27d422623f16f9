"""The check of tenants' keys: what is sealed and cannot be opened any more is said, and nothing else needs a key."""

import shutil

import pytest
from msgspec.structs import replace

from isotherm.devices.waiting import drive
from isotherm.tenancy import tree_record, vault_record
from isotherm.tenancy.erasure import record
from isotherm.tenancy.roles import OWNER
from isotherm.tenancy.tenants import Tenants
from isotherm.tenancy.tree import TenantState
from tests.movers.stores import change, checked_at, opened
from tests.movers.tenant_damages import plant, seal_something


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data"


def found(path, tmp_path, do):
    engines = opened(path)
    try:
        do(engines)
    finally:
        engines.close()
    return [(one.kind.value, one.text) for one in checked_at(path, tmp_path).findings]


def seal_above(engines):
    """As `seal_something`, and by tenant 2 as well."""
    seal_something(engines)
    space = engines.space(2)
    drive(space.create_bucket("above"))
    drive(space.put("above", "a", b"x"))


def test_keys_that_open_are_no_finding(path, tmp_path):
    assert found(path, tmp_path, seal_above) == []


def test_a_secret_that_opens_nothing_is_told_with_what_to_do(path, tmp_path):
    secret = path / "keys" / "tenants" / "3.key"

    def do(engines):
        seal_above(engines)
        secret.write_bytes(bytes(32))

    (one,) = found(path, tmp_path, do)
    assert one == (
        "tenant-key-wrong",
        "what tenant acme/lab (@3) has sealed cannot be read: the secret of tenant acme/lab (@3) does not open its key: it is "
        f"another one, or the key's row was changed. To mend it, copy {secret} back from your copy of keys/tenants/",
    )


def test_a_secret_that_opens_nothing_is_told_once_for_all_below(path, tmp_path):
    def do(engines):
        seal_above(engines)
        (path / "keys" / "tenants" / "2.key").write_bytes(bytes(32))

    (one,) = found(path, tmp_path, do)
    assert one[0] == "tenant-key-wrong"
    assert "the secret of tenant acme (@2) does not open its key: it is another one, or the root key is." in one[1]


def test_another_root_key_is_told_as_such(path, tmp_path):
    def do(engines):
        seal_above(engines)
        (path / "keys" / "root.key").write_bytes(bytes(32))

    (one,) = found(path, tmp_path, do)
    assert one[0] == "tenant-key-wrong"
    assert "The root key is another one, it seems: access keys of this store that another one sealed: 1." in one[1]
    assert f"copy {path / 'keys' / 'root.key'} back from your copy of keys/" in one[1]


def test_a_root_key_that_is_gone_is_told_and_not_made(path, tmp_path):
    def do(engines):
        seal_above(engines)
        (path / "keys" / "root.key").unlink()

    (one,) = found(path, tmp_path, do)
    assert one[0] == "tenant-key-missing"
    assert "the root key is not there" in one[1]
    assert not (path / "keys" / "root.key").exists()


def test_rows_that_lead_in_a_circle_are_told(path, tmp_path):
    def do(engines):
        seal_above(engines)
        stored = drive(engines.meta.get(vault_record.key_row(2)))
        row = replace(vault_record.unpack(stored), parent=3)
        change(engines, {vault_record.key_row(2): vault_record.pack(row)})

    assert {kind for kind, _ in found(path, tmp_path, do)} == {"tenant-key-wrong"}


def test_a_destroyed_secret_is_told_once_with_whom_it_concerns(path, tmp_path):
    def do(engines):
        seal_above(engines)
        drive(engines.keys.destroy(2))

    (one,) = found(path, tmp_path, do)
    assert one == (
        "tenant-key-missing",
        "what tenant acme (@2) has sealed cannot be read: the secret of tenant acme (@2) is not in the key store. To mend it, "
        f"copy {path / 'keys' / 'tenants' / '2.key'} back from your copy of keys/tenants/",
    )


def test_a_key_row_that_is_gone_is_told(path, tmp_path):
    def do(engines):
        seal_something(engines)
        change(engines, {vault_record.key_row(3): None})

    (one,) = found(path, tmp_path, do)
    assert one[0] == "tenant-key-missing"
    assert "gone from the metadata" in one[1]


def test_secrets_of_tenants_that_sealed_nothing_are_not_missed(path, tmp_path):
    def do(engines):
        plant(engines)
        drive(engines.vault.make(3))
        drive(engines.keys.destroy(2))
        drive(engines.keys.destroy(3))

    assert found(path, tmp_path, do) == []


def test_a_moved_tenant_is_as_it_should_be(path, tmp_path):
    def do(engines):
        seal_something(engines)
        drive(Tenants(engines.meta, engines.clock, engines.vault).move(OWNER, "acme/lab", "lab"))

    assert found(path, tmp_path, do) == []


def test_a_key_store_that_cannot_be_read_is_told_with_its_reason(path, tmp_path):
    def do(engines):
        seal_something(engines)
        (path / "keys" / "tenants" / "3.key").chmod(0o644)

    (one,) = found(path, tmp_path, do)
    assert one[0] == "tenant-key-missing"
    assert "chmod 600" in one[1]


def test_a_key_store_that_cannot_be_reached_is_told_once_and_asked_no_further(path, tmp_path):
    def do(engines):
        seal_above(engines)
        shutil.rmtree(path / "keys" / "tenants")
        (path / "keys" / "tenants").write_bytes(b"a file where a directory should be")

    (one,) = found(path, tmp_path, do)
    assert one[0] == "tenant-key-missing"
    assert "can be read is not known, nor of those after it: " in one[1]


def test_keys_of_a_tenant_that_is_being_erased_are_not_missed(path, tmp_path):
    def do(engines):
        seal_above(engines)
        stored = drive(engines.meta.get(tree_record.node_row(2)))
        acme = replace(tree_record.unpack(stored), state=TenantState.ERASING)
        erasure = record.Erasure(tenant=2, path="acme", above=(1,), began_ms=0)
        change(engines, {tree_record.node_row(2): tree_record.pack(acme), record.erasure_row(2): record.pack(erasure)})
        drive(engines.keys.destroy(2))

    assert found(path, tmp_path, do) == []
