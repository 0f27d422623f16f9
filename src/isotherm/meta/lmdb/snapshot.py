"""One consistent state of the store, for as long as a transaction or a listing takes. Any thread, one at a time."""

from __future__ import annotations

import lmdb

from isotherm.clock import Clock
from isotherm.errors import SnapshotExpired
from isotherm.meta import rules
from isotherm.meta.lmdb import keys, rows
from isotherm.meta.lmdb.environment import Environment, explain
from isotherm.meta.port import TRANSACTION_S, Pairs


class LmdbSnapshot:
    """One consistent state for at most TRANSACTION_S. See `port.Snapshot`."""

    __slots__ = ("_clock", "_deadline", "_environment", "_txn")

    def __init__(self, environment: Environment, clock: Clock) -> None:
        self._environment = environment
        self._clock = clock
        self._txn = environment.reading()
        self._deadline = clock.monotonic() + TRANSACTION_S

    def view(self) -> keys.Txn:
        """The LMDB transaction to read from. Raises `ForkedHandle`, `SnapshotExpired`."""
        self._environment.guard.check()
        if self._clock.monotonic() > self._deadline:
            self.close()
        if self._txn is None:
            raise SnapshotExpired(f"a snapshot lasts {TRANSACTION_S} s and until it is closed")
        return self._txn

    def position(self) -> tuple[int, int]:
        """The epoch, and the number of the last commit it sees."""
        txn = self.view()
        return rows.epoch_of(txn), txn.id()

    async def newest(self) -> tuple[int, int]:
        return self.position()

    def check(self) -> None:
        self.view()

    async def get(self, key: bytes) -> bytes | None:
        txn = self.view()
        try:
            if 0 < len(key) < keys.FIRST and key < rules.RESERVED:
                value: bytes | None = txn.get(key)
                return value
            rules.check_key(key)
            return keys.get(txn, key)
        except lmdb.Error as error:
            raise explain(error, "cannot read") from error

    async def range(self, start: bytes, end: bytes, limit: int, *, reverse: bool = False) -> Pairs:
        return self.scan(start, min(end, rules.RESERVED), limit, reverse)

    def scan(self, start: bytes, end: bytes, limit: int, reverse: bool) -> Pairs:
        txn = self.view()
        try:
            return keys.scan(txn, start, end, limit, reverse)
        except lmdb.Error as error:
            raise explain(error, "cannot read") from error

    def close(self) -> None:
        """Idempotent. In a forked child the parent's transaction is left alone."""
        txn, self._txn = self._txn, None
        if txn is not None and not self._environment.guard.forked:
            txn.abort()

    def __enter__(self) -> LmdbSnapshot:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
