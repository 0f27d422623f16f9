"""Ways to damage grants, as those of `damages.py`: done to some that are made for it."""

from __future__ import annotations

from msgspec.structs import replace

from isotherm.devices.waiting import drive
from isotherm.objects.buckets import NAMED
from isotherm.tenancy import grant_record as record
from isotherm.tenancy.grants import Grants, Wanted
from isotherm.tenancy.roles import OWNER
from isotherm.tenancy.tenants import Tenants
from isotherm.tenancy.terms import Terms
from tests.movers.stores import change

ACME = 2


def plant(engines):
    """Three grants of the root's bucket `plain` to acme, two of which are mounted."""
    tenants = Tenants(engines.meta, engines.clock, engines.vault)
    drive(tenants.create(OWNER, "acme", {}, Terms()))
    grants = Grants(engines.meta, engines.clock, NAMED)
    return [
        drive(grants.create(OWNER, "/", name, Wanted("plain", "acme", alias=alias)))[0]
        for name, alias in (("g", "theirs"), ("h", "others"), ("i", ""))
    ]


def grant_damaged(engines, path):
    plant(engines)
    change(
        engines,
        {record.grant_row(1, "i"): b"\x01{", record.GRANTS + b"\xff": b"", record.grant_row(1, "") + b"\xff": b"\x01"},
    )


def grant_dangling(engines, path):
    gone, mounted, _ = (replace(grant, bucket=7) for grant in plant(engines))
    rows = {record.grant_row(1, grant.name): record.pack(grant) for grant in (gone, mounted)}
    rows[record.mount_row(ACME, "theirs")] = record.pack(gone)
    change(engines, rows)


def grant_rows_wrong(engines, path):
    plant(engines)
    grants = Grants(engines.meta, engines.clock, NAMED)
    drive(grants.create(OWNER, "/", "j", Wanted("plain", "acme", alias="mounted")))
    drive(engines.space(ACME).create_bucket("shadowed"))
    stored = drive(engines.meta.get(record.grant_row(1, "i")))
    shadowed = record.pack(replace(record.unpack(stored), alias="shadowed"))
    change(
        engines,
        {
            record.grant_row(1, "j"): b"\x01{",
            record.received_row(ACME, 1, "g"): None,
            record.received_row(ACME, 1, "nothing"): b"",
            record.received_row(ACME, 1, "") + b"\xff": b"",
            record.RECEIVED + b"\0": b"",
            record.MOUNTS + b"\0": b"",
            record.mount_row(ACME, "theirs"): b"\x01{",
            record.mount_row(ACME, "others"): None,
            record.mount_row(ACME, "stray"): shadowed,
            record.mount_row(ACME, "shadowed"): shadowed,
            record.grant_row(1, "i"): shadowed,
        },
    )


MENDED = {"grant-dangling": grant_dangling, "grant-rows-wrong": grant_rows_wrong}
UNMENDED = {"grant-damaged": grant_damaged}
