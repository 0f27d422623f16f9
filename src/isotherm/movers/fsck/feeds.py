"""Checks what belongs to no object: the change feed, credentials, and tables that this program does not know."""

from __future__ import annotations

from isotherm.devices.waiting import drive
from isotherm.errors import IsothermError
from isotherm.meta.port import NO_STAMP, Engine
from isotherm.movers.fsck.findings import Kind
from isotherm.movers.fsck.job import Job
from isotherm.objects.events import decode_event
from isotherm.objects.layout import FEED, TABLES
from isotherm.tenancy import credential_record, grant_record, tree_record, vault_record
from isotherm.tenancy.audit import rows
from isotherm.tenancy.erasure import record as erasures

SYSTEM_TENANT = 0
_SYSTEM_TABLES = {
    *(bytes((letter,)) for letter in b"SLREHIAVDPTUcG"),
    credential_record.TABLE,
    *tree_record.TABLES,
    *grant_record.TABLES,
    vault_record.TABLE,
    *rows.TABLES,
    *erasures.TABLES,
}
_PAGE = 5_000


def check_feed(job: Job, current: Engine) -> None:
    """Every record up to the newest commit can be read. Those of earlier epochs are read as well, which no cursor reaches.

    Args:
        current: the store's own metadata: a copy has no feed.
    """
    after = NO_STAMP
    while records := drive(current.feed_records(FEED, after, _PAGE)):
        for after, value in records:
            if after > job.newest:
                return
            job.objects.feed_records += 1
            try:
                decode_event(value)
            except ValueError as error:
                job.findings.add(Kind.FEED_DAMAGED, f"record {after.hex()} of the feed cannot be read: {error}")
        job.progress("feed", job.objects.feed_records, None)


def check_credentials(job: Job) -> None:
    """Every row can be read; whether its secret opens depends on the root key, which is not the store's."""
    for row, value in job.rows(*credential_record.row_range()):
        job.objects.credentials += 1
        try:
            credential_record.unpack(value)
        except IsothermError as error:
            said = f"credential {row[5:].decode('utf-8', 'replace')}: {error}"
            job.findings.add(Kind.CREDENTIAL_DAMAGED, said)


def check_tables(job: Job) -> list[int]:
    """The tenants there are; tables nobody knows are noted."""
    tenants: list[int] = []
    for tenant, letter in job.tables():
        if tenant != SYSTEM_TENANT and tenant not in tenants:
            tenants.append(tenant)
        if letter not in (_SYSTEM_TABLES if tenant == SYSTEM_TENANT else TABLES):
            said = f"tenant {tenant} has rows in a table {letter!r}, which this program does not know"
            job.findings.add(Kind.ROW_UNKNOWN, said)
    return tenants
