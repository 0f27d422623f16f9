"""Who asks: credentials, bound to tenants by the server and never by the caller.

An access key names a row in the system tenant; its secret is sealed there (credential_record.py). `find` is what every
request calls: it answers from a cache whose entries are at most a second old, so that a revoked key stops within a second
in every gateway, and no message has to reach it. What is not at hand is to be looked up (`look_up`), which waits for the
store as long as that takes: an answer is never older than a second or the request itself. Entries in use are asked for again
before they are too old, so that hardly anybody waits.

`find` and `look_up` are for one loop's thread, or a program without one. The other methods are coroutines, run by the
command line and the control process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

from isotherm.clock import Clock
from isotherm.devices.waiting import start_eagerly
from isotherm.errors import Conflict, Corrupt, Invalid, IsothermError, NotFound, SlowDown, Unsupported
from isotherm.ids import Ids
from isotherm.meta.port import Meta, Transaction
from isotherm.tenancy import credential_record as record
from isotherm.tenancy.keystore import ROOT, KeyStore

ROOT_TENANT = 1
ACCESS_KEY_LETTERS = 20
SECRET_LETTERS = 40
FRESH_S = 1.0
REFRESH_S = 0.5
STRANGERS_MOST = 32
"""Access keys never seen before that are looked up at once: a flood of guesses must not keep the store from others."""
KNOWN_MOST = 10_000
UNKNOWN_MOST = 1_000

_CAPITALS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+_"
_PREFIX = "ISOT"
_CREDENTIALS_MOST = 100_000


class NotAtHand(Exception):
    """`find` cannot say without asking the store; `look_up` can."""

    def __init__(self, access_key: str) -> None:
        super().__init__(access_key)
        self.access_key = access_key


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

    def __repr__(self) -> str:
        return f"Credential({self.access_key!r}, tenant={self.tenant})"


@dataclass(frozen=True, slots=True)
class Listed:
    """A credential without its secret. Times in milliseconds since 1970; `ends_ms` is None where there is no end."""

    access_key: str
    tenant: int
    state: State
    created_ms: int
    ends_ms: int | None
    description: str


@dataclass(slots=True)
class _Known:
    looked_up_s: float
    stored: bytes
    row: record.Row
    credential: Credential


class Credentials:
    """The credentials of a store."""

    def __init__(self, meta: Meta, keys: KeyStore, clock: Clock, ids: Ids) -> None:
        self._meta = meta
        self._keys = keys
        self._clock = clock
        self._ids = ids
        self._known: dict[str, _Known] = {}
        self._unknown: dict[str, float] = {}
        self._under_way: dict[str, asyncio.Task[Credential | None]] = {}
        self._strangers = 0

    def find(self, access_key: str) -> Credential | None:
        """The credential, if it is active now or was at most a second ago. Costs a dictionary look-up most times.

        Raises:
            NotAtHand: ask `look_up`.
        """
        now_s = self._clock.monotonic()
        known = self._known.get(access_key)
        if known is not None:
            age_s = now_s - known.looked_up_s
            if age_s < FRESH_S:
                if age_s >= REFRESH_S and access_key not in self._under_way:
                    self._refresh(access_key)
                return known.credential if self._good(known.row) else None
        missed_s = self._unknown.get(access_key)
        if missed_s is not None and now_s - missed_s < FRESH_S:
            return None
        raise NotAtHand(access_key)

    async def look_up(self, access_key: str) -> Credential | None:
        """The credential as the store has it now, or had it after this was called. Callers of one key share an answer.

        Raises:
            Unavailable, SlowDown: the store cannot be asked now.
            Unavailable, Denied, Misuse: the root key cannot be read.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return await self._ask(access_key)
        return await self._shared(access_key)

    async def _shared(self, access_key: str) -> Credential | None:
        task = self._under_way.get(access_key)
        if task is None:
            answers: list[Credential | None] = []
            task = self._begin(access_key, answers)
            if task is None:
                return answers[0]
        return await asyncio.shield(task)

    def _refresh(self, access_key: str) -> None:
        """Ask for a key in use in the background; what fails is found out by whoever must wait for it."""
        try:
            asyncio.get_running_loop()
            self._begin(access_key, [])
        except (RuntimeError, IsothermError):
            return

    def _begin(self, access_key: str, answers: list[Credential | None]) -> asyncio.Task[Credential | None] | None:
        """Ask; None, and the answer in `answers`, where the store answered without waiting, as an embedded one does."""

        async def ask() -> Credential | None:
            answers.append(await self._ask(access_key))
            return answers[0]

        task = start_eagerly(ask())
        if task is not None:
            self._under_way[access_key] = task
            task.add_done_callback(lambda done: self._ended(access_key, done))
        return task

    def _ended(self, access_key: str, task: asyncio.Task[Credential | None]) -> None:
        del self._under_way[access_key]
        if not task.cancelled():
            task.exception()  # whoever waited has been told

    async def _ask(self, access_key: str) -> Credential | None:
        if not _well_formed(access_key):
            self._remember_unknown(access_key, self._clock.monotonic())
            return None
        if access_key in self._known:
            return await self._look_up(access_key)
        if self._strangers >= STRANGERS_MOST:
            raise SlowDown("too many unknown access keys are being looked up")
        self._strangers += 1
        try:
            return await self._look_up(access_key)
        finally:
            self._strangers -= 1

    async def create(self, description: str = "", *, tenant: int = ROOT_TENANT) -> Credential:
        """A new pair. Raises Invalid for a description over 256 bytes."""
        credential = Credential(self._access_key(), self._secret(), tenant)
        await self.keep(credential, description)
        return credential

    async def keep(self, credential: Credential, description: str) -> bool:
        """Store a pair that was made elsewhere; False, and nothing changed, where its access key is taken."""
        row = self._sealed(credential, description)

        async def write(txn: Transaction) -> bool:
            if await txn.get(record.row_key(credential.access_key)) is not None:
                return False
            txn.put(record.row_key(credential.access_key), row.pack())
            return True

        kept, _ = await self._meta.transact(write)
        return kept

    def draw(self, tenant: int = ROOT_TENANT) -> Credential:
        """A pair that is not stored yet: give it to `keep` once it has been written down."""
        return Credential(self._access_key(), self._secret(), tenant)

    async def list(self) -> Sequence[Listed]:
        """All of them, revoked ones too, by access key."""
        start, end = record.row_range()
        rows = await self._meta.range(start, end, _CREDENTIALS_MOST)
        return [self._listed(record.access_key_of(key), stored) for key, stored in rows]

    async def rotate(self, access_key: str, *, grace_s: float = 0.0, successor: Credential | None = None) -> Credential:
        """A new pair of the same tenant and description; the old one ends now, or when `grace_s` seconds are over.

        Raises:
            NotFound: no such access key.
            Conflict: it has been revoked or replaced already.
            Invalid: a grace below 0 or over 90 days.
        """
        if not 0 <= grace_s <= 90 * 86_400:
            raise Invalid(f"a grace of {grace_s:g} s; it must lie between 0 and 90 days")
        drawn = successor or self.draw()

        async def write(txn: Transaction) -> Credential:
            row = await self._row(txn, access_key)
            if self._state(row, access_key) in (State.REVOKED, State.ENDING):
                raise Conflict(f"{access_key} has been revoked or replaced already")
            fresh = Credential(drawn.access_key, drawn.secret, row.tenant)
            ends_ms = self._clock.now_ms() + int(grace_s * 1_000)
            ended = replace(row, ends_ms=ends_ms) if grace_s else replace(row, state=record.REVOKED)
            txn.put(record.row_key(access_key), ended.pack())
            txn.put(record.row_key(fresh.access_key), self._sealed(fresh, row.description).pack())
            return fresh

        fresh, _ = await self._meta.transact(write)
        return fresh

    async def revoke(self, access_key: str) -> None:
        """End it; gateways refuse it within a second. Again is no error. Raises NotFound."""

        async def write(txn: Transaction) -> None:
            row = await self._row(txn, access_key)
            txn.put(record.row_key(access_key), replace(row, state=record.REVOKED).pack())

        await self._meta.transact(write)

    async def _look_up(self, access_key: str) -> Credential | None:
        now_s = self._clock.monotonic()
        stored = await self._meta.get(record.row_key(access_key))
        known = self._known.get(access_key)
        if stored is None:
            self._remember_unknown(access_key, now_s)
            return None
        if known is not None and known.stored == stored:
            known.looked_up_s = now_s
            return known.credential if self._good(known.row) else None
        try:
            row = record.unpack(stored)
            secret = record.unseal(self._keys.key(ROOT), row, access_key)
        except (Corrupt, Unsupported):
            secret = None
        if secret is None:
            self._remember_unknown(access_key, now_s)
            return None
        credential = Credential(access_key, secret, row.tenant)
        _make_room(self._known, KNOWN_MOST)
        self._unknown.pop(access_key, None)
        self._known[access_key] = _Known(now_s, stored, row, credential)
        return credential if self._good(row) else None

    def _remember_unknown(self, access_key: str, now_s: float) -> None:
        self._known.pop(access_key, None)
        _make_room(self._unknown, UNKNOWN_MOST)
        if len(access_key) <= ACCESS_KEY_LETTERS:
            self._unknown[access_key] = now_s

    def _good(self, row: record.Row) -> bool:
        return row.state == record.ACTIVE and (not row.ends_ms or self._clock.now_ms() < row.ends_ms)

    async def _row(self, txn: Transaction, access_key: str) -> record.Row:
        stored = await txn.get(record.row_key(access_key)) if _well_formed(access_key) else None
        if stored is None:
            raise NotFound(f"there is no access key {access_key}", code="NoSuchAccessKey")
        return record.unpack(stored)

    def _listed(self, access_key: str, stored: bytes) -> Listed:
        try:
            row = record.unpack(stored)
        except (Corrupt, Unsupported):
            return Listed(access_key, 0, State.UNREADABLE, 0, None, "")
        state = self._state(row, access_key)
        return Listed(access_key, row.tenant, state, row.created_ms, row.ends_ms or None, row.description)

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
        sealed = record.seal(root_key, nonce, credential.access_key, credential.tenant, credential.secret)
        identity = record.key_id(root_key)
        now_ms = self._clock.now_ms()
        return record.Row(record.ACTIVE, credential.tenant, now_ms, 0, identity, nonce, sealed, description)

    def _access_key(self) -> str:
        drawn = self._ids.token(ACCESS_KEY_LETTERS - len(_PREFIX))
        return _PREFIX + "".join(_CAPITALS[byte % len(_CAPITALS)] for byte in drawn)

    def _secret(self) -> str:
        return "".join(_LETTERS[byte % len(_LETTERS)] for byte in self._ids.token(SECRET_LETTERS))


def _well_formed(access_key: str) -> bool:
    return 0 < len(access_key) <= 128 and access_key.isascii() and access_key.isalnum()


def _make_room(cache: dict[str, _Known] | dict[str, float], most: int) -> None:
    while len(cache) >= most:
        del cache[next(iter(cache))]
