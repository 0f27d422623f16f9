"""Checks grants: their buckets, the index of those that each tenant was given, and mounts, which are derived from them.

A grant says all that its other rows say, so that these can be put back. One that cannot be read is put back from its mount, which
says the same; without one it stays, and so does what claims to belong to it. One whose bucket is gone leads nowhere and is dropped. Where an alias is a bucket's name as well, or another grant's, the
bucket, or the other grant, keeps it. After the tables of tenants have been read, whose buckets are then known; all grants
are held in memory.
"""

from __future__ import annotations

from contextlib import suppress

from msgspec.structs import replace

from isotherm.errors import IsothermError
from isotherm.movers.fsck.findings import Kind
from isotherm.movers.fsck.job import Job
from isotherm.tenancy import grant_record as record
from isotherm.tenancy.grant_record import Grant


def check_grants(job: Job) -> None:
    """The rows of grants, in the system tenant."""
    names = {(tenant, bucket.name) for (tenant, _), bucket in job.buckets.items()}
    wanted: dict[bytes, bytes] = {}
    unread: set[tuple[int, str]] = set()
    gone: set[bytes] = set()
    found = {**dict(job.rows(record.RECEIVED)), **dict(job.rows(record.MOUNTS))}
    claims = _claims(found)
    for row, stored in job.rows(record.GRANTS):
        grant = _read(job, row, stored, claims)
        if grant is None:
            with suppress(IsothermError):  # what has no name, nothing belongs to
                unread.add(record.giver_and_name(record.RECEIVED + bytes(4) + row[len(record.GRANTS) :]))
        elif _led_astray(job, grant):
            said = f"grant {grant.name} of tenant {grant.owner}: its bucket {grant.bucket_name} is gone"
            job.findings.add(Kind.GRANT_DANGLING, said, repairable=True)
            job.repairs.drop(row, stored)
            gone |= {record.received_row(grant.to, grant.owner, grant.name), record.mount_row(grant.to, grant.alias)}
        else:
            mount = record.mount_row(grant.to, grant.alias)
            if grant.alias and (mount in wanted or (grant.to, grant.alias) in names):
                said = f"grant {grant.name} of tenant {grant.owner}: {grant.alias} is something else's name there, too"
                job.findings.add(Kind.GRANT_ROWS_WRONG, said, repairable=True)
                grant = replace(grant, alias="")
                job.repairs.protect(row, stored, record.pack(grant))
            wanted[record.received_row(grant.to, grant.owner, grant.name)] = b""
            if grant.alias:
                wanted[mount] = record.pack(grant)
    for row in sorted((gone & found.keys()) - wanted.keys()):
        job.repairs.drop(row, found.pop(row))
    _compare(job, wanted, found, unread)


def _claims(found: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """The rows of grants, as readable mounts say that they are."""
    claims = {}
    for row, stored in found.items():
        if row.startswith(record.MOUNTS):
            with suppress(IsothermError):
                grant = record.unpack(stored)
                if row == record.mount_row(grant.to, grant.alias):
                    claims[record.grant_row(grant.owner, grant.name)] = stored
    return claims


def _read(job: Job, row: bytes, stored: bytes, claims: dict[bytes, bytes]) -> Grant | None:
    try:
        grant = record.unpack(stored)
        if record.grant_row(grant.owner, grant.name) != row:
            raise ValueError(f"it says of itself that it is {grant.name} of tenant {grant.owner}")
    except (IsothermError, ValueError) as error:
        if row not in claims:
            job.findings.add(Kind.GRANT_DAMAGED, f"the grant at {row.hex()}: {error}")
            return None
        job.findings.add(Kind.GRANT_ROWS_WRONG, f"the grant at {row.hex()}, which is mounted: {error}", repairable=True)
        job.repairs.protect(row, stored, claims[row])
        return record.unpack(claims[row])
    return grant


def _led_astray(job: Job, grant: Grant) -> bool:
    bucket = job.buckets.get((grant.owner, grant.bucket))
    return bucket is None or bucket.name != grant.bucket_name


def _compare(job: Job, wanted: dict[bytes, bytes], found: dict[bytes, bytes], unread: set[tuple[int, str]]) -> None:
    """Rows that are derived, with what they should be."""
    for row in sorted(wanted.keys() | found.keys()):
        if wanted.get(row) == found.get(row) or (row not in wanted and _belongs(row, found[row], unread)):
            continue
        job.findings.add(Kind.GRANT_ROWS_WRONG, f"the row {row.hex()} is not what a grant says", repairable=True)
        if row in wanted:
            job.repairs.protect(row, found.get(row), wanted[row])
        else:
            job.repairs.drop(row, found[row])


def _belongs(row: bytes, stored: bytes, unread: set[tuple[int, str]]) -> bool:
    """Whether a row claims to be of a grant that cannot be read."""
    try:
        if row.startswith(record.RECEIVED):
            return record.giver_and_name(row) in unread
        grant = record.unpack(stored)
    except (IsothermError, ValueError):
        return False
    return (grant.owner, grant.name) in unread
