"""One consistent state of the database, written out as a copy that LMDB's readers understand: for backups and for fsck.

It is read in one REPEATABLE READ transaction, which holds back the feed's watermark and vacuum for as long as it lasts:
followers hear of nothing new meanwhile. On the home loop; what blocks is handed to a thread.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from isotherm.devices.waiting import offload
from isotherm.meta import rules
from isotherm.meta.lmdb.copies import WrittenCopy
from isotherm.meta.lmdb.environment import CopyInfo
from isotherm.meta.port import ACCOUNT_BYTES, ACCOUNTS, Pairs
from isotherm.meta.postgresql.connections import Connection
from isotherm.meta.postgresql.feed import position

PAGE_ROWS = 2_000
_MAP_BYTES = 1 << 40
_PAGE = "select k, v from kv where k > $1 order by k limit $2"
_FEED, _FLOOR, _COUNT = b"\xfff", b"\xfft", b"\xffn"


async def export(connection: Connection, target: Path) -> CopyInfo:
    """Copy what `connection` sees into `target`, a directory that does not exist yet.

    Raises:
        Invalid: it exists. NoSpace, Unavailable; then nothing is left of it.
    """
    written = await offload(WrittenCopy, target, _MAP_BYTES)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            epoch, _, newest, _ = await position(connection, b"")
            info = CopyInfo(epoch, newest)
            floors, counts = await _rows(connection, written)
        await offload(written.finish, info, floors, counts)
    except BaseException:
        written.close()
        shutil.rmtree(target, ignore_errors=True)
        raise
    return info


async def _rows(connection: Connection, written: WrittenCopy) -> tuple[dict[bytes, bytes], dict[bytes, int]]:
    """Write all rows; gives the engine's own that the other engine keeps otherwise: (floors, counts) by feed."""
    floors: dict[bytes, bytes] = {}
    counts: dict[bytes, int] = {}
    balances = _Balances()
    after = b""
    while page := [(row[0], row[1]) for row in await connection.fetch(_PAGE, after, PAGE_ROWS)]:
        after = page[-1][0]
        kept: Pairs = []
        for key, value in page:
            name = key[3 : 3 + key[2]] if key >= rules.RESERVED and len(key) > 2 else b""
            if key.startswith(ACCOUNTS):
                kept += balances.take(key[:ACCOUNT_BYTES], rules.count_of(value))
            elif key < rules.RESERVED or key.startswith(_FEED):
                kept.append((key, value))
            elif key.startswith(_FLOOR):
                floors[name] = value
            elif key.startswith(_COUNT):
                counts[name] = counts.get(name, 0) + int.from_bytes(value, "little", signed=True)
        await offload(written.put, kept)
    await offload(written.put, balances.take(b"", 0))
    return floors, counts


class _Balances:
    """The rows of accounts, summed up: the other engine keeps one of each. They come in order."""

    def __init__(self) -> None:
        self._account = b""
        self._balance = 0

    def take(self, account: bytes, count: int) -> Pairs:
        """A row more; what is complete with it: the account before."""
        if account == self._account:
            self._balance += count
            return []
        balance = rules.counter(self._balance)
        complete = [(self._account, balance)] if balance is not None else []
        self._account, self._balance = account, count
        return complete
