"""What an operation of the administrative API is: one row of the table in operations.py, and how it is called.

From the same row come its REST route (rest.py), its part of the OpenAPI document (openapi.py) and, where it has one, its command
(`cli/operation.py`): none of them knows anything of an operation that does not stand in its row. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

import msgspec

from isotherm.tenancy.audit.deed import Deed
from isotherm.tenancy.audit.log import AuditLog
from isotherm.tenancy.erasure.erasures import Erasures
from isotherm.tenancy.grants import Grants
from isotherm.tenancy.register import Register
from isotherm.tenancy.roles import Caller, Need
from isotherm.tenancy.tenants import Tenants


class Idempotency(Enum):
    """What the same request again does, for a client that did not hear the first answer."""

    SAFE = "It only reads."
    SAME = "It names the state that is wanted: the same again changes nothing."
    NAMED = "The client chooses the name: the same again succeeds and changes nothing, other content is a conflict."
    ONCE = "Again it is not found, which then says that it has been done."
    ANEW = "Each call makes another one, which is listed and can be revoked."


@dataclass(frozen=True, slots=True)
class Administration:
    """What operations work on. `all_counted`: whether usage is whole (movers/counting.py)."""

    tenants: Tenants
    register: Register
    audit: AuditLog
    erasures: Erasures
    all_counted: Callable[[], Coroutine[Any, Any, bool]]
    grants: Grants


@dataclass(frozen=True, slots=True)
class Call:
    """A call of an operation: who asks, the parameters of the path, and what the row's `query` and `body` decoded to.

    `deed`: by which the audit log is told, of an operation that is audited.
    """

    caller: Caller
    path: Mapping[str, str]
    query: Any = None
    body: Any = None
    deed: Deed | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What an operation answers. `made`: something is there now that was not before."""

    body: msgspec.Struct | None = None
    made: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A row.

    Args:
        name: stable; what an audit log calls it.
        method, path: HTTP's; the path is a template whose parameters are single segments, percent-encoded.
        need: which roles may call it, and on which nodes.
        audited: whether each call of it, done or refused, leaves a record in the audit log.
        query, body: what it takes; every field that is not given keeps its default.
        response: what it answers; None: nothing.
        columns: of a list, the fields that a table for people shows, where any row has them.
        command: its name below `isotherm tenant`, or what its own name begins with, where it has one.
    """

    name: str
    method: str
    path: str
    summary: str
    need: Need
    audited: bool
    idempotency: Idempotency
    act: Callable[[Administration, Call], Coroutine[Any, Any, Answer]]
    response: type[msgspec.Struct] | None
    query: type[msgspec.Struct] | None = None
    body: type[msgspec.Struct] | None = None
    columns: tuple[str, ...] = ()
    command: str | None = None

    @property
    def parameters(self) -> list[str]:
        """The names of the path's parameters, in order."""
        return [part[1:-1] for part in self.path.split("/") if part.startswith("{")]

    @property
    def statuses(self) -> tuple[int, ...]:
        """What it answers when all is well."""
        if self.response is None:
            return (204,)
        return {Idempotency.NAMED: (201, 200), Idempotency.ANEW: (201,)}.get(self.idempotency, (200,))
