"""Keys of any length in memcmp order on an engine whose keys end at 511 bytes.

- A key shorter than FIRST bytes is an entry as it is.
- A longer key leaves a *marker*, its first FIRST bytes with an empty value, and continues among the reserved keys under
  ff 'k' ‖ blake2b-256(what has been consumed) ‖ rest. A rest of NEXT bytes or more leaves a marker of exactly NEXT
  bytes there and continues under the hash of everything consumed so far.

Markers are told by their length alone: no other entry has FIRST bytes, none under ff 'k' 34 + NEXT. The place of a key
follows from the key, so a get reads one entry whatever the length; only a walk reads markers.

LMDB's named tables are not used: opening one needs the writer lock, which a foreign process must not take, and each
costs a page a commit.

Invariant: a marker exists exactly while at least one key continues it. Pure functions over an open transaction; any
thread that owns the transaction. Format: docs/formats/meta-lmdb.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from hashlib import blake2b
from itertools import islice
from typing import Any

from isotherm.meta.port import Pairs

Txn = Any  # an lmdb.Transaction

FIRST = 500
NEXT = 400
CONTINUED = b"\xffk"
_DIGEST_BYTES = 32
_STEP, _STEP_GROWTH = 32, 8  # entries that a walk takes at once: all of them may lie beyond its end
_NODE_BYTES = len(CONTINUED) + _DIGEST_BYTES


def node_of(consumed: bytes) -> bytes:
    """The prefix under which the continuations of `consumed` lie."""
    return CONTINUED + blake2b(consumed, digest_size=_DIGEST_BYTES).digest()


def _consumed(key: bytes) -> int:
    return FIRST + (len(key) - FIRST) // NEXT * NEXT


def get(txn: Txn, key: bytes) -> bytes | None:
    value: bytes | None
    if len(key) < FIRST:
        value = txn.get(key)
    else:
        cut = _consumed(key)
        value = txn.get(node_of(key[:cut]) + key[cut:])
    return value


def put(txn: Txn, key: bytes, value: bytes) -> None:
    if len(key) < FIRST:
        txn.put(key, value)
        return
    cut = _consumed(key)
    txn.put(node_of(key[:cut]) + key[cut:], value)
    while cut > FIRST:
        parent = cut - NEXT
        if not txn.put(node_of(key[:parent]) + key[parent:cut], b"", overwrite=False):
            return  # this marker stands, so those above it do
        cut = parent
    txn.put(key[:FIRST], b"", overwrite=False)


def delete(txn: Txn, key: bytes) -> bool:
    """Whether it was there."""
    if len(key) < FIRST:
        return bool(txn.delete(key))
    cut = _consumed(key)
    if not txn.delete(node_of(key[:cut]) + key[cut:]):
        return False
    cursor = txn.cursor()
    while True:
        node = node_of(key[:cut])
        if cursor.set_range(node) and cursor.key().startswith(node):
            return True
        if cut == FIRST:
            txn.delete(key[:FIRST])
            return True
        parent = cut - NEXT
        txn.delete(node_of(key[:parent]) + key[parent:cut])
        cut = parent


def scan(txn: Txn, start: bytes, end: bytes, limit: int, reverse: bool = False) -> Pairs:
    """Pairs with `start` ≤ key < `end`, at most `limit`, from the end when `reverse`.

    Every marker the walk meets holds at least one key of the range, but for the one that `start` or `end` passes
    through: the first of the walk is therefore taken by itself, and `limit` entries after it are always enough.
    """
    if limit <= 0 or start >= end:
        return []
    if reverse:
        return _scan_back(txn, start, end, limit)
    found: Pairs = []
    cursor = txn.cursor()
    if not (cursor.set_range(start[:FIRST]) if start else cursor.first()):
        return found
    if len(start) >= FIRST and cursor.key() == start[:FIRST]:
        highest = end[FIRST:] if end[:FIRST] == start[:FIRST] else None
        found.extend(islice(_continued(txn, start[:FIRST], start[FIRST:], highest), limit))
        if len(found) == limit or not cursor.next():
            return found
    entries, size = cursor.iternext(), _STEP
    while (missing := limit - len(found)) > 0:
        pairs: Pairs = list(islice(entries, min(size, missing)))
        size *= _STEP_GROWTH
        whole = bool(pairs) and pairs[-1][0] < end
        if whole and FIRST not in map(len, [key for key, _ in pairs]):
            found += pairs
            continue
        for pair in pairs:
            key = pair[0]
            if key >= end:
                break
            if len(key) == FIRST:
                highest = end[FIRST:] if end[:FIRST] == key else None
                found.extend(islice(_continued(txn, key, b"", highest), limit))
            else:
                found.append(pair)
        if not whole:
            break
    return found if len(found) <= limit else found[:limit]


def _scan_back(txn: Txn, start: bytes, end: bytes, limit: int) -> Pairs:
    found: Pairs = []
    cursor = txn.cursor()
    if not _seek_below(cursor, end, FIRST, b""):
        return found
    if len(end) > FIRST and cursor.key() == end[:FIRST]:
        lowest = start[FIRST:] if start[:FIRST] == end[:FIRST] else b""
        found.extend(islice(_continued(txn, end[:FIRST], lowest, end[FIRST:], reverse=True), limit))
        if len(found) == limit or not cursor.prev():
            return found
    for pair in islice(cursor.iterprev(), limit - len(found)):
        key = pair[0]
        if len(key) == FIRST and key >= start[:FIRST]:
            lowest = start[FIRST:] if start[:FIRST] == key else b""
            found.extend(islice(_continued(txn, key, lowest, None, reverse=True), limit))
        elif key < start:
            break
        else:
            found.append(pair)
    return found if len(found) <= limit else found[:limit]


def _seek_below(cursor: Any, end: bytes | None, longest: int, node: bytes) -> bool:
    """Place `cursor` on the last entry under `node` that is, or leads to, a key below `end` (None: on the last).

    False where it found nothing; an entry it found may still lie before `node`.
    """
    if end is None:
        beyond = node[:-1] + bytes((node[-1] + 1,)) if node[-1] < 255 else node + b"\xff" * (longest + 1)
    else:
        beyond = node + end[:longest]
        if cursor.set_range(beyond):
            # The marker that `end` itself passes through leads to keys below it.
            return bool((len(end) > longest and cursor.key() == beyond) or cursor.prev())
        return bool(cursor.last())
    return bool(cursor.prev() if cursor.set_range(beyond) else cursor.last())


def _continued(
    txn: Txn, consumed: bytes, lowest: bytes, highest: bytes | None, reverse: bool = False
) -> Iterator[tuple[bytes, bytes]]:
    """Keys that continue `consumed`, whole, where `lowest` ≤ continuation < `highest`."""
    node = node_of(consumed)
    cursor = txn.cursor()
    found = _seek_below(cursor, highest, NEXT, node) if reverse else cursor.set_range(node + lowest[:NEXT])
    if not found:
        return
    entries: Iterable[tuple[bytes, bytes]] = cursor.iterprev() if reverse else cursor.iternext()
    for place, value in entries:
        rest = place[_NODE_BYTES:]
        if not place.startswith(node):
            return
        if len(rest) == NEXT:
            if (highest is not None and rest >= highest) or rest < lowest[:NEXT]:
                return
            low = lowest[NEXT:] if lowest[:NEXT] == rest else b""
            high = highest[NEXT:] if highest is not None and highest[:NEXT] == rest else None
            yield from _continued(txn, consumed + rest, low, high, reverse)
        elif rest < lowest or (highest is not None and rest >= highest):
            return
        else:
            yield consumed + rest, value
