"""The register of credentials: rows of pairs, made, listed, replaced and revoked, each change in one transaction.

Every pair that has not been revoked also stands in the index of its tenant's credentials, so that a tenant can be listed and
deleted without a look at all others. Whether a caller may change a pair is asked for within the transaction (`Place`,
`Permit`). Coroutines, on any loop or none.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum

from isotherm.clock import Clock
from isotherm.errors import Conflict, Corrupt, Denied, Invalid, NotFound, Unsupported
from isotherm.ids import Ids
from isotherm.meta.port import Meta, Transaction
from isotherm.tenancy import credential_record as record
from isotherm.tenancy import generation, tree_record
from isotherm.tenancy.audit.deed import Deed
from isotherm.tenancy.keystore import ROOT, KeyStore
from isotherm.tenancy.roles import ALL_ROLES, DATA_ALONE, ROOT_TENANT, Role, role_words
from isotherm.tenancy.tree import BARRED, TenantState, demand_lasting
from isotherm.tenancy.tree_reading import chain_of

ACCESS_KEY_LETTERS = 20
SECRET_LETTERS = 40

_CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+_"
_PREFIX = "ISOT"
_CREDENTIALS_MOST = 100_000


class State(Enum):
    ACTIVE = "active"
    ENDING = "ending"  # replaced, and still good until its end
    REVOKED = "revoked"
    UNREADABLE = "unreadable"  # sealed under another root key, or damaged


@dataclass(frozen=True, slots=True)
class Credential:
    """A pair that signs. Equal objects mean the same pair, so that what is derived from it may be kept."""

    access_key: str
    secret: str
    tenant: int
    roles: frozenset[Role] = DATA_ALONE
    standing: TenantState = TenantState.ACTIVE

    def __repr__(self) -> str:
        return f"Credential({self.access_key!r}, tenant={self.tenant})"

    def demand_served(self) -> None:
        """Raises Denied where its tenant, or one above it, is suspended."""
        if self.standing is not TenantState.ACTIVE and self.standing in BARRED:
            raise Denied("Your tenant, or one that it belongs to, is suspended.", code="AccountProblem")

    def demand(self, role: Role) -> None:
        """Whether it is served for this. Raises Denied where its tenant is suspended, or it lacks the role."""
        if self.standing is not TenantState.ACTIVE:
            self.demand_served()
        if role not in self.roles:
            raise Denied(f"This access key does not carry the role {role.value}.")


@dataclass(frozen=True, slots=True)
class Listed:
    """A credential without its secret. Times in milliseconds since 1970; `ends_ms` is None where there is no end."""

    access_key: str
    tenant: int
    state: State
    created_ms: int
    ends_ms: int | None
    description: str
    roles: frozenset[Role] = frozenset()


Place = Callable[[Transaction], Awaitable[int]]
"""The tenant a new credential is for, found (and permitted) within the transaction that makes it."""
Permit = Callable[[Transaction, int], Awaitable[None]]
"""Whether the credential of a tenant may be changed: raises where not, within the transaction."""


class Register:
    """The credentials of a store, as rows."""

    def __init__(self, meta: Meta, keys: KeyStore, clock: Clock, ids: Ids) -> None:
        self._meta = meta
        self._keys = keys
        self._clock = clock
        self._ids = ids

    async def create(
        self,
        description: str = "",
        *,
        tenant: int | Place = ROOT_TENANT,
        roles: frozenset[Role] = DATA_ALONE,
        deed: Deed | None = None,
    ) -> Credential:
        """A new pair. Raises Invalid for a description over 256 bytes, and what `tenant` raises, if that is a function."""
        drawn = self.draw()

        async def write(txn: Transaction) -> Credential:
            at = tenant if isinstance(tenant, int) else await tenant(txn)
            credential = Credential(drawn.access_key, drawn.secret, at, roles)
            self._put(txn, credential.access_key, self._sealed(credential, description))
            if deed is not None:
                changed = {"roles": (None, role_words(roles)), "description": (None, description)}
                await deed.done_to_key(txn, at, credential.access_key, changed)
            return credential

        return (await self._meta.transact(write))[0]

    async def keep(self, credential: Credential, description: str) -> bool:
        """Store a pair that was made elsewhere; False, and nothing changed, where its access key is taken.

        The very same pair of before there were roles is given those of `credential`, and counts as taken.
        """
        row = self._sealed(credential, description)

        async def write(txn: Transaction) -> bool:
            stored = await txn.get(record.row_key(credential.access_key))
            if stored is None:
                self._put(txn, credential.access_key, row)
                return True
            old = record.unpack(stored)
            if old.version == record.OLD_VERSION and self._opens(old, credential):
                self._put(txn, credential.access_key, replace(row, created_ms=old.created_ms))
            return False

        return (await self._meta.transact(write))[0]

    def _opens(self, old: record.Row, credential: Credential) -> bool:
        """Whether a row is of this very pair, and good for ever."""
        good = old.state == record.ACTIVE and not old.ends_ms and old.tenant == credential.tenant
        try:
            return good and record.unseal(self._keys.key(ROOT), old, credential.access_key) == credential.secret
        except Corrupt:
            return False

    def _put(self, txn: Transaction, access_key: str, row: record.Row) -> None:
        """Every row that has not been revoked stands in the index of its tenant's credentials, too."""
        txn.put(record.row_key(access_key), row.pack())
        generation.changed(txn)
        index = tree_record.credential_of(row.tenant, access_key)
        if row.state == record.ACTIVE:
            txn.put(index, b"")
        else:
            txn.delete(index)

    def draw(self, tenant: int = ROOT_TENANT, roles: frozenset[Role] = ALL_ROLES) -> Credential:
        """A pair that is not stored yet: give it to `keep` once it has been written down."""
        return Credential(self._access_key(), self._secret(), tenant, roles)

    async def list(self) -> Sequence[Listed]:
        """All of them, revoked ones too, by access key."""
        start, end = record.row_range()
        rows = await self._meta.range(start, end, _CREDENTIALS_MOST)
        return [self._listed(record.access_key_of(key), stored) for key, stored in rows]

    async def page(self, tenant: int, *, after: str = "", limit: int = 100) -> tuple[Sequence[Listed], bool]:
        """Those of one tenant that have not been revoked, by access key, and whether more follow."""
        start, end = tree_record.credentials_of(tenant)
        if after:
            start = tree_record.credential_of(tenant, after) + b"\0"
        rows = await self._meta.range(start, end, limit + 1)
        found = []
        for access_key in (tree_record.access_key_of(row) for row, _ in rows[:limit]):
            stored = await self._meta.get(record.row_key(access_key))
            found += [self._listed(access_key, stored)] if stored is not None else []
        return found, len(rows) > limit

    async def index(self) -> None:
        """Enter credentials of before there was an index into it; nothing to do at any later start."""
        start, end = record.row_range()
        rows = await self._meta.range(start, end, _CREDENTIALS_MOST)
        entered = {
            row for row, _ in await self._meta.range(*tree_record.credentials_of(ROOT_TENANT), _CREDENTIALS_MOST)
        }
        missing = []
        for key, stored in rows:
            if stored[:1] != bytes((record.OLD_VERSION,)):
                continue
            with suppress(Corrupt):  # a damaged row is nobody's
                old = record.unpack(stored)
                row = tree_record.credential_of(old.tenant, record.access_key_of(key))
                if old.state == record.ACTIVE and row not in entered:
                    missing.append((key, stored, row))

        async def enter(txn: Transaction) -> None:
            for key, stored, row in missing:
                if await txn.get(key) == stored:
                    txn.put(row, b"")

        if missing:
            await self._meta.transact(enter)

    async def rotate(
        self,
        access_key: str,
        *,
        grace_s: float = 0.0,
        successor: Credential | None = None,
        deed: Deed | None = None,
    ) -> Credential:
        """A new pair of the same tenant and description; the old one ends now, or when `grace_s` seconds are over.

        Raises:
            NotFound: no such access key.
            Conflict: it has been revoked or replaced already, or its tenant is being erased.
            Invalid: a grace below 0 or over 90 days.
        """
        if not 0 <= grace_s <= 90 * 86_400:
            raise Invalid(f"a grace of {grace_s:g} s; it must lie between 0 and 90 days")
        drawn = successor or self.draw()

        async def write(txn: Transaction) -> Credential:
            row = await self._row(txn, access_key)
            demand_lasting(await chain_of(txn, row.tenant))
            if self._state(row, access_key) in (State.REVOKED, State.ENDING):
                raise Conflict(f"{access_key} has been revoked or replaced already")
            fresh = Credential(drawn.access_key, drawn.secret, row.tenant, row.roles)
            ends_ms = self._clock.now_ms() + int(grace_s * 1_000)
            ended = replace(row, ends_ms=ends_ms) if grace_s else replace(row, state=record.REVOKED)
            self._put(txn, access_key, ended)
            self._put(txn, fresh.access_key, self._sealed(fresh, row.description))
            if deed is not None:
                changed = {"successor": (None, fresh.access_key), "grace_s": (None, grace_s)}
                await deed.done_to_key(txn, row.tenant, access_key, changed)
            return fresh

        return (await self._meta.transact(write))[0]

    async def revoke(self, access_key: str, *, permit: Permit | None = None, deed: Deed | None = None) -> None:
        """End it; gateways refuse it within a second. Again is no error. Raises NotFound, and what `permit` raises."""

        async def write(txn: Transaction) -> None:
            row = await self._row(txn, access_key)
            if permit is not None:
                await permit(txn, row.tenant)
            self._put(txn, access_key, replace(row, state=record.REVOKED))
            if deed is not None:
                changed = {"state": ("active", "revoked")} if row.state == record.ACTIVE else {}
                await deed.done_to_key(txn, row.tenant, access_key, changed)

        await self._meta.transact(write)

    async def _row(self, txn: Transaction, access_key: str) -> record.Row:
        stored = await txn.get(record.row_key(access_key)) if well_formed(access_key) else None
        if stored is None:
            raise no_access_key(access_key)
        return record.unpack(stored)

    def _listed(self, access_key: str, stored: bytes) -> Listed:
        try:
            row = record.unpack(stored)
        except (Corrupt, Unsupported):
            return Listed(access_key, 0, State.UNREADABLE, 0, None, "")
        state = self._state(row, access_key)
        return Listed(access_key, row.tenant, state, row.created_ms, row.ends_ms or None, row.description, row.roles)

    def _state(self, row: record.Row, access_key: str) -> State:
        if not self._good(row):
            return State.REVOKED
        try:
            if record.unseal(self._keys.key(ROOT), row, access_key) is None:
                return State.UNREADABLE
        except Corrupt:
            return State.UNREADABLE
        return State.ENDING if row.ends_ms else State.ACTIVE

    def _sealed(self, credential: Credential, description: str) -> record.Row:
        if len(description.encode()) > record.DESCRIPTION_BYTES_MOST:
            raise Invalid(f"a description has at most {record.DESCRIPTION_BYTES_MOST} bytes")
        root_key = self._keys.key(ROOT)
        nonce = self._ids.token(record.NONCE_BYTES)
        access_key, tenant, roles = credential.access_key, credential.tenant, credential.roles
        sealed = record.seal(root_key, nonce, access_key, tenant, roles, credential.secret)
        identity = record.key_id(root_key)
        now_ms = self._clock.now_ms()
        return record.Row(record.ACTIVE, tenant, now_ms, 0, identity, nonce, sealed, description, roles)

    def _access_key(self) -> str:
        drawn = self._ids.token(ACCESS_KEY_LETTERS - len(_PREFIX))
        return _PREFIX + "".join(_CAPITALS[byte % len(_CAPITALS)] for byte in drawn)

    def _secret(self) -> str:
        return "".join(_LETTERS[byte % len(_LETTERS)] for byte in self._ids.token(SECRET_LETTERS))

    def _good(self, row: record.Row) -> bool:
        return row.state == record.ACTIVE and (not row.ends_ms or self._clock.now_ms() < row.ends_ms)


def well_formed(access_key: str) -> bool:
    return 0 < len(access_key) <= 128 and access_key.isascii() and access_key.isalnum()


def no_access_key(access_key: str) -> NotFound:
    """The same for one that is not there as for one that the caller does not reach."""
    return NotFound(f"there is no access key {access_key}", code="NoSuchAccessKey")
