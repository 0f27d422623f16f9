"""From transactions to one call of `commit_batch`: which may go together, what to lock, how to say it. Pure.

Members of a batch are judged against the state before it. So a member that reads or writes what an earlier one writes
waits for the next batch; additions to one counter are summed.

Locks are advisory, of 64-bit ids, taken in ascending order by every batch of every process: shared on a key read,
exclusive on a key written. Ranges are guarded by *granules*, the first 13 bytes of a key (tenant, table, bucket): who
touches a key takes its granule shared, who reads a range in it exclusively, so that no key comes or goes meanwhile. Beyond
`KEYS_LOCKED_MOST` keys a batch takes its granules exclusively and no keys: PostgreSQL's lock table is small. A key that is shorter than
a granule is its own, and is locked as a key alone, however many there are: ranges that hold it span granules. So the rows of the
tree, which every write expects, make no batch a large one.

Accounts (charging.py) are locked by a few hundred ids that they share: shared by who charges them, exclusively by who sums one up.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

from isotherm.meta.member import Member, RangeRead
from isotherm.meta.postgresql.schema import APPENDED, PLACED, STAMPED, count_key, feed_prefix

GRANULE_BYTES = 13
KEYS_LOCKED_MOST = 400
_LENGTH = struct.Struct(">i")
_ID = struct.Struct(">q")


def together(members: Sequence[Member], most_bytes: int) -> int:
    """How many of the first members may be committed in one batch; at least one."""
    written: set[bytes] = set()
    size = 0
    for position, member in enumerate(members):
        own = {*member.writes, *member.stamped}
        size += member.size_bytes
        if position and (
            size > most_bytes
            or not written.isdisjoint(member.reads)
            or not written.isdisjoint(own)
            or not written.isdisjoint(_counted(member))
            or any(key_range.start <= key < key_range.end for key_range in member.ranges for key in written)
            or any(_touches(key_range, member) for key_range in member.ranges)
            or any(not own.isdisjoint(_counted(other)) or _adds_read(other, member) for other in members[:position])
            or any(_placed_inside(other, member) for other in members[:position])
        ):
            return position
        written |= own
    return len(members)


def _touches(key_range: RangeRead, member: Member) -> bool:
    """A range that the member's own counters lie in cannot be judged before they are added."""
    return any(key_range.start <= key < key_range.end for key in _counted(member))


def _counted(member: Member) -> Collection[bytes]:
    """What a member adds to; of an account its first row stands for all, as ranges hold all of them or none."""
    return member.adds.keys() | member.charges.keys() if member.charges else member.adds


def _adds_read(earlier: Member, later: Member) -> bool:
    """Whether an earlier member adds to what a later one reads."""
    counted = _counted(earlier)
    if not counted:
        return False
    return not later.reads.keys().isdisjoint(counted) or any(
        key_range.start <= key < key_range.end for key_range in later.ranges for key in counted
    )


def _placed_inside(earlier: Member, later: Member) -> bool:
    """Whether an earlier member's `put_at` may lie in a range a later one has read."""
    return any(
        key_range.start <= prefix + b"\xff" * 16 and prefix < key_range.end
        for key_range in later.ranges
        for prefix, _, _ in earlier.placed
    )


@dataclass(slots=True)
class _Locks:
    keys: dict[bytes, bool] = field(default_factory=dict)
    short: dict[bytes, bool] = field(default_factory=dict)
    granules: dict[bytes, bool] = field(default_factory=dict)
    accounts: dict[int, bool] = field(default_factory=dict)

    def key(self, key: bytes, *, exclusive: bool) -> None:
        if len(key) < GRANULE_BYTES:
            self.short[key] = self.short.get(key, False) or exclusive
            return
        self.keys[key] = self.keys.get(key, False) or exclusive
        self.granule(key[:GRANULE_BYTES], exclusive=False)

    def granule(self, granule: bytes, *, exclusive: bool) -> None:
        self.granules[granule] = self.granules.get(granule, False) or exclusive

    def account(self, account: bytes, *, exclusive: bool) -> None:
        identity = _lock_id(b"a", hashlib.blake2b(account, digest_size=1).digest())
        self.accounts[identity] = self.accounts.get(identity, False) or exclusive

    def ordered(self) -> tuple[list[int], list[bool]]:
        """(ids, exclusive), ascending."""
        held = dict(self.accounts)
        many = len(self.keys) > KEYS_LOCKED_MOST
        for granule, exclusive in self.granules.items():
            identity = _lock_id(b"g", granule)
            held[identity] = held.get(identity, False) or exclusive or many
        for keys in (self.short,) if many else (self.short, self.keys):
            for key, exclusive in keys.items():
                identity = _lock_id(b"k", key)
                held[identity] = held.get(identity, False) or exclusive
        ids = sorted(held)
        return ids, [held[identity] for identity in ids]


def _lock_id(kind: bytes, name: bytes) -> int:
    identity: int = _ID.unpack(hashlib.blake2b(kind + name, digest_size=8).digest())[0]
    return identity


def _granule_of(key_range: RangeRead) -> bytes:
    """A range within one granule is guarded by it; a wider one by everything, which the empty granule stands for."""
    granule = key_range.start[:GRANULE_BYTES]
    within = len(granule) == GRANULE_BYTES and key_range.end <= _after(granule)
    return granule if within else b""


def _after(granule: bytes) -> bytes:
    """The least key beyond a granule."""
    return (int.from_bytes(granule, "big") + 1).to_bytes(GRANULE_BYTES + 1, "big").removeprefix(b"\0")


def digest_of(pairs: Sequence[tuple[bytes, bytes]]) -> bytes:
    """As `range_digest` computes it of what a range holds now."""
    digest = hashlib.sha256()
    for key, value in pairs:
        digest.update(_LENGTH.pack(len(key)) + key + _LENGTH.pack(len(value)) + value)
    return digest.digest()


def arguments(
    members: Sequence[Member], shard: int, exact: frozenset[bytes] = frozenset()
) -> tuple[list[Any], list[int]]:
    """(the arguments of `commit_batch`, the n of each member's ordinal 0). `exact`: accounts to be summed up."""
    locks = _Locks()
    reads: list[tuple[int, bytes, bytes | None]] = []
    ranges: list[tuple[int, bytes, bytes, int, bool, bytes]] = []
    adds: list[tuple[int, bytes, int]] = []
    deletes: list[tuple[int, bytes]] = []
    puts: list[tuple[int, bytes, bytes]] = []
    stamps: list[tuple[int, bytes, bytes, int, int]] = []
    counts: list[tuple[int, bytes]] = []
    charges: list[tuple[int, bytes, int, int | None, bool]] = []
    bases: list[int] = []
    base = 0
    for m, member in enumerate(members):
        bases.append(base)
        for key, value in member.reads.items():
            locks.key(key, exclusive=False)
            reads.append((m, key, value))
        for r in member.ranges:
            locks.granule(_granule_of(r), exclusive=True)
            ranges.append((m, r.start, r.end, r.limit, r.reverse, digest_of(r.pairs)))
        for key, delta in member.adds.items():
            if len(key) >= GRANULE_BYTES:
                locks.granule(key[:GRANULE_BYTES], exclusive=False)
            adds.append((m, key, delta))
        for key, written in member.writes.items():
            locks.key(key, exclusive=True)
            if written is None:
                deletes.append((m, key))
            else:
                puts.append((m, key, written))
        for key, (ordinal, value) in member.stamped.items():
            locks.key(key, exclusive=True)
            stamps.append((m, key, value, base + ordinal, STAMPED))
        for prefix, ordinal, value in member.placed:
            granule = prefix[:GRANULE_BYTES]  # a shorter prefix leaves open where the key will lie
            locks.granule(granule if len(granule) == GRANULE_BYTES else b"", exclusive=len(granule) < GRANULE_BYTES)
            stamps.append((m, prefix, value, base + ordinal, PLACED))
        for feed, ordinal, value in member.appends:
            stamps.append((m, feed_prefix(feed), value, base + ordinal, APPENDED))
            counts.append((m, count_key(feed, shard)))
        for account, (delta, most) in member.charges.items():
            if delta:
                locks.account(account, exclusive=account in exact)
                charges.append((m, account, delta, most, account in exact))
        base += member.stamps or 1
    locks.granule(b"", exclusive=False)
    columns: list[Any] = [*locks.ordered()]
    all_rows: tuple[tuple[Sequence[Any], int], ...] = (
        (reads, 3),
        (ranges, 6),
        (adds, 3),
        (deletes, 2),
        (puts, 3),
        (stamps, 5),
        (counts, 2),
        (charges, 5),
    )
    for rows, width in all_rows:
        columns += [[row[column] for row in rows] for column in range(width)]
    return columns, bases
