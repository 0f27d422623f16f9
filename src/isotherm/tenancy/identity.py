"""Who asks: credentials, bound to tenants by the server and never by the caller.

An access key names a row in the system tenant; its secret is sealed there (credential_record.py). `find` is what every
request calls: it answers from a cache whose entries are at most a second old, so that a revoked key stops within a second
in every gateway, and no message has to reach it. What is not at hand is to be looked up (`look_up`), which waits for the
store as long as that takes: an answer is never older than a second or the request itself. One counter tells whether anything has
changed (generation.py); while it stands, nothing is read again. Else entries in use are asked for again before they are too old, so
that hardly anybody waits.

A credential found bears the standing of its tenant, with that of all tenants above it folded in: as old as the rest. Whoever
has proved that it is his is served only after `Credential.demand`.

`find` and `look_up` are for one loop's thread, or a program without one. The other methods are coroutines, run by the
command line and the control process.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace

from isotherm.clock import Clock
from isotherm.devices.waiting import start_eagerly
from isotherm.errors import Corrupt, IsothermError, SlowDown, Unsupported
from isotherm.ids import Ids
from isotherm.meta.port import Meta
from isotherm.tenancy import credential_record as record
from isotherm.tenancy.generation import Generation
from isotherm.tenancy.keystore import ROOT, KeyStore
from isotherm.tenancy.mounts import Mounts
from isotherm.tenancy.register import ACCESS_KEY_LETTERS, Credential, Listed, Register, State, well_formed
from isotherm.tenancy.roles import ROOT_TENANT
from isotherm.tenancy.standing import Standings

__all__ = ["ROOT_TENANT", "Credential", "Credentials", "Listed", "NotAtHand", "State"]

FRESH_S = 1.0
REFRESH_S = 0.5
STRANGERS_MOST = 32
"""Access keys never seen before that are looked up at once: a flood of guesses must not keep the store from others."""
KNOWN_MOST = 40_000
UNKNOWN_MOST = 1_000


class NotAtHand(Exception):
    """`find` cannot say without asking the store; `look_up` can."""

    def __init__(self, access_key: str) -> None:
        super().__init__(access_key)
        self.access_key = access_key


@dataclass(slots=True)
class _Known:
    looked_up_s: float
    number: int
    stored: bytes
    row: record.Row
    credential: Credential


class Credentials(Register):
    """The credentials of a store."""

    def __init__(self, meta: Meta, keys: KeyStore, clock: Clock, ids: Ids) -> None:
        super().__init__(meta, keys, clock, ids)
        self.generation = Generation(meta, clock)
        self.standings = Standings(meta, clock, self.generation)
        self.mounts = Mounts(meta, clock, self.generation)
        self._known: dict[str, _Known] = {}
        self._unknown: dict[str, float] = {}
        self._under_way: dict[str, asyncio.Task[Credential | None]] = {}
        self._strangers = 0
        self._renewal: asyncio.Task[None] | None = None

    def find(self, access_key: str) -> Credential | None:
        """The credential, if it is active now or was at most a second ago. Costs a dictionary look-up most times.

        Raises:
            NotAtHand: ask `look_up`.
        """
        now_s = self._clock.monotonic()
        if self.generation.stale(now_s) and self._renewal is None:
            self._renew()
        known = self._known.get(access_key)
        if known is not None:
            age_s = now_s - self.generation.since_s(known.number, known.looked_up_s)
            if age_s < FRESH_S:
                if age_s >= REFRESH_S and self._renewal is None and access_key not in self._under_way:
                    self._refresh(access_key)
                return known.credential if self._good(known.row) else None
        missed_s = self._unknown.get(access_key)
        if missed_s is not None and now_s - missed_s < FRESH_S:
            return None
        raise NotAtHand(access_key)

    def _renew(self) -> None:
        """Ask in the background whether anything has changed. Where that fails, what is known grows old and is asked for."""
        if asyncio._get_running_loop() is None:
            return

        async def renew() -> None:
            with suppress(IsothermError):
                await self.generation.renew()

        self._renewal = start_eagerly(renew())
        if self._renewal is not None:
            self._renewal.add_done_callback(self._renewed)

    def _renewed(self, task: asyncio.Task[None]) -> None:
        self._renewal = None
        if not task.cancelled():
            task.exception()

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
        if not well_formed(access_key):
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

    async def _look_up(self, access_key: str) -> Credential | None:
        now_s, number = self._clock.monotonic(), self.generation.number
        stored = await self._meta.get(record.row_key(access_key))
        known = self._known.get(access_key)
        if stored is None:
            self._remember_unknown(access_key, now_s)
            return None
        if known is not None and known.stored == stored:
            row, credential = known.row, known.credential
        else:
            try:
                row = record.unpack(stored)
                secret = record.unseal(self._keys.key(ROOT), row, access_key)
            except (Corrupt, Unsupported):
                secret = None
            if secret is None:
                self._remember_unknown(access_key, now_s)
                return None
            credential = Credential(access_key, secret, row.tenant, row.roles)
        standing, since_s = await self.standings.of(row.tenant)
        since_s = min(since_s, await self.mounts.refresh(row.tenant))
        if standing is not credential.standing:
            credential = replace(credential, standing=standing)
        if access_key not in self._known:
            _make_room(self._known, KNOWN_MOST)
        self._unknown.pop(access_key, None)
        self._known[access_key] = _Known(min(now_s, since_s), number, stored, row, credential)
        return credential if self._good(row) else None

    def _remember_unknown(self, access_key: str, now_s: float) -> None:
        self._known.pop(access_key, None)
        _make_room(self._unknown, UNKNOWN_MOST)
        if len(access_key) <= ACCESS_KEY_LETTERS:
            self._unknown[access_key] = now_s


def _make_room(cache: dict[str, _Known] | dict[str, float], most: int) -> None:
    while len(cache) >= most:
        del cache[next(iter(cache))]
