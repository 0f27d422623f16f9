"""Ways to damage the audit log, as those of `damages.py`: done to one that is made for it."""

from __future__ import annotations

from isotherm.devices.waiting import drive
from isotherm.movers.audit import follow
from isotherm.tenancy.audit import rows
from isotherm.tenancy.audit.recorder import Recorder
from isotherm.tenancy.roles import OWNER
from isotherm.tenancy.tenants import Tenants
from isotherm.tenancy.terms import Terms
from tests.movers.stores import change


def plant(engines):
    tenants = Tenants(engines.meta, engines.clock, engines.vault)
    recorder = Recorder(engines.meta, engines.clock, engines.ids)
    for path in ("acme", "acme/lab", "beta"):
        drive(tenants.create(OWNER, path, {}, Terms(), recorder.begin("tenant.create", OWNER)))
    assert drive(follow(engines.meta, engines.clock)).chained == 3


def audit_broken(engines, path):
    plant(engines)
    row = rows.link_row(2, 1)
    stored = drive(engines.meta.get(row))
    change(engines, {row: stored.replace(b"acme", b"acne"), rows.link_row(4, 1): None})


def audit_index_wrong(engines, path):
    plant(engines)
    (_, (gone, _)) = drive(engines.meta.range(*rows.index_of(1), 2))
    stray = rows.index_row(4, drive(engines.meta.get(rows.CURSOR))[:15] + b"\x99")
    change(engines, {gone: None, stray: rows.Entry(2, 1, 0).pack()})


MENDED = {"audit-index-wrong": audit_index_wrong}
UNMENDED = {"audit-broken": audit_broken}
