"""Chains of hashes: how a record is bound to all before it, and how a break is found. Pure; any thread.

hash(n) = SHA-256(hash(n − 1) ‖ n as u64 ‖ entry), entry = stamp ‖ record; hash(0) is of the tenant's id, so that one tenant's
chain cannot be taken for another's. Whoever can write to the store can write a whole chain anew: against him helps a head
(number and hash) that is kept elsewhere. Everything short of that is found without one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from hashlib import sha256
from typing import NamedTuple

from isotherm.errors import Invalid
from isotherm.meta.port import NO_STAMP, STAMP_BYTES

HASH_BYTES = 32
BREAKS_MOST = 100
_HEAD = re.compile(r"([0-9]{1,19}):([0-9a-f]{64})")


class Head(NamedTuple):
    """Where a chain has come to; number 0 before its first record."""

    sequence: int
    hash: bytes


class How(Enum):
    """`CHANGED`: it, or its hash, is not what was written. `MISSING`: records are gone. `REORDERED`: it stands where another
    one stood. `CUT`: the end is gone. `UNEXPECTED`: whole in itself, but not the chain that is known from elsewhere."""

    CHANGED = "changed"
    MISSING = "missing"
    REORDERED = "reordered"
    CUT = "cut off"
    UNEXPECTED = "not the one expected"


@dataclass(frozen=True, slots=True)
class Break:
    """Where a chain is broken: records `first` to `last`, which is what `how` is about."""

    how: How
    first: int
    last: int

    def __str__(self) -> str:
        if not self.last:
            return f"its head: {self.how.value}"  # a chain's own row, or that of nothing yet
        numbers = f"record {self.first}" if self.first == self.last else f"records {self.first} to {self.last}"
        return f"{numbers}: {self.how.value}"


def genesis(tenant: int) -> Head:
    """The head of a chain without records."""
    return Head(0, sha256(b"isotherm audit chain" + tenant.to_bytes(4, "big")).digest())


def linked(head: Head, entry: bytes) -> Head:
    """The head after one more entry."""
    sequence = head.sequence + 1
    return Head(sequence, sha256(head.hash + sequence.to_bytes(8, "big") + entry).digest())


def read_head(text: str) -> Head:
    """`SEQ:HASH`, as an operator keeps it. Raises Invalid."""
    matched = _HEAD.fullmatch(text)
    if matched is None:
        raise Invalid(f"{text[:80]!r} is no head of a chain: a number, a colon, and 64 hexadecimal digits")
    return Head(int(matched[1]), bytes.fromhex(matched[2]))


@dataclass(slots=True)
class Checking:
    """A walk along the rows of one chain, in the order of their numbers.

    Args:
        expected: heads of this chain that were kept elsewhere.
        at: how far it has come, by what the rows themselves say.
        breaks: those found, at most BREAKS_MOST.
    """

    tenant: int
    expected: Sequence[Head] = ()
    at: Head = field(init=False)
    breaks: list[Break] = field(default_factory=list)
    _newest: bytes = NO_STAMP
    _blind: bool = False

    def __post_init__(self) -> None:
        self.at = genesis(self.tenant)
        self._compare_expected()

    def add(self, sequence: int, hash_: bytes, entry: bytes) -> None:
        """The next row. After a break the row's own hash is gone by, so that each break is told once."""
        stamp, before = entry[:STAMP_BYTES], self._newest
        gap = sequence != self.at.sequence + 1
        blind, self._blind = gap or self._blind, False
        if gap:
            self._found(How.MISSING, self.at.sequence + 1, sequence - 1)
        if stamp <= before:  # stamps are of the feed's order, which is the chain's
            self._found(How.REORDERED, sequence)
        elif not blind and linked(self.at, entry).hash != hash_:
            self._found(How.CHANGED, sequence)
        self._newest = max(stamp, before)
        self.at = Head(sequence, hash_)
        self._compare_expected()

    def add_unreadable(self, sequence: int) -> None:
        """The next row, which is none any more; what it leads to cannot be told from it."""
        if sequence > self.at.sequence + 1:
            self._found(How.MISSING, self.at.sequence + 1, sequence - 1)
        self._found(How.CHANGED, sequence)
        self.at, self._blind = Head(sequence, b""), True

    def end(self, head: Head | None) -> None:
        """No more rows; `head` is what the chain's own row says it has come to."""
        sequence = head.sequence if head is not None else 0
        if head is None and self.at.sequence:
            self._found(How.MISSING, 0)
        elif sequence > self.at.sequence:
            self._found(How.CUT, self.at.sequence + 1, sequence)
        elif head is not None and head != self.at and not self._blind:
            self._found(How.CHANGED, sequence)
        there, kept = max(self.at.sequence, sequence), max((one.sequence for one in self.expected), default=0)
        if kept > there:
            self._found(How.CUT, there + 1, kept)

    def _compare_expected(self) -> None:
        if any(one.sequence == self.at.sequence and one.hash != self.at.hash for one in self.expected):
            self._found(How.UNEXPECTED, self.at.sequence)

    def _found(self, how: How, first: int, last: int | None = None) -> None:
        if len(self.breaks) < BREAKS_MOST:
            self.breaks.append(Break(how, first, first if last is None else last))
