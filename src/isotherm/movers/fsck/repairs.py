"""What a check would mend, collected as it goes and applied afterwards.

A repair *protects* (puts back what can be derived: counters that are too low, reference rows, index rows) or *drops* (what
nothing can refer to). Dropping needs certainty, so where a check has found damage that no repair mends, nothing is
dropped: a row that cannot be read may have referred to it.

Rows are changed by comparing and setting: a row that is not what the check saw stays as it is. So repairs are safe to
repeat, and a killed repair is taken up by the next. Blocks; one thread.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice

import msgspec

from isotherm.devices.waiting import drive
from isotherm.errors import Invalid
from isotherm.meta.accounts import balance
from isotherm.meta.port import Meta, Transaction
from isotherm.movers.fsck.spill import Spill
from isotherm.segments.upkeep import Upkeep

_CHANGES_A_TRANSACTION = 200


class RowChange(msgspec.Struct, frozen=True, array_like=True, tag="row"):
    """Set `key` from `before` to `after`; None where there is no row."""

    key: bytes
    before: bytes | None
    after: bytes | None


class SegmentRemoval(msgspec.Struct, frozen=True, array_like=True, tag="segment"):
    """Remove what is stored under a segment's name and nothing knows of."""

    segment: int


class BalanceChange(msgspec.Struct, frozen=True, array_like=True, tag="balance"):
    """Charge or relieve an account, so that it comes to `after` where it came to `before`."""

    account: bytes
    before: int
    after: int


Repair = RowChange | SegmentRemoval | BalanceChange

_encode = msgspec.msgpack.Encoder().encode
_decode: Callable[[bytes], Repair] = msgspec.msgpack.Decoder(Repair).decode


class Repairs:
    """Repairs in the order they were found.

    Args:
        spill: where they wait; None where none will be made.
    """

    def __init__(self, spill: Spill | None) -> None:
        self._spill = spill
        self._count = 0

    @property
    def wanted(self) -> bool:
        return self._spill is not None

    def protect(self, key: bytes, before: bytes | None, after: bytes | None) -> None:
        self._add(b"p", RowChange(key, before, after))

    def drop(self, key: bytes, before: bytes | None, after: bytes | None = None) -> None:
        self._add(b"q", RowChange(key, before, after))

    def remove(self, segment: int) -> None:
        self._add(b"q", SegmentRemoval(segment))

    def balance(self, account: bytes, before: int, after: int) -> None:
        """An account, after rows of it that cannot be read are gone."""
        self._add(b"pz", BalanceChange(account, before, after))

    def apply(self, meta: Meta, segments: Upkeep, *, dropping: bool) -> int:
        """Make them; how many took effect.

        Args:
            dropping: False makes only those that protect.

        Raises:
            NoSpace, Unavailable: what was mended stays mended.
        """
        if self._spill is None:
            return 0
        done = 0
        found = self._found(self._spill, dropping)
        while some := list(islice(found, _CHANGES_A_TRANSACTION)):
            done += _change(meta, [repair for repair in some if isinstance(repair, RowChange)])
            for repair in some:
                if isinstance(repair, SegmentRemoval):
                    done += segments.remove(repair.segment)
                elif isinstance(repair, BalanceChange):
                    done += _charge(meta, repair)
        return done

    def _add(self, order: bytes, repair: Repair) -> None:
        if self._spill is not None:
            self._spill.add(order.ljust(2, b"a") + self._count.to_bytes(8, "big") + _encode(repair))
            self._count += 1

    def _found(self, spill: Spill, dropping: bool) -> Iterator[Repair]:
        for entry in spill.sorted():
            if entry[:1] == b"q" and not dropping:
                return
            yield _decode(entry[10:])


def _charge(meta: Meta, change: BalanceChange) -> int:
    async def compare_and_charge(txn: Transaction) -> int:
        if await balance(txn, change.account) != change.before:
            return 0
        txn.charge(change.account, change.after - change.before)
        return 1

    return drive(meta.transact(compare_and_charge))[0]


def _change(meta: Meta, changes: list[RowChange]) -> int:
    async def compare_and_set(txn: Transaction) -> int:
        done = 0
        for change in changes:
            if await txn.get(change.key) != change.before:
                continue
            if change.after is None:
                txn.delete(change.key)
            else:
                txn.put(change.key, change.after)
            done += 1
        return done

    if not changes:
        return 0
    try:
        return drive(meta.transact(compare_and_set))[0]
    except Invalid:  # too large together
        if len(changes) == 1:
            raise
    half = len(changes) // 2
    return _change(meta, changes[:half]) + _change(meta, changes[half:])
