"""The format of credential records: a record of every version is read for ever (docs/formats/identity.md)."""

from dataclasses import replace

import pytest

from isotherm.errors import Corrupt, Unsupported
from isotherm.tenancy import credential_record as record
from isotherm.tenancy.roles import ALL_ROLES, Role

ROOT_KEY = bytes(range(32))
OLD = bytes.fromhex(
    "0100000000010000018bcfe568000000000000000000953dbe50ec5c24386465666768696a6b6c6d6e6f0038001d3b68ad15"
    "0a9a25ed4d112c9ba916198e31b17579f81f8001d4a2df3b88d0d63be79a33b33f61e877c7141ccb3854b1632bfd19d802de"
    "e1d8726f6f742c206d61646520627920746865206669727374207374617274"
)
SECOND = bytes.fromhex(
    "020005000000110000018bcfe568000000000000000000953dbe50ec5c24386162636465666768696a6b6c003800078c4404"
    "2c729085c763a26ac7c57e387faa99f4830993335f841c3bc7e3e67a053c94336dc003cb85c4289218b1d6280c9638d0204d"
    "22d0696e696768746c79"
)


def test_a_record_of_version_1_is_read():
    row = record.unpack(OLD)
    assert (row.state, row.tenant, row.created_ms, row.ends_ms) == (record.ACTIVE, 1, 1_700_000_000_000, 0)
    assert row.description == "root, made by the first start"
    assert record.unseal(ROOT_KEY, row, "ISOTABCDEFGHIJKLMNOP") == "s" * 40
    assert row.pack() == OLD
    assert row.roles == {Role.DATA}


def test_a_record_of_version_2_is_read():
    row = record.unpack(SECOND)
    assert (row.version, row.state, row.tenant, row.created_ms) == (2, record.ACTIVE, 17, 1_700_000_000_000)
    assert row.roles == {Role.DATA, Role.AUDITOR}
    assert row.description == "nightly"
    assert record.unseal(ROOT_KEY, row, "ISOTABCDEFGHIJKLMNOP") == "s" * 40
    assert row.pack() == SECOND


def test_roles_that_were_changed_outside_of_the_program_open_nothing():
    for row in (replace(record.unpack(SECOND), roles=ALL_ROLES), replace(record.unpack(SECOND), tenant=1)):
        with pytest.raises(Corrupt):
            record.unseal(ROOT_KEY, record.unpack(row.pack()), "ISOTABCDEFGHIJKLMNOP")


def test_a_record_does_not_pass_for_one_of_the_other_version():
    old = record.unpack(OLD)
    raised = replace(old, version=record.VERSION, roles=ALL_ROLES)
    with pytest.raises(Corrupt):
        record.unseal(ROOT_KEY, record.unpack(raised.pack()), "ISOTABCDEFGHIJKLMNOP")


@pytest.mark.parametrize("roles", [0, 8, 255])
def test_roles_that_mean_nothing_are_damage(roles):
    with pytest.raises(Corrupt):
        record.unpack(SECOND[:2] + bytes((roles,)) + SECOND[3:])


def test_a_version_yet_to_come_is_told_as_such():
    with pytest.raises(Unsupported):
        record.unpack(b"\x03" + SECOND[1:])
