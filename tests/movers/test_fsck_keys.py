"""The check of tenants' keys: what is sealed and cannot be opened any more is said, and nothing else needs a key."""

import pytest

from isotherm.devices.waiting import drive
from isotherm.tenancy import vault_record
from isotherm.tenancy.roles import OWNER
from isotherm.tenancy.tenants import Tenants
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


def test_sealed_bytes_are_whole_without_a_key_being_opened(path, tmp_path):
    def do(engines):
        seal_something(engines)
        (path / "keys" / "tenants" / "3.key").write_bytes(bytes(32))  # which opens nothing

    assert found(path, tmp_path, do) == []


def test_a_destroyed_secret_is_told_once_with_whom_it_concerns(path, tmp_path):
    def do(engines):
        seal_something(engines)
        space = engines.space(2)
        drive(space.create_bucket("above"))
        drive(space.put("above", "a", b"x"))
        drive(engines.keys.destroy(2))

    (one,) = found(path, tmp_path, do)
    assert one == (
        "tenant-key-missing",
        "what tenant 2 has sealed cannot be read: the secret of tenant 2 is not in the key store",
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
