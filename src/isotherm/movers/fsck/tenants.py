"""Checks the tree of tenants: nodes, the names that lead to them, sums of promises, the last id, and the index of credentials.

Which tenants there are is told by the nodes alone: names, sums and the index are derived from them and from the credentials, and
can be put back. A node that cannot be read, or whose parents do not lead to the root, cannot. Used by the thread that runs
the check; all nodes are held in memory.
"""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from isotherm.errors import IsothermError
from isotherm.movers.fsck.findings import Kind
from isotherm.movers.fsck.job import Job
from isotherm.tenancy import credential_record
from isotherm.tenancy import tree_record as record
from isotherm.tenancy.promises import PROMISES, claim
from isotherm.tenancy.roles import ROOT_TENANT
from isotherm.tenancy.tree import DEPTH_MOST, REALM, Node, TenantState

_Nodes = dict[int, tuple[bytes | None, Node]]


def check_tenants(job: Job) -> None:
    """The rows of the tree, in the system tenant."""
    nodes = _read(job)
    whole = {id_: depth for id_ in nodes if (depth := _depth(nodes, id_)) is not None}
    for id_ in nodes.keys() - whole.keys():
        said = f"tenant {id_}: its parents do not lead to the root"
        job.findings.add(Kind.TENANT_DAMAGED, said)
    _check_names(job, {id_: nodes[id_][1] for id_ in whole})
    _check_sums(job, nodes, whole)
    _check_last_id(job, nodes)
    _check_index(job)


def _read(job: Job) -> _Nodes:
    nodes: _Nodes = {ROOT_TENANT: (None, REALM)}
    for row, stored in job.rows(*record.node_range()):
        try:
            node = record.unpack(stored)
            if record.node_row(node.id) != row:
                raise ValueError(f"it says of itself that it is {node.id}")
            nodes[node.id] = (stored, node)
        except (IsothermError, ValueError) as error:
            job.findings.add(Kind.TENANT_DAMAGED, f"the tenant at {row.hex()}: {error}")
    return nodes


def _depth(nodes: _Nodes, id_: int) -> int | None:
    """How far below the root a node lies; None where its parents do not lead there. An erased one is its own end."""
    depth = 0
    while id_ != ROOT_TENANT and depth <= DEPTH_MOST:
        known = nodes.get(id_)
        if known is None:
            return None
        if depth == 0 and known[1].state is TenantState.ERASED:
            return DEPTH_MOST + 1
        id_, depth = known[1].parent, depth + 1
    return depth if depth <= DEPTH_MOST else None


def _check_names(job: Job, nodes: Mapping[int, Node]) -> None:
    living = [node for node in nodes.values() if node.id != ROOT_TENANT and node.state is not TenantState.ERASED]
    wanted = {record.child_row(node.parent, node.name): record.pack_id(node.id) for node in living}
    if len(wanted) != len(living):
        job.findings.add(Kind.TENANT_DAMAGED, "two tenants have one path")
    found = dict(job.rows(record.CHILDREN))
    for row in sorted(wanted.keys() | found.keys()):
        if wanted.get(row) != found.get(row):
            said = f"the name {record.child_name(row)!r} does not lead to the tenant that bears it"
            job.findings.add(Kind.TENANT_NAME_WRONG, said, repairable=True)
            if row in wanted:
                job.repairs.protect(row, found.get(row), wanted[row])
            else:
                job.repairs.drop(row, found[row])


def _check_sums(job: Job, nodes: _Nodes, whole: Mapping[int, int]) -> None:
    """From the deepest on, since a node without a number of its own claims what it has promised."""
    sums: dict[int, dict[str, int]] = {}
    for id_ in sorted(whole, key=whole.__getitem__, reverse=True):
        stored, node = nodes[id_]
        if node.state is TenantState.ERASED:
            continue
        right = replace(node, promised={name: sum_ for name, sum_ in sums.get(id_, {}).items() if sum_})
        if dict(right.promised) != dict(node.promised):
            said = f"tenant {id_} has promised {dict(right.promised)}, and its row says {dict(node.promised)}"
            job.findings.add(Kind.TENANT_PROMISES_WRONG, said, repairable=True)
            job.repairs.protect(record.node_row(id_), stored, record.pack(right))
        of_parent = sums.setdefault(node.parent, {})
        for promise in PROMISES:
            of_parent[promise] = of_parent.get(promise, 0) + claim(right, promise)


def _check_last_id(job: Job, nodes: _Nodes) -> None:
    stored = job.get(record.LAST_ID)
    try:
        last = record.unpack_id(stored) if stored is not None else ROOT_TENANT
    except IsothermError:
        last = 0
    if last < max(nodes):
        said = f"tenant {max(nodes)} is there, and the last id that was given is said to be {last}: ids would be used again"
        job.findings.add(Kind.TENANT_IDS_BEHIND, said, repairable=True)
        job.repairs.protect(record.LAST_ID, stored, record.pack_id(max(nodes)))


def _check_index(job: Job) -> None:
    """Every credential that is not revoked stands in the index; those of version 1 once a server has started."""
    found = {row for row, _ in job.rows(record.CREDENTIALS)}
    for key, stored in job.rows(*credential_record.row_range()):
        try:
            credential = credential_record.unpack(stored)
        except IsothermError:  # told by `check_credentials`; its index row stays
            found = {row for row in found if record.access_key_of(row) != credential_record.access_key_of(key)}
            continue
        row = record.credential_of(credential.tenant, credential_record.access_key_of(key))
        if credential.state != credential_record.ACTIVE:
            continue
        if row not in found and credential.version != credential_record.OLD_VERSION:
            said = f"access key {credential_record.access_key_of(key)} is missing among those of tenant {credential.tenant}"
            job.findings.add(Kind.CREDENTIAL_INDEX_WRONG, said, repairable=True)
            job.repairs.protect(row, None, b"")
        found.discard(row)
    for row in sorted(found):
        said = f"access key {record.access_key_of(row)} stands among those of a tenant, and is not one of them"
        job.findings.add(Kind.CREDENTIAL_INDEX_WRONG, said, repairable=True)
        job.repairs.drop(row, b"")
