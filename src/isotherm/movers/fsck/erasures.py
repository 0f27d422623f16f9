"""Checks tenants that are being erased, and the certificates of those that have been.

The rows of a tenant that is being erased contradict each other until they are gone: versions without their bucket, manifests
that nothing uses. They are walked as any others, since what they refer to lives until they go, but nothing is said of them, and
nothing mended: the erasure will remove them. Used by the thread that runs the check.
"""

from __future__ import annotations

from dataclasses import replace

from isotherm.errors import IsothermError
from isotherm.movers.fsck.findings import Findings, Kind
from isotherm.movers.fsck.job import Job
from isotherm.movers.fsck.repairs import Repairs
from isotherm.tenancy import tree_record
from isotherm.tenancy.erasure import record
from isotherm.tenancy.roles import ROOT_TENANT
from isotherm.tenancy.tree import DEPTH_MOST, REALM, Node, TenantState, path_of


def being_erased(job: Job) -> frozenset[int]:
    """The tenants that have a row of an erasure, readable or not."""
    return frozenset(
        int.from_bytes(row[len(record.ERASURES) :], "big") for row, _ in job.rows(*record.table_range(record.ERASURES))
    )


def hushed(job: Job) -> Job:
    """The same job, of which nobody hears what it finds."""
    return replace(job, findings=Findings(), repairs=Repairs(None))


def check_erasures(job: Job) -> None:
    """Each erasure and each certificate can be read and is of a tenant in that state, and each tenant in it has its row."""
    nodes = _nodes(job)
    wanted = {id_ for id_, node in nodes.items() if node.state is TenantState.ERASING}
    for row, stored in job.rows(*record.table_range(record.ERASURES)):
        tenant = int.from_bytes(row[len(record.ERASURES) :], "big")
        try:
            if record.unpack_erasure(stored).tenant != tenant or tenant not in wanted:
                raise ValueError("it is of no tenant that is being erased")
        except (IsothermError, ValueError) as error:
            job.findings.add(Kind.ERASURE_DAMAGED, f"the erasure of tenant {tenant}: {error}")
        wanted.discard(tenant)
    for row, stored in job.rows(*record.table_range(record.CERTIFICATES)):
        tenant = int.from_bytes(row[len(record.CERTIFICATES) :], "big")
        try:
            state = nodes[tenant].state if tenant in nodes else None
            if record.unpack_issued(stored).tenant != tenant or state is not TenantState.ERASED:
                raise ValueError("it is of no tenant that has been erased")
        except (IsothermError, ValueError) as error:
            job.findings.add(Kind.ERASURE_DAMAGED, f"the certificate of tenant {tenant}: {error}")
    for tenant in sorted(wanted):
        _restore(job, nodes, tenant)


def _nodes(job: Job) -> dict[int, Node]:
    """Those that can be read; `check_tenants` tells of the others."""
    nodes = {ROOT_TENANT: REALM}
    for _, stored in job.rows(*tree_record.node_range()):
        try:
            node = tree_record.unpack(stored)
        except IsothermError:
            continue
        nodes[node.id] = node
    return nodes


def _restore(job: Job, nodes: dict[int, Node], tenant: int) -> None:
    """A node that would be being erased for ever: its row is made again, with what the tree knows."""
    said = f"tenant {tenant} is being erased, and no row of an erasure says so: it would never end"
    job.findings.add(Kind.ERASURE_LOST, said, repairable=True)
    chain = [nodes[tenant]]
    while (parent := nodes.get(chain[0].parent)) is not None and len(chain) <= DEPTH_MOST:
        chain.insert(0, parent)
    above = tuple(node.id for node in chain[:-1])
    lost = record.Erasure(tenant=tenant, path=path_of(chain), above=above, began_ms=0)
    job.repairs.protect(record.erasure_row(tenant), None, record.pack(lost))
