"""Checks the audit log: every chain is whole, its index is exactly its records, and what is not chained yet can be read.

A broken chain stays as it is: nothing could mend it and be believed. The index is derived from the records and put back. Used by
the thread that runs the check.
"""

from __future__ import annotations

from isotherm.devices.waiting import drive
from isotherm.errors import Corrupt, IsothermError, Unsupported
from isotherm.meta.port import NO_STAMP, Engine
from isotherm.movers.fsck.findings import Kind
from isotherm.movers.fsck.job import Job, Row
from isotherm.tenancy.audit import rows
from isotherm.tenancy.audit.chain import Checking
from isotherm.tenancy.audit.record import FEED, read, unpack
from isotherm.tenancy.audit.verify import add_link, end_with_head

_PAGE = 1_000


def check_audit(job: Job, current: Engine) -> None:
    """Chains, index, and the feed's tail, which is read from `current`: a copy has no feed."""
    for tenant in drive(rows.chained_tenants(job.meta)):
        checking = Checking(tenant)
        for row in job.rows(*rows.links_of(tenant)):
            add_link(checking, *row)
            _check_indexed(job, row)
            job.objects.audit_records += 1
        drive(end_with_head(checking, job.meta))
        for one in checking.breaks:
            job.findings.add(Kind.AUDIT_BROKEN, f"the audit log of tenant {tenant} is broken: {one}")
    for row in job.rows(rows.INDEX):
        if not _leads_to_its_record(job, row):
            said = f"a row of the audit log's index leads to no record of its own (key {row[0].hex()})"
            job.findings.add(Kind.AUDIT_INDEX_WRONG, said, repairable=True)
            job.repairs.drop(*row)
    _check_tail(job, current)


def _check_indexed(job: Job, row: Row) -> None:
    try:
        tenant, sequence = rows.place_of(row[0])
        link = rows.unpack_link(row[1])
    except (Corrupt, Unsupported):  # a break of its chain, told there
        return
    record = read(link.record)
    wanted = rows.Entry(tenant, sequence, record.time_ms).pack()
    for node in record.above:
        key = rows.index_row(node, link.stamp)
        found = job.get(key)
        if found != wanted:
            said = f"record {sequence} of the audit log of tenant {tenant} is not seen from tenant {node}"
            job.findings.add(Kind.AUDIT_INDEX_WRONG, said, repairable=True)
            job.repairs.protect(key, found, wanted)


def _leads_to_its_record(job: Job, row: Row) -> bool:
    try:
        node, stamp = rows.node_and_stamp(row[0])
        entry = rows.unpack_entry(row[1])
        stored = job.get(rows.link_row(entry.tenant, entry.sequence))
        link = rows.unpack_link(stored) if stored is not None else None
    except (Corrupt, Unsupported):
        return False
    return link is not None and link.stamp == stamp and node in read(link.record).above


def _check_tail(job: Job, current: Engine) -> None:
    after = job.get(rows.CURSOR) or NO_STAMP
    while records := drive(current.feed_records(FEED, after, _PAGE)):
        for after, value in records:
            if after > job.newest:
                return
            try:
                unpack(value)
            except IsothermError as error:
                job.findings.add(Kind.FEED_DAMAGED, f"record {after.hex()} of the feed of the audit log: {error}")
