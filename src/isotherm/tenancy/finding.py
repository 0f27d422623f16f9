"""The one way from what a caller names to a node of the tree that he may act on.

A node that the caller does not reach is told as one that is not there. Coroutines, on any loop or none; within a transaction what
they find holds at its commit.
"""

from __future__ import annotations

from isotherm.errors import NotFound
from isotherm.meta.port import Reader
from isotherm.tenancy import tree
from isotherm.tenancy.roles import Caller, Need, demand_height, demand_role, reaches
from isotherm.tenancy.tree import TenantState, demand_lasting
from isotherm.tenancy.tree_reading import Chain, chain_along, chain_of

LIMIT_MOST = 1_000
"""Of a page."""


async def find(
    reader: Reader, caller: Caller, tenant: str, need: Need, *, to_be: str = "", erased: bool = False
) -> Chain:
    """The chain from the root to a node that the caller may act on so.

    Args:
        to_be: what the caller wants there, where `tenant` is only a part of what he named: as "acme/lab would be made".
        erased: a node that is being erased, or has been deleted, is found as well; the latter by its id.

    Raises:
        Conflict: it is being erased, or one above it is, and the caller would govern it.
        Denied: the caller's roles do not suffice for this anywhere, or not for this node, which it may see.
        NotFound: there is no such node, or none that the caller reaches: one cannot be told from the other.
        Invalid: not a path or id.
    """
    demand_role(caller, need)
    reference = tree.parse_reference(tenant)
    chain = await chain_of(reader, reference) if isinstance(reference, int) else await chain_along(reader, reference)
    there = bool(chain) and (erased or chain[-1].state is not TenantState.ERASED)  # which only an id still leads to
    if not there or not reaches(caller, [node.id for node in chain]):
        below = f", below which {to_be}" if to_be else ""
        raise NotFound(f"there is no tenant {tenant}{below}", code="NoSuchTenant")
    demand_height(caller, chain[-1].id, need)
    if need is Need.GOVERN and not erased:
        demand_lasting(chain)
    return chain


async def own_chain(reader: Reader, caller: Caller) -> Chain:
    """The chain from the root to the caller's own node. Raises NotFound where that has gone."""
    chain = await chain_of(reader, caller.tenant)
    if not chain:
        raise NotFound("your tenant is not there any more", code="NoSuchTenant")
    return chain
