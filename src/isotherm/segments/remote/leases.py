"""Who does some background work, among the processes of many machines: a row that its holder changes again and again.

    T ‖ work    → session (16) ‖ beat u64

Whoever finds the row unchanged for `lease_s` of its own time takes it over: no clock is shared. A holder keeps the work until
it dies, so that what it has seen of ages stays of use. Two may believe for a moment that they hold it: everything done under
a lease is safe to do twice, and the lease only saves the effort.

Any thread.
"""

from __future__ import annotations

from isotherm.clock import Clock
from isotherm.meta.port import Meta, Transaction
from isotherm.segments.remote.sightings import Sightings

LEASES = bytes(4) + b"T"


class Leases:
    """
    Args:
        session: 16 random bytes, this process's name.
    """

    def __init__(self, meta: Meta, clock: Clock, session: bytes, lease_s: float) -> None:
        self._meta = meta
        self._session = session
        self._lease_s = lease_s
        self._beat = 0
        self._seen: Sightings[str, bytes | None] = Sightings(clock)

    async def take(self, work: str) -> Held | None:
        """The work, or None where another process has it."""
        key = LEASES + work.encode()
        self._beat += 1
        mine = self._session + self._beat.to_bytes(8, "big")
        found = await self._meta.get(key)
        others = found is not None and found[: len(self._session)] != self._session
        if others and self._seen.age(work, found) < self._lease_s:
            return None

        async def replace(txn: Transaction) -> bool:
            if await txn.get(key) != found:
                return False
            txn.put(key, mine)
            return True

        return Held() if (await self._meta.transact(replace))[0] else None


class Held:
    """A lease. Closing it changes nothing: it is kept by taking it again, and lost by not doing so."""

    __slots__ = ()

    def close(self) -> None:
        return
