"""What is mounted in tenants, as one process knows it: names of buckets that lead into another tenant.

Asked for by `identity.Credentials` when it looks a credential up, so that a new alias is known within a second. What is known
here names a way, and permits nothing: whoever takes it shows the mount's row again in each of its transactions and look-ups
(`objects.context.Warrant`), so that a grant that was revoked is refused at once, however old this knowledge is.

For one loop's thread, or a program without one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from isotherm.clock import Clock
from isotherm.errors import AlreadyExists, Corrupt, Denied, Unsupported
from isotherm.meta.port import Pairs, Reader
from isotherm.tenancy import grant_record as record
from isotherm.tenancy.generation import Generation
from isotherm.tenancy.grant_record import Access, Grant
from isotherm.tenancy.grant_removal import MOUNTS_MOST

SHARED_S = 0.25
KNOWN_MOST = 40_000
"""Far more than tenants can be looked up within a second: none that is at it is dropped."""


@dataclass(frozen=True, slots=True)
class Mount:
    """A granted bucket under its alias. `row`, `stored`: where that is written, and what."""

    grant: Grant
    row: bytes
    stored: bytes

    def demand(self, access: Access, *keys: str) -> None:
        """Raises Denied for what was not granted, be it there or not."""
        grant = self.grant
        if access is Access.WRITE and grant.access is not Access.WRITE:
            raise Denied("This bucket is granted for reading only.")
        if grant.prefix and not all(key.startswith(grant.prefix) for key in keys):
            raise Denied("Access Denied")


_NOTHING: Mapping[str, Mount] = {}


@dataclass(frozen=True, slots=True)
class _Known:
    read_s: float
    number: int
    rows: Pairs
    mounts: Mapping[str, Mount]


class Mounts:
    """Of the tenants of a store. `at_hand`: tenant → alias → mount, of those tenants alone that have any."""

    def __init__(self, reader: Reader, clock: Clock, generation: Generation) -> None:
        self._reader = reader
        self._clock = clock
        self._generation = generation
        self._known: dict[int, _Known] = {}
        self.at_hand: dict[int, Mapping[str, Mount]] = {}

    async def refresh(self, tenant: int) -> float:
        """Read what is mounted in a tenant, unless that was done just now; the monotonic time since when it is known."""
        now_s = self._clock.monotonic()
        before = self._known.pop(tenant, None)
        number = self._generation.number
        if before is not None and before.number == number:
            since_s = self._generation.since_s(number, before.read_s)
            if now_s - since_s < SHARED_S:
                self._known[tenant] = before
                return since_s
        rows = await self._reader.range(*record.mounts_in(tenant), MOUNTS_MOST)
        same = before is not None and before.rows == rows
        mounts = before.mounts if before is not None and same else _decoded(rows)
        while len(self._known) >= KNOWN_MOST:
            oldest = next(iter(self._known))
            del self._known[oldest]
            self.at_hand.pop(oldest, None)
        self._known[tenant] = _Known(now_s, number, rows, mounts)
        if mounts:
            self.at_hand[tenant] = mounts
        else:
            self.at_hand.pop(tenant, None)
        return now_s


async def demand_no_alias(reader: Reader, tenant: int, name: str) -> None:
    """Raises AlreadyExists where a granted bucket is mounted in a tenant under a name. Within a transaction this holds at its commit."""
    if await reader.get(record.mount_row(tenant, name)) is not None:
        raise AlreadyExists(
            "The requested bucket name is not available: a bucket that was granted to you is mounted under it.",
            code="BucketAlreadyExists",
            BucketName=name,
        )


def _decoded(rows: Pairs) -> Mapping[str, Mount]:
    mounts = {}
    for row, stored in rows:
        try:
            grant = record.unpack(stored)
        except (Corrupt, Unsupported):  # it is as if it were not there; fsck tells
            continue
        if row == record.mount_row(grant.to, grant.alias):
            mounts[grant.alias] = Mount(grant, row, stored)
    return mounts or _NOTHING
