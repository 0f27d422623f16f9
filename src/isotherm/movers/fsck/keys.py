"""Checks the keys of tenants: each hangs on its parent's, and where something has been sealed the secrets are there.

Nothing is opened: whether a secret fits is found out by whoever reads. Without a key store (a store that is being restored)
only rows are compared. Used by the thread that runs the check.
"""

from __future__ import annotations

from isotherm.devices.waiting import drive
from isotherm.errors import IsothermError
from isotherm.movers.fsck.findings import Kind
from isotherm.movers.fsck.job import Job
from isotherm.tenancy import tree_record, vault_record
from isotherm.tenancy.keystore import KeyStore
from isotherm.tenancy.roles import ROOT_TENANT
from isotherm.tenancy.tree import DEPTH_MOST, TenantState


def check_keys(job: Job, keys: KeyStore | None) -> None:
    """The rows of table `Z`, and the secrets of those whose extents are sealed. After the versions and manifests were read."""
    parents = _read(job)
    for tenant, parent in parents.items():
        expected, erased = _place(job, tenant)
        if expected not in (parent, None) and not erased:
            said = f"the key of tenant {tenant} hangs on that of {parent}, and its parent is {expected}"
            job.findings.add(Kind.TENANT_KEY_WRONG, said)
    told: set[int] = set()
    for tenant in sorted(job.sealing):
        at = tenant
        for _ in range(DEPTH_MOST + 1):
            if at == ROOT_TENANT or at in told or _place(job, at)[1]:
                break
            wrong = _wrong(at, parents, keys)
            if wrong:
                told.add(at)
                said = f"what tenant {tenant} has sealed cannot be read: {wrong}"
                job.findings.add(Kind.TENANT_KEY_MISSING, said)
                break
            at = parents[at]


def _read(job: Job) -> dict[int, int]:
    """Tenant → the one on whose key its own hangs."""
    parents = {}
    for row, stored in job.rows(*vault_record.key_rows()):
        try:
            parents[vault_record.tenant_of(row)] = vault_record.unpack(stored).parent
        except IsothermError as error:
            job.findings.add(Kind.TENANT_KEY_WRONG, f"the key of a tenant cannot be read: {error} (key {row.hex()})")
    return parents


def _place(job: Job, tenant: int) -> tuple[int | None, bool]:
    """The parent of a tenant, and whether it has been erased, which was meant to end its keys. None where its node cannot be read,
    as is told elsewhere. One that the tree does not know hangs on the root."""
    stored = job.get(tree_record.node_row(tenant))
    if stored is None:
        return ROOT_TENANT, False
    try:
        node = tree_record.unpack(stored)
    except IsothermError:
        return None, False
    return node.parent, node.state in (TenantState.ERASING, TenantState.ERASED)


def _wrong(tenant: int, parents: dict[int, int], keys: KeyStore | None) -> str:
    """What keeps a tenant's key from being opened; nothing where all is there."""
    if tenant not in parents:
        return f"the key of tenant {tenant} is gone from the metadata"
    if keys is None:
        return ""
    try:
        secret = drive(keys.secret(tenant))
    except IsothermError as error:
        return str(error)
    return "" if secret is not None else f"the secret of tenant {tenant} is not in the key store"
