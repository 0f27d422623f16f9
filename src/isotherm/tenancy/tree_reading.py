"""Reading the tree: nodes and chains of them, on any reader (a snapshot, a transaction, the engine). Coroutines, any loop.

A chain runs from the root to a node. Read within a transaction it is part of what must not change before the commit.
"""

from __future__ import annotations

from collections.abc import Sequence

from isotherm.errors import Corrupt
from isotherm.meta.port import Reader
from isotherm.tenancy import tree_record as record
from isotherm.tenancy.roles import ROOT_TENANT
from isotherm.tenancy.tree import DEPTH_MOST, REALM, Node, demand_open

Chain = list[Node]


async def read_node(reader: Reader, tenant: int) -> Node | None:
    """The root is there without a row as well. Raises Corrupt, Unsupported."""
    stored = await reader.get(record.node_row(tenant))
    if stored is None:
        return REALM if tenant == ROOT_TENANT else None
    return record.unpack(stored)


async def chain_of(reader: Reader, tenant: int) -> Chain:
    """From the root to a node by its id; empty where there is none. Raises Corrupt, Unsupported."""
    chain: Chain = []
    at = tenant
    while at:
        node = await read_node(reader, at)
        if node is None and not chain:
            return []
        if node is None or len(chain) > DEPTH_MOST:
            raise Corrupt(f"the tenants above {tenant} do not lead to the root")
        chain.append(node)
        at = node.parent
    return chain[::-1]


async def chain_along(reader: Reader, names: Sequence[str]) -> Chain:
    """From the root along a path; empty where it leads nowhere. Raises Corrupt, Unsupported."""
    root = await read_node(reader, ROOT_TENANT)
    assert root is not None
    chain = [root]
    for name in names:
        child = await reader.get(record.child_row(chain[-1].id, name))
        node = await read_node(reader, record.unpack_id(child)) if child is not None else None
        if node is None:
            return []
        chain.append(node)
    return chain


async def demand_room(reader: Reader, tenant: int) -> None:
    """Raises Conflict where nothing new may be made in a tenant: it or one above it drains, is suspended, or was deleted.

    Within a transaction this holds at its commit. A tenant that the tree does not know is a program's own affair, which
    opened the store by itself: a server binds nobody to such a one.
    """
    if tenant != ROOT_TENANT and (chain := await chain_of(reader, tenant)):
        demand_open(chain)
