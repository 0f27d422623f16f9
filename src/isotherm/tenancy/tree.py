"""The tree of tenants: nodes, names, paths and states. Pure; any thread.

Realm → tenant → sub-tenant → …: the root, id 1, is the realm and has no name; every other node has a name that is unique
among its siblings. A path is the names below the root, joined by slashes (`acme/research`). Ids are never used again.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum

import msgspec

from isotherm.errors import Conflict, Invalid
from isotherm.tenancy.roles import ROOT_TENANT
from isotherm.tenancy.terms import UNBOUND, Terms

DEPTH_MOST = 16
"""How many nodes lie between the root and the deepest one, which counts too."""
ID_MOST = 0xFFFFFFFF
NAME_PATTERN = r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_NAME = re.compile(NAME_PATTERN)
_ID = re.compile(r"@([1-9][0-9]{0,9})")
_TEXT_MOST = 4_096


class TenantState(Enum):
    """`DRAINING`: nothing new is made in it (tenants, credentials, buckets). `SUSPENDED`: none of its credentials is
    served. `ERASING`: nor ever will be again; all that it holds is being removed. `ERASED`: it has been deleted, and its id
    lives on. Each holds for all below as well."""

    ACTIVE = "active"
    DRAINING = "draining"
    SUSPENDED = "suspended"
    ERASING = "erasing"
    ERASED = "erased"


ENDED = frozenset((TenantState.ERASING, TenantState.ERASED))
BARRED = ENDED | {TenantState.SUSPENDED}
_SEVERITY = list(TenantState)


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A node. `promised`: promise → the sum of what its children are promised (promises.py); without those of zero."""

    id: int
    parent: int
    name: str
    state: TenantState = TenantState.ACTIVE
    created_ms: int = 0
    labels: Mapping[str, str] = {}
    terms: Terms = UNBOUND
    promised: Mapping[str, int] = {}


REALM = Node(id=ROOT_TENANT, parent=0, name="")
"""The root of a store whose root nobody has changed."""


def worst(states: Iterable[TenantState]) -> TenantState:
    """What a node's own state and those above it amount to."""
    return max(states, key=_SEVERITY.index, default=TenantState.ACTIVE)


def path_of(chain: Sequence[Node]) -> str:
    """The path of the last node of a chain from the root; "/" for the root itself."""
    return "/".join(node.name for node in chain[1:]) or "/"


def check_name(name: str) -> str:
    """Raises Invalid."""
    if not _NAME.fullmatch(name):
        raise Invalid(
            f"{name[:80]!r} is no name of a tenant: 1 to 63 of a-z, 0-9, - and _, beginning and ending with a letter or digit",
            code="InvalidTenantName",
        )
    return name


def parse_path(text: str) -> tuple[str, ...]:
    """The names in a path; none for the root ("/"). Raises Invalid."""
    if len(text) > _TEXT_MOST:
        raise Invalid("the path of a tenant is too long", code="InvalidTenantName")
    if text == "/":
        return ()
    names = tuple(check_name(name) for name in text.split("/"))
    demand_depth(len(names))
    return names


def parse_reference(text: str) -> int | tuple[str, ...]:
    """A node as callers name it: by path, or by id as `@17`. Raises Invalid."""
    if matched := _ID.fullmatch(text):
        number = int(matched[1])
        return number if number <= ID_MOST else 0  # which no node has
    return parse_path(text)


def demand_depth(depth: int) -> None:
    """Raises Invalid for a node that would lie too deep; the root's children have depth 1."""
    if depth > DEPTH_MOST:
        raise Invalid(f"a tenant may lie {DEPTH_MOST} levels deep, not {depth}", code="TenantTooDeep")


def demand_no_cycle(node: int, new_parents: Sequence[Node]) -> None:
    """Raises Conflict where a node would come to lie below itself; `new_parents` from the root to its new parent."""
    if any(parent.id == node for parent in new_parents):
        raise Conflict("a tenant cannot be moved below itself", code="TenantCycle")


def demand_open(chain: Sequence[Node]) -> None:
    """Raises Conflict where nothing new may be made in the last node of a chain."""
    state = worst(node.state for node in chain)
    if state is not TenantState.ACTIVE:
        raise Conflict(
            f"{path_of(chain)} is {state.value}, or a tenant above it is: nothing new is made there",
            code="TenantNotActive",
        )


def demand_lasting(chain: Sequence[Node]) -> None:
    """Raises Conflict where the last node of a chain, or one above it, is being erased: nothing takes that back or escapes it."""
    if any(node.state is TenantState.ERASING for node in chain):
        raise Conflict(f"{path_of(chain)} is being erased, or a tenant above it is", code="TenantErasing")
