"""Grants of buckets from one tenant to another: the one place where they are made, mounted and taken back.

A grant is its owner's; an alias is the name of the tenant it is mounted in. Neither is made for another: an admin who reaches
the owner makes the grant, one who reaches the receiver mounts it, and one who reaches both may do so in one step. A
receiver that the owner's admin does not reach is named by its id alone, and the answer is the same whether there is such a tenant: a
grant to nobody is never mounted. So no tenant has a name of its own taken, and none learns who else is there.

An alias and an own bucket never have one name in a tenant: whoever makes either reads the other's row in its transaction.
Who may do what is decided in the transaction, as for the tree (tenants.py). Coroutines, on any loop or none.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from isotherm.clock import Clock
from isotherm.errors import AlreadyExists, Conflict, Invalid, NotFound, OverQuota
from isotherm.meta.port import Meta, Reader, Transaction
from isotherm.tenancy import grant_record as record
from isotherm.tenancy import tree
from isotherm.tenancy.audit.deed import Deed
from isotherm.tenancy.audit.record import Change
from isotherm.tenancy.finding import LIMIT_MOST, find
from isotherm.tenancy.generation import changed
from isotherm.tenancy.grant_record import Access, Grant
from isotherm.tenancy.grant_removal import GRANTS_MOST, MOUNTS_MOST, remove
from isotherm.tenancy.roles import Caller, Need
from isotherm.tenancy.tree import demand_open
from isotherm.tenancy.tree_reading import Chain, chain_of

PREFIX_BYTES_MOST = 1_024
_NAME = re.compile(tree.NAME_PATTERN)
_SHOWN = ("bucket_name", "to", "access", "prefix", "alias")


@dataclass(frozen=True, slots=True)
class Buckets:
    """What this room must know of buckets, which are a room's above.

    Args:
        identity: the id of a tenant's bucket; None where there is none of that name.
        check_name: raises Invalid for what can be no bucket's name.
    """

    identity: Callable[[Reader, int, str], Awaitable[int | None]]
    check_name: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a grant is to be. `alias`: the name to mount it under at once; empty: that is the receiver's to do."""

    bucket: str
    to: str
    access: Access = Access.READ
    prefix: str = ""
    alias: str = ""


class Grants:
    """Of a store."""

    def __init__(self, meta: Meta, clock: Clock, buckets: Buckets) -> None:
        self._meta = meta
        self._clock = clock
        self._buckets = buckets

    async def create(
        self, caller: Caller, tenant: str, name: str, wanted: Wanted, deed: Deed | None = None
    ) -> tuple[Grant, bool]:
        """A new grant of a bucket of `tenant`; False and the old one where there is the same already.

        Raises:
            Denied, NotFound: the owner, the bucket; the receiver, unless it is named by its id and is not to be mounted at once.
            AlreadyExists: another grant of that name; the alias is taken.
            Conflict: nothing new is made in the owner, or the receiver. OverQuota: too many. Invalid.
        """
        _check_name(name)
        self._buckets.check_name(wanted.bucket)
        _check_prefix(wanted.prefix)
        created_ms = self._clock.now_ms()

        async def write(txn: Transaction) -> tuple[Grant, bool]:
            chain = await find(txn, caller, tenant, Need.TEND)
            owner = chain[-1].id
            to, to_chain = await _receiver(txn, caller, wanted)
            if to == owner:
                raise Invalid("a tenant needs no grant for its own buckets")
            bucket = await self._buckets.identity(txn, owner, wanted.bucket)
            if bucket is None:
                raise NotFound(f"there is no bucket {wanted.bucket[:80]}", code="NoSuchBucket")
            old = await _read(txn, owner, name)
            if old is not None:
                if _content(old) != (bucket, to, wanted.access, wanted.prefix) or wanted.alias not in ("", old.alias):
                    raise AlreadyExists(f"there is another grant {name} of this tenant", code="GrantExists")
                _tell(txn, deed, chain, {})
                return old, False
            demand_open(chain)
            await _demand_room(txn, record.grants_of(owner), GRANTS_MOST, "grants")
            grant = Grant(
                owner=owner,
                name=name,
                bucket=bucket,
                bucket_name=wanted.bucket,
                to=to,
                access=wanted.access,
                created_ms=created_ms,
                prefix=wanted.prefix,
            )
            _tell(txn, deed, chain, _differences(name, None, replace(grant, alias=wanted.alias)))
            if wanted.alias:
                grant = await self._mount(txn, grant, wanted.alias, to_chain, deed)
            txn.put(record.grant_row(owner, name), record.pack(grant))
            txn.put(record.received_row(to, owner, name), b"")
            return grant, True

        return (await self._meta.transact(write))[0]

    async def mount(
        self, caller: Caller, tenant: str, alias: str, owner: str, name: str, deed: Deed | None = None
    ) -> tuple[Grant, bool]:
        """Mount what `tenant` has been granted under an alias; False where it is mounted so already.

        Args:
            owner: the giver's id, as `@17`. name: of his grant.

        Raises:
            Denied, NotFound: the tenant; a grant of that name, which was given to it.
            AlreadyExists: the alias is taken, by a bucket or by another mount.
            Conflict: it is mounted under another alias, or nothing new is made in the tenant. OverQuota: too many. Invalid.
        """
        giver = tree.parse_reference(owner)
        if not isinstance(giver, int):
            raise Invalid("the owner of a grant is named by its id, as @17")
        _check_name(name)

        async def write(txn: Transaction) -> tuple[Grant, bool]:
            chain = await find(txn, caller, tenant, Need.TEND)
            grant = await _read(txn, giver, name)
            if grant is None or grant.to != chain[-1].id:
                raise NotFound(f"this tenant was granted nothing by {owner} as {name}", code="NoSuchGrant")
            if grant.alias == alias:
                _tell(txn, deed, chain, {})
                return grant, False
            if grant.alias:
                raise Conflict(f"it is mounted as {grant.alias} already", code="GrantMounted")
            mounted = await self._mount(txn, grant, alias, chain, deed)
            txn.put(record.grant_row(giver, name), record.pack(mounted))
            return mounted, True

        return (await self._meta.transact(write))[0]

    async def unmount(self, caller: Caller, tenant: str, alias: str, deed: Deed | None = None) -> None:
        """Give an alias back; the grant stays, and may be mounted again. Raises Denied, NotFound, Invalid."""
        self._buckets.check_name(alias)

        async def write(txn: Transaction) -> None:
            chain = await find(txn, caller, tenant, Need.TEND)
            row = record.mount_row(chain[-1].id, alias)
            stored = await txn.get(row)
            if stored is None:
                raise NotFound(f"nothing is mounted as {alias}", code="NoSuchMount")
            mounted = record.unpack(stored)
            grant = replace(mounted, alias="")
            txn.delete(row)
            changed(txn)
            if await _read(txn, grant.owner, grant.name) == mounted:
                txn.put(record.grant_row(grant.owner, grant.name), record.pack(grant))
            _tell(txn, deed, chain, {f"mount.{alias}": (_value(mounted), None)})

        await self._meta.transact(write)

    async def revoke(self, caller: Caller, tenant: str, name: str, deed: Deed | None = None) -> None:
        """Take a grant back, and the alias it is mounted under with it: from this commit on it serves nobody. Raises Denied,
        NotFound, Invalid."""
        _check_name(name)

        async def write(txn: Transaction) -> None:
            chain = await find(txn, caller, tenant, Need.TEND)
            grant = await _read(txn, chain[-1].id, name)
            if grant is None:
                raise NotFound(f"there is no grant {name} of this tenant", code="NoSuchGrant")
            remove(txn, grant)
            _tell(txn, deed, chain, _differences(name, grant, None))
            if grant.alias and (to_chain := await chain_of(txn, grant.to)):
                _tell(txn, deed, to_chain, {f"mount.{grant.alias}": (_value(grant), None)})

        await self._meta.transact(write)

    async def given(
        self, caller: Caller, tenant: str, *, after: str = "", limit: int = 100
    ) -> tuple[Sequence[Grant], bool]:
        """What a tenant has granted, by name, and whether more follow. Raises Denied, NotFound, Invalid."""
        with self._meta.snapshot() as snapshot:
            owner = (await find(snapshot, caller, tenant, Need.LOOK))[-1].id
            start, end = record.grants_of(owner)
            if after:
                start = record.grant_row(owner, after) + b"\0"
            rows = await snapshot.range(start, end, _checked(limit) + 1)
            return [record.unpack(stored) for _, stored in rows[:limit]], len(rows) > limit

    async def received(
        self, caller: Caller, tenant: str, *, after: tuple[int, str] | None = None, limit: int = 100
    ) -> tuple[Sequence[Grant], bool]:
        """What a tenant has been granted, mounted or not, by giver and name, and whether more follow. Raises as `given`."""
        with self._meta.snapshot() as snapshot:
            to = (await find(snapshot, caller, tenant, Need.LOOK))[-1].id
            start, end = record.received_by(to)
            if after is not None:
                start = record.received_row(to, *after) + b"\0"
            rows = await snapshot.range(start, end, _checked(limit) + 1)
            found = [await _read(snapshot, *record.giver_and_name(row)) for row, _ in rows[:limit]]
            return [grant for grant in found if grant is not None], len(rows) > limit

    async def _mount(self, txn: Transaction, grant: Grant, alias: str, chain: Chain | None, deed: Deed | None) -> Grant:
        """Writes the mount's row, not the grant's. `chain`: to the receiver."""
        assert chain is not None
        self._buckets.check_name(alias)
        demand_open(chain)
        if await txn.get(record.bucket_row(grant.to, alias)) is not None:
            raise AlreadyExists(f"this tenant has a bucket {alias} of its own", code="BucketAlreadyExists")
        if await txn.get(record.mount_row(grant.to, alias)) is not None:
            raise AlreadyExists(f"something else is mounted as {alias}", code="AliasTaken")
        await _demand_room(txn, record.mounts_in(grant.to), MOUNTS_MOST, "mounts")
        mounted = replace(grant, alias=alias)
        txn.put(record.mount_row(grant.to, alias), record.pack(mounted))
        changed(txn)
        _tell(txn, deed, chain, {f"mount.{alias}": (None, _value(mounted))})
        return mounted


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise Invalid(f"{name[:80]!r} is no name of a grant: it is made like a tenant's", code="InvalidGrantName")


def _check_prefix(prefix: str) -> None:
    try:
        size_bytes = len(prefix.encode())
    except UnicodeEncodeError:
        raise Invalid("a prefix is valid Unicode") from None
    if size_bytes > PREFIX_BYTES_MOST:
        raise Invalid(f"a prefix has at most {PREFIX_BYTES_MOST} bytes")


async def _receiver(txn: Transaction, caller: Caller, wanted: Wanted) -> tuple[int, Chain | None]:
    """The id of whom a grant is for, and the chain to it where the caller reaches it."""
    reference = tree.parse_reference(wanted.to)
    try:
        chain = await find(txn, caller, wanted.to, Need.TEND)
    except NotFound:
        if isinstance(reference, int) and reference and not wanted.alias:
            return reference, None
        raise
    return chain[-1].id, chain


async def _read(reader: Reader, owner: int, name: str) -> Grant | None:
    stored = await reader.get(record.grant_row(owner, name))
    return record.unpack(stored) if stored is not None else None


async def _demand_room(txn: Transaction, rows: tuple[bytes, bytes], most: int, what: str) -> None:
    if len(await txn.range(*rows, most)) >= most:
        raise OverQuota(f"a tenant has at most {most:,} {what}", code="TooMany")


def _checked(limit: int) -> int:
    if not 1 <= limit <= LIMIT_MOST:
        raise Invalid(f"limit is {limit}; it must be a number from 1 to {LIMIT_MOST}")
    return limit


def _content(grant: Grant) -> tuple[int, int, Access, str]:
    return grant.bucket, grant.to, grant.access, grant.prefix


def _value(grant: Grant) -> str:
    """As the audit log shows a mount: whose bucket, and what may be done with it."""
    return f"@{grant.owner}/{grant.bucket_name}/{grant.prefix} ({grant.access.value}, grant {grant.name})"


def _differences(name: str, before: Grant | None, after: Grant | None) -> Mapping[str, Change]:
    def shown(grant: Grant | None, field: str) -> object:
        value = getattr(grant, field) if grant is not None else None
        return value.value if isinstance(value, Access) else value or None

    changes = {f"grant.{name}.{field}": (shown(before, field), shown(after, field)) for field in _SHOWN}
    return {field: change for field, change in changes.items() if change != (None, None)}


def _tell(txn: Transaction, deed: Deed | None, chain: Chain, changed: Mapping[str, Change]) -> None:
    if deed is not None:
        deed.done(txn, chain, changed)
