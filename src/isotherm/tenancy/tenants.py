"""Operations on the tree of tenants, over `meta`: the one place where it is changed.

Every change is one transaction, and who may do it is decided in it: what was read (the chain to the root, sums of promises,
names, children) is compared again at the commit, so that racing changes can neither promise more than there is, nor make a
cycle, nor act on a node that has been moved out of reach. A node that the caller does not reach is told as one that is not
there. A change that is made by a `Deed` is told to the audit log in its own transaction. The rules are pure: tree.py, promises.py, roles.py.

Coroutines, on any loop or none; used by the control process and the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import asdict, replace

from isotherm.clock import Clock
from isotherm.errors import AlreadyExists, Conflict, Invalid, NotEmpty, NotFound, OverQuota
from isotherm.meta.port import Meta, Reader, Transaction
from isotherm.tenancy import credential_record, quota, tree
from isotherm.tenancy import tree_record as record
from isotherm.tenancy.audit.deed import Deed
from isotherm.tenancy.audit.record import Change, differences
from isotherm.tenancy.finding import LIMIT_MOST, find, own_chain
from isotherm.tenancy.grant_removal import forget
from isotherm.tenancy.promises import Exceeded, Ledger
from isotherm.tenancy.register import Permit, Place, no_access_key
from isotherm.tenancy.roles import ROOT_TENANT, Caller, Need, demand_role, reaches
from isotherm.tenancy.terms import Terms, changed_terms, checked_labels, checked_terms
from isotherm.tenancy.tree import (
    Node,
    TenantState,
    demand_depth,
    demand_lasting,
    demand_no_cycle,
    demand_open,
    path_of,
    worst,
)
from isotherm.tenancy.tree_reading import chain_of, read_node
from isotherm.tenancy.usage import Held, read_usage
from isotherm.tenancy.vault import KeyMissing, Vault

_WALK_MOST = 10_000
_CREDENTIALS_MOST = 1_000


@dataclass(frozen=True, slots=True)
class Seen:
    """A node as a caller sees it. `standing`: its state and those above it together."""

    node: Node
    path: str
    standing: TenantState


class Tenants:
    """The tree of a store. `vault`: wraps the keys of those who are moved."""

    def __init__(self, meta: Meta, clock: Clock, vault: Vault) -> None:
        self._meta = meta
        self._clock = clock
        self._vault = vault

    async def show(self, caller: Caller, tenant: str) -> Seen:
        """Raises Denied, NotFound, Invalid."""
        with self._meta.snapshot() as snapshot:
            return _seen(await find(snapshot, caller, tenant, Need.LOOK))

    async def usage(self, caller: Caller, tenant: str) -> tuple[Seen, Held]:
        """A node, and what it holds. Raises Denied, NotFound, Invalid."""
        with self._meta.snapshot() as snapshot:
            seen = _seen(await find(snapshot, caller, tenant, Need.LOOK))
            return seen, await read_usage(snapshot, seen.node.id)

    async def own(self, caller: Caller) -> Seen:
        """The caller's own node. Raises NotFound where it has gone."""
        with self._meta.snapshot() as snapshot:
            return _seen(await own_chain(snapshot, caller))

    async def page(
        self, caller: Caller, under: str | None, *, after: str = "", limit: int = 100
    ) -> tuple[list[Seen], bool]:
        """Children of a node (None: the caller's own) in order of their names, and whether more follow.

        Raises:
            Denied, NotFound, Invalid.
        """
        if not 1 <= limit <= LIMIT_MOST:
            raise Invalid(f"limit is {limit}; it must be a number from 1 to {LIMIT_MOST}")
        with self._meta.snapshot() as snapshot:
            if under is None:
                demand_role(caller, Need.LOOK)
                chain = await own_chain(snapshot, caller)
            else:
                chain = await find(snapshot, caller, under, Need.LOOK)
            start, end = record.children_of(chain[-1].id)
            if after:
                start = record.child_row(chain[-1].id, tree.check_name(after)) + b"\0"
            rows = await snapshot.range(start, end, limit + 1)
            nodes = [await read_node(snapshot, record.unpack_id(stored)) for _, stored in rows[:limit]]
            return [_seen([*chain, node]) for node in nodes if node is not None], len(rows) > limit

    async def paths(self, ids: Iterable[int]) -> dict[int, str]:
        """The paths of nodes, for the owner of the store; "@17" for one that has gone."""
        paths = {}
        with self._meta.snapshot() as snapshot:
            for id_ in ids:
                chain = await chain_of(snapshot, id_)
                gone = not chain or chain[-1].state is TenantState.ERASED
                paths[id_] = f"@{id_}" if gone else path_of(chain)
        return paths

    async def create(
        self, caller: Caller, path: str, labels: Mapping[str, str], terms: Terms, deed: Deed | None = None
    ) -> tuple[Seen, bool]:
        """A new node; False and the old one where there is one of the same content already.

        Raises:
            Denied, NotFound: its parent.
            AlreadyExists: with other labels or terms.
            OverQuota: its parent, or one above, has not that much to promise.
            Conflict: its parent takes nothing new, or one of that name is being erased. Invalid.
        """
        demand_role(caller, Need.TEND)
        names = tree.parse_path(path)
        if not names:
            raise AlreadyExists("there is one root, and it is there", code="TenantExists")
        labels, terms = checked_labels(dict(labels)), checked_terms(asdict(terms))
        created_ms = self._clock.now_ms()

        async def write(txn: Transaction) -> tuple[Seen, bool]:
            parent = "/".join(names[:-1]) or "/"
            above = await find(txn, caller, parent, Need.TEND, to_be=f"{path} would be made")
            stored = await txn.get(record.child_row(above[-1].id, names[-1]))
            if stored is not None:
                old = await _node(txn, record.unpack_id(stored))
                demand_lasting([*above, old])
                if (dict(old.labels), old.terms) != (labels, terms):
                    raise AlreadyExists(f"there is a tenant {path} with other labels or terms", code="TenantExists")
                _tell(txn, deed, [*above, old], {})
                return _seen([*above, old]), False
            demand_open(above)
            demand_depth(len(names))
            fresh = Node(
                id=await _next_id(txn),
                parent=above[-1].id,
                name=names[-1],
                created_ms=created_ms,
                labels=labels,
                terms=terms,
            )
            ledger = Ledger(above)
            _with_promises(caller, above, lambda: ledger.add(fresh))
            txn.put(record.child_row(fresh.parent, fresh.name), record.pack_id(fresh.id))
            _put(txn, ledger)
            _tell(txn, deed, [*above, fresh], differences(None, fresh))
            return _seen([*above, fresh]), True

        return (await self._meta.transact(write))[0]

    async def update(
        self, caller: Caller, tenant: str, changes: Mapping[str, object], deed: Deed | None = None
    ) -> Seen:
        """Other labels and terms: only what `changes` names; None takes a term, or a label of `labels`, away.

        Raises:
            Denied, NotFound, Invalid.
            OverQuota: those above have not so much to promise, or the node has promised more to its children.
        """

        async def write(txn: Transaction) -> Seen:
            chain = await find(txn, caller, tenant, Need.GOVERN)
            old = chain[-1]
            of_terms = {name: value for name, value in changes.items() if name != "labels"}
            new = replace(
                old,
                terms=changed_terms(old.terms, of_terms),
                labels=_merged(old.labels, changes.get("labels")),
            )
            ledger = Ledger(chain)
            _with_promises(caller, chain, lambda: ledger.replace(new))
            _put(txn, ledger)
            _tell(txn, deed, chain, differences(old, new))
            return _seen([*chain[:-1], new])

        return (await self._meta.transact(write))[0]

    async def set_state(self, caller: Caller, tenant: str, state: TenantState, deed: Deed | None = None) -> Seen:
        """Suspend, drain or resume a node; again changes nothing. Raises Denied, NotFound, Conflict."""

        async def write(txn: Transaction) -> Seen:
            chain = await find(txn, caller, tenant, Need.GOVERN)
            if chain[-1].id == ROOT_TENANT:
                raise Conflict("the root is never suspended: nobody could resume it", code="TenantIsRoot")
            new = replace(chain[-1], state=state)
            if new != chain[-1]:
                record.put_node(txn, new)
            _tell(txn, deed, chain, differences(chain[-1], new))
            return _seen([*chain[:-1], new])

        return (await self._meta.transact(write))[0]

    async def move(self, caller: Caller, tenant: str, path: str, deed: Deed | None = None) -> Seen:
        """Give a node, and all below it, another path: another name, another parent or both. Its id stays.

        Raises:
            Denied, NotFound: either place.
            AlreadyExists: something else lies there. Conflict: that would be a cycle, or nothing new is made there.
            OverQuota: the new parent, or one above it, has not that much to promise, or no room for what it holds.
            Conflicted: too much is written there just now.
            Unavailable, Denied, Corrupt: its key cannot be wrapped anew; see `Vault.rewrap`.
        """
        names = tree.parse_path(path)

        async def write(txn: Transaction) -> Seen:
            chain = await find(txn, caller, tenant, Need.GOVERN)
            old = chain[-1]
            if old.id == ROOT_TENANT or not names:
                raise Conflict("the root has no name and stays where it is", code="TenantIsRoot")
            parent = "/".join(names[:-1]) or "/"
            above = await find(txn, caller, parent, Need.TEND, to_be=f"{path} would lie")
            demand_no_cycle(old.id, above)
            new = replace(old, parent=above[-1].id, name=names[-1])
            if new == old:
                _tell(txn, deed, chain, {})
                return _seen(chain)
            if await txn.get(record.child_row(new.parent, new.name)) is not None:
                raise AlreadyExists(f"there is a tenant {path} already", code="TenantExists")
            if new.parent != old.parent:
                demand_open(above)
                await _demand_height(txn, old.id, len(chain) - 1, len(names))
                await quota.move(txn, old.id, chain[:-1], above)
            ledger = Ledger([*chain, *above])
            ledger.remove(old)
            _with_promises(caller, above, lambda: ledger.add(new))
            txn.delete(record.child_row(old.parent, old.name))
            txn.put(record.child_row(new.parent, new.name), record.pack_id(new.id))
            _put(txn, ledger)
            if new.parent != old.parent:
                await self._vault.rewrap(txn, new.id, new.parent)
            _tell(txn, deed, chain, {"path": (path_of(chain), path_of([*above, new]))})
            return _seen([*above, new])

        while True:
            try:
                return (await self._meta.transact(write))[0]
            except KeyMissing as missing:
                await self._vault.make(missing.tenant)

    async def delete(self, caller: Caller, tenant: str, deed: Deed | None = None) -> None:
        """Remove a node, what it has granted and mounted, and its key. Its id is never used again.

        Raises:
            Denied, NotFound.
            NotEmpty: it has tenants below it, buckets, or credentials that are not revoked; says which.
            Unavailable: it is removed, and the key store could not be told to destroy its secret, which nobody needs any more.
        """

        async def write(txn: Transaction) -> int:
            chain = await find(txn, caller, tenant, Need.GOVERN)
            node = chain[-1]
            if node.id == ROOT_TENANT:
                raise Conflict("the root is never deleted", code="TenantIsRoot")
            if held := await self._held(txn, node.id):
                raise NotEmpty(f"{path_of(chain)} still has {' and '.join(held)}", code="TenantNotEmpty", held=held)
            ledger = Ledger(chain)
            ledger.remove(node)
            _put(txn, ledger)
            txn.delete(record.child_row(node.parent, node.name))
            await forget(txn, node.id)
            self._vault.remove(txn, node.id)
            gone = replace(node, state=TenantState.ERASED)
            record.put_node(txn, gone)
            _tell(txn, deed, chain, differences(node, gone))
            return node.id

        await self._vault.destroy((await self._meta.transact(write))[0])

    def place(self, caller: Caller, tenant: str) -> Place:
        """For `Register.create`: where a new credential is to belong. Raises, in its transaction, as `find` does; Conflict."""

        async def find_place(txn: Transaction) -> int:
            chain = await find(txn, caller, tenant, Need.TEND)
            demand_open(chain)
            return chain[-1].id

        return find_place

    def permit(self, caller: Caller, access_key: str) -> Permit:
        """For `Register.revoke`. Raises Denied; NotFound as for a key that nobody has, where the caller does not reach it."""

        async def check(txn: Transaction, tenant: int) -> None:
            demand_role(caller, Need.TEND)
            if not reaches(caller, [node.id for node in await chain_of(txn, tenant)]):
                raise no_access_key(access_key)

        return check

    async def _held(self, txn: Transaction, tenant: int) -> list[str]:
        """What keeps a node from being deleted."""
        held = []
        if await txn.range(*record.children_of(tenant), 1):
            held.append("tenants below it")
        if await txn.range(*record.buckets_of(tenant), 1):
            held.append("buckets")
        rows = await txn.range(*record.credentials_of(tenant), _CREDENTIALS_MOST)
        now_ms = self._clock.now_ms()
        for row, _ in rows:
            stored = await txn.get(credential_record.row_key(record.access_key_of(row)))
            if stored is not None and credential_record.unpack(stored).good(now_ms):
                held.append("credentials that are not revoked")
                break
        return held


def _with_promises(caller: Caller, chain: Sequence[Node], decide: Callable[[], None]) -> None:
    """Run a decision of the ledger's; a refusal shows numbers only of nodes that the caller reaches."""
    try:
        decide()
    except Exceeded as error:
        upto = [node.id for node in chain].index(error.node) + 1
        visible = reaches(caller, [node.id for node in chain[:upto]])
        raise (error.shown(path_of(chain[:upto])) if visible else error.veiled()) from None


async def _node(reader: Reader, tenant: int) -> Node:
    node = await read_node(reader, tenant)
    if node is None:
        raise NotFound(f"there is no tenant @{tenant}", code="NoSuchTenant")
    return node


async def _next_id(txn: Transaction) -> int:
    """The id after the last one that was ever given. Raises OverQuota when there is none."""
    stored = await txn.get(record.LAST_ID)
    following = (record.unpack_id(stored) if stored is not None else ROOT_TENANT) + 1
    if following > tree.ID_MOST:
        raise OverQuota("all ids of tenants have been used")
    txn.put(record.LAST_ID, record.pack_id(following))
    return following


async def _demand_height(txn: Transaction, tenant: int, depth: int, new_depth: int) -> None:
    """Raises Invalid where something below a node would lie too deep after its move."""
    if new_depth <= depth:
        return
    level, walked = [tenant], 0
    for deep in range(new_depth, tree.DEPTH_MOST + 2):
        demand_depth(deep)
        below: list[int] = []
        for parent in level:
            rows = await txn.range(*record.children_of(parent), _WALK_MOST)
            below += [record.unpack_id(stored) for _, stored in rows]
            walked += len(rows)
            if walked >= _WALK_MOST:
                raise Conflict(
                    f"{_WALK_MOST:,} tenants and more cannot be moved to a deeper place", code="TenantTooLarge"
                )
        if not below:
            return
        level = below


def _tell(txn: Transaction, deed: Deed | None, chain: Sequence[Node], changed: Mapping[str, Change]) -> None:
    """To the audit log, where the change is somebody's deed."""
    if deed is not None:
        deed.done(txn, chain, changed)


def _put(txn: Transaction, ledger: Ledger) -> None:
    for node in ledger.changed():
        record.put_node(txn, node)


def _merged(labels: Mapping[str, str], changes: object) -> dict[str, str]:
    if changes is None:
        return dict(labels)
    if not isinstance(changes, Mapping):
        raise Invalid("labels are names and values")
    merged = {name: value for name, value in {**labels, **changes}.items() if value is not None}
    return checked_labels(merged)


def _seen(chain: Sequence[Node]) -> Seen:
    return Seen(chain[-1], path_of(chain), worst(node.state for node in chain))
