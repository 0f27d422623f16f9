"""What a credential may do, and where: pure decisions. Any thread.

A credential belongs to a node of the tree and carries roles. It reaches its own node and those below it, and no other: what
lies beyond is told exactly as what is not there. Who holds a role may do what `Need` says; terms, place and state of a
node are its parent's to give, so that nobody grants himself more (`Need.GOVERN`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

from isotherm.errors import Corrupt, Denied, Invalid

ROOT_TENANT = 1


class Role(Enum):
    """`DATA`: objects and the change feed. `ADMIN`: the tree and its credentials. `AUDITOR`: looks at what an admin sees."""

    DATA = "data"
    ADMIN = "admin"
    AUDITOR = "auditor"

    __hash__ = object.__hash__  # members are singletons; every request looks one up, and Enum's own is Python


ALL_ROLES = frozenset(Role)
DATA_ALONE = frozenset((Role.DATA,))
_BITS = {Role.DATA: 1, Role.ADMIN: 2, Role.AUDITOR: 4}


class Need(Enum):
    """What an operation on a node asks of its caller.

    `LOOK`: admin or auditor of the node or of one above it. `TEND`: admin of the node or above. `GOVERN`: admin of a node
    above it; the root's admin governs the root. `SELF`: any role; it is about the caller.
    """

    LOOK = "look"
    TEND = "tend"
    GOVERN = "govern"
    SELF = "self"


_SUFFICE = {
    Need.LOOK: frozenset((Role.ADMIN, Role.AUDITOR)),
    Need.TEND: frozenset((Role.ADMIN,)),
    Need.GOVERN: frozenset((Role.ADMIN,)),
    Need.SELF: ALL_ROLES,
}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as the server knows it from a credential. `access_key`: the credential's; empty: the owner."""

    tenant: int
    roles: frozenset[Role]
    access_key: str = ""


OWNER = Caller(ROOT_TENANT, ALL_ROLES)
"""Whoever may open the store's directory: its files are his."""


def demand_role(caller: Caller, need: Need) -> None:
    """Whether the caller may do this anywhere at all: decided before any node is looked for. Raises Denied."""
    if not caller.roles & _SUFFICE[need]:
        wanted = " or ".join(sorted(role.value for role in _SUFFICE[need]))
        raise Denied(f"this needs a credential with the role {wanted}")


def reaches(caller: Caller, chain: Sequence[int]) -> bool:
    """Whether a node is the caller's own or below it; `chain` are the ids from the root to the node."""
    return caller.tenant in chain


def demand_height(caller: Caller, node: int, need: Need) -> None:
    """Of a node that the caller reaches. Raises Denied where only an admin above it may do this."""
    if need is Need.GOVERN and node == caller.tenant != ROOT_TENANT:
        raise Denied("only an admin of a tenant above this one may do this")


def read_roles(words: Iterable[str]) -> frozenset[Role]:
    """Raises Invalid for an unknown role, and for none at all."""
    words = tuple(words)
    known = [role.value for role in Role]
    unknown = next((word for word in words if word not in known), None)
    if unknown is not None:
        raise Invalid(f"a role is one of {', '.join(known)}; {unknown!r} is none")
    roles = frozenset(map(Role, words))
    if not roles:
        raise Invalid("a credential carries at least one role")
    return roles


def role_words(roles: frozenset[Role]) -> list[str]:
    """The roles by name, in the order they are declared in."""
    return [role.value for role in Role if role in roles]


def pack_roles(roles: frozenset[Role]) -> int:
    """As one byte, for a record."""
    return sum(_BITS[role] for role in roles)


def unpack_roles(bits: int) -> frozenset[Role]:
    """The inverse of `pack_roles`. Raises Corrupt for none, and for bits that mean nothing."""
    roles = frozenset(role for role, bit in _BITS.items() if bits & bit)
    if not roles or pack_roles(roles) != bits:
        raise Corrupt(f"the roles of a credential cannot be read: {bits:#04x}")
    return roles
