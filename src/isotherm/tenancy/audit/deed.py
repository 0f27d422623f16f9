"""A call that the audit log tells of, and its record, appended by the transaction that makes the change.

`append` reads nothing and touches no row of others, so that calls do not get into each other's way; chaining is the
follower's (movers/audit.py). A deed is immutable: a transaction function may run again. Any thread.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from isotherm.meta.port import Transaction
from isotherm.tenancy.audit.record import FEED, Change, Record, pack
from isotherm.tenancy.roles import Caller, role_words
from isotherm.tenancy.tree import Node, path_of
from isotherm.tenancy.tree_reading import chain_of


@dataclass(frozen=True, slots=True)
class Deed:
    """A call, from when it came.

    Args:
        operation: its name in the table of operations.
        request: the request's id. remote: the address it came from, where there is one.
    """

    operation: str
    caller: Caller
    time_ms: int
    request: str = ""
    remote: str = ""

    def done(self, txn: Transaction, chain: Sequence[Node], changed: Mapping[str, Change], *, key: str = "") -> None:
        """It has changed the last node of `chain`, which runs from the root, as this transaction found it."""
        record = self.record(above=tuple(node.id for node in chain), path=path_of(chain), key=key, changed=changed)
        txn.append(FEED, pack(record))

    async def done_to_key(self, txn: Transaction, tenant: int, key: str, changed: Mapping[str, Change]) -> None:
        """It has changed a credential of a tenant."""
        chain = await chain_of(txn, tenant)
        if chain:
            self.done(txn, chain, changed, key=key)
        else:  # a credential of a tenant that the tree does not know: a program's own affair, told to the root
            txn.append(FEED, pack(self.record(above=(1,), path=f"@{tenant}", key=key, changed=changed)))

    def record(self, *, above: tuple[int, ...], path: str, key: str, changed: Mapping[str, Change]) -> Record:
        return Record(
            time_ms=self.time_ms,
            operation=self.operation,
            access_key=self.caller.access_key,
            tenant=self.caller.tenant,
            roles=role_words(self.caller.roles),
            target=above[-1],
            path=path,
            key=key,
            changed=changed,
            request=self.request,
            remote=self.remote,
            above=above,
        )
