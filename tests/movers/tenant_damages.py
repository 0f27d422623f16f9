"""Ways to damage the tree of tenants, as those of `damages.py`: done to a tree that is made for it."""

from __future__ import annotations

from msgspec.structs import replace

from isotherm.devices.waiting import drive
from isotherm.tenancy import tree_record, vault_record
from isotherm.tenancy.erasure import record
from isotherm.tenancy.register import Register
from isotherm.tenancy.roles import OWNER
from isotherm.tenancy.tenants import Tenants
from isotherm.tenancy.terms import Terms
from isotherm.tenancy.tree import TenantState
from isotherm.tenancy.usage import BYTES, HELD, OLDER, accounts_of
from tests.movers.stores import change


def plant(engines):
    tenants = Tenants(engines.meta, engines.clock, engines.vault)
    for path in ("acme", "acme/lab"):
        drive(tenants.create(OWNER, path, {}, Terms(capacity_bytes=5)))
    register = Register(engines.meta, engines.keys, engines.clock, engines.ids)
    return drive(register.create(tenant=tenants.place(OWNER, "acme")))


def credential_index_wrong(engines, path):
    pair = plant(engines)
    rows = {tree_record.credential_of(2, pair.access_key): None, tree_record.credential_of(3, "ISOTNOBODY"): b""}
    change(engines, rows)


def tenant_damaged(engines, path):
    plant(engines)
    change(engines, {tree_record.node_row(9): b"\x01{"})


def tenant_name_wrong(engines, path):
    plant(engines)
    lost, stray, astray = (tree_record.child_row(*place) for place in ((1, "acme"), (1, "stray"), (2, "lab")))
    change(engines, {lost: None, stray: tree_record.pack_id(3), astray: b"x"})


def tenant_promises_wrong(engines, path):
    plant(engines)
    acme = tree_record.unpack(drive(engines.meta.get(tree_record.node_row(2))))
    change(engines, {tree_record.node_row(2): tree_record.pack(replace(acme, promised={"iops_reservation": 1}))})


def tenant_ids_behind(engines, path):
    plant(engines)
    change(engines, {tree_record.LAST_ID: tree_record.pack_id(2)})


def erasure_lost(engines, path):
    plant(engines)
    acme = tree_record.unpack(drive(engines.meta.get(tree_record.node_row(2))))
    change(engines, {tree_record.node_row(2): tree_record.pack(replace(acme, state=TenantState.ERASING))})


def erasure_damaged(engines, path):
    plant(engines)
    change(engines, {record.certificate_row(2): b"\x01{", record.erasure_row(9): b"\x09"})


def usage_wrong(engines, path):
    """One account says too much, one too little, one is no counter, and one is of nobody."""
    plant(engines)
    prefix = accounts_of(1)
    change(engines, {prefix + BYTES: (5).to_bytes(8, "little"), prefix + HELD: None, prefix + OLDER: b"none"})
    change(engines, {accounts_of(77) + BYTES: (5).to_bytes(8, "little")})


def seal_something(engines):
    """By tenant 3, below 2."""
    plant(engines)
    space = engines.space(3)
    drive(space.create_bucket("sealed"))
    drive(space.put("sealed", "a", b"mine"))


def tenant_key_missing(engines, path):
    seal_something(engines)
    drive(engines.keys.destroy(2))


def tenant_key_wrong(engines, path):
    seal_something(engines)
    wrapped = vault_record.unpack(drive(engines.meta.get(vault_record.key_row(3))))
    change(engines, {vault_record.key_row(3): vault_record.pack(replace(wrapped, parent=1))})


MENDED = {
    "erasure-lost": erasure_lost,
    "usage-wrong": usage_wrong,
    "credential-index-wrong": credential_index_wrong,
    "tenant-name-wrong": tenant_name_wrong,
    "tenant-promises-wrong": tenant_promises_wrong,
    "tenant-ids-behind": tenant_ids_behind,
}
UNMENDED = {
    "tenant-damaged": tenant_damaged,
    "erasure-damaged": erasure_damaged,
    "tenant-key-missing": tenant_key_missing,
    "tenant-key-wrong": tenant_key_wrong,
}
