"""Checks what tenants are charged against what is there, and above each of them.

What the walk over versions and uploads has counted is put into accounts by the tree, as writes do, and compared with those that
are kept. A bucket of an earlier version is counted as far as it says; a repair counts all of it, and has it say so. Used by the
thread that runs the check; memory for a few numbers of each tenant.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import replace

from isotherm.errors import IsothermError
from isotherm.meta import rules
from isotherm.meta.port import ACCOUNT_BYTES, ACCOUNTS
from isotherm.movers.fsck.erasures import being_erased
from isotherm.movers.fsck.findings import Kind
from isotherm.movers.fsck.job import Job
from isotherm.objects.layout import bucket_row
from isotherm.objects.records import encode_bucket
from isotherm.tenancy import tree_record as record
from isotherm.tenancy.roles import ROOT_TENANT
from isotherm.tenancy.tree import DEPTH_MOST
from isotherm.tenancy.usage import KINDS, accounts_of, below

_Balances = dict[bytes, int]


def check_usage(job: Job) -> None:
    """After the versions and uploads of every tenant have been walked."""
    kept = _kept(job)
    held = {tenant: dict(tally.changes()) for tenant, tally in job.tallies.items()}
    for tenant in being_erased(job):  # charged to the end for what it held
        held[tenant] = _own(kept, tenant)
    wanted = _wanted(held, _parents(job))
    for account in sorted(kept.keys() | wanted.keys()):
        counted, charged = wanted.get(account, 0), kept.get(account, 0)
        if counted != charged:
            tenant = int.from_bytes(account[len(ACCOUNTS) : -1], "big")
            said = (
                f"tenant {tenant} is charged {charged:,} in account {account[-1:].decode()}, and {counted:,} are there"
            )
            job.findings.add(Kind.USAGE_WRONG, said, repairable=True)
            job.repairs.balance(account, charged, counted)
    for (tenant, _), bucket in job.buckets.items() if job.repairs.wanted else ():
        if bucket.counted is not None:
            counted_row = encode_bucket(replace(bucket, counted=None))
            job.repairs.protect(bucket_row(tenant, bucket.name), bucket.row, counted_row)


def _kept(job: Job) -> _Balances:
    kept: _Balances = defaultdict(int)
    for key, value in job.rows(ACCOUNTS):
        try:
            if len(key) not in (ACCOUNT_BYTES, ACCOUNT_BYTES + 1):
                raise ValueError(f"a key of {len(key)} bytes")
            kept[key[:ACCOUNT_BYTES]] += rules.count_of(value)
        except (IsothermError, ValueError) as error:
            said = f"an account cannot be read: {error} (key {key.hex()})"
            job.findings.add(Kind.USAGE_WRONG, said, repairable=True)
            job.repairs.protect(key, value, None)
    return kept


def _parents(job: Job) -> dict[int, int]:
    parents = {}
    for row, stored in job.rows(*record.node_range()):
        try:
            parents[int.from_bytes(row[-4:], "big")] = record.unpack(stored).parent
        except IsothermError:  # which the check of the tree tells
            continue
    return parents


def _own(kept: Mapping[bytes, int], tenant: int) -> dict[bytes, int]:
    """What a tenant is charged for itself, by kind."""
    account = accounts_of(tenant)
    return {kind: kept.get(account + kind, 0) - kept.get(account + below(kind), 0) for kind in KINDS}


def _wanted(held: Mapping[int, Mapping[bytes, int]], parents: Mapping[int, int]) -> _Balances:
    wanted: _Balances = defaultdict(int)
    for tenant, counts in held.items():
        for kind, count in counts.items():
            wanted[accounts_of(tenant) + kind] += count
            for above in _above(tenant, parents):
                wanted[accounts_of(above) + kind] += count
                wanted[accounts_of(above) + below(kind)] += count
    return wanted


def _above(tenant: int, parents: Mapping[int, int]) -> Iterator[int]:
    at = tenant
    for _ in range(DEPTH_MOST + 1):
        at = parents.get(at, 0) if at != ROOT_TENANT else 0
        if not at:
            return
        yield at
