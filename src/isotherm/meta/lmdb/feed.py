"""Reading a feed: pages of records after a cursor, within one snapshot each. Any thread."""

from __future__ import annotations

from isotherm.meta import rules
from isotherm.meta.lmdb import rows
from isotherm.meta.lmdb.snapshot import LmdbSnapshot
from isotherm.meta.port import FeedPage, Pairs, clip


def read_page(snapshot: LmdbSnapshot, feed: bytes, after: bytes | None, limit: int) -> FeedPage:
    """See `port.Meta.feed`."""
    rules.check_feed(feed)
    txn = snapshot.view()
    epoch, commit = snapshot.position()
    floor: bytes | None = txn.get(rows.floor_key(feed))
    prefix = rows.feed_prefix(feed)
    if after is None:
        after = floor if floor is not None else rules.STAMP.pack(epoch, 0, 0)
        start = prefix
    else:
        rules.check_cursor(after, epoch, commit, floor)
        start = prefix + after + b"\0"
    pairs = snapshot.scan(start, prefix + b"\xff" * 17, limit, False)
    return clip([(key[-16:], value) for key, value in pairs], after)


def read_records(snapshot: LmdbSnapshot, feed: bytes, after: bytes, limit: int) -> Pairs:
    """Records as they lie, by stamp, after any stamp of any epoch; for checks, which are no followers."""
    rules.check_feed(feed)
    prefix = rows.feed_prefix(feed)
    pairs = snapshot.scan(prefix + after + b"\0", prefix + b"\xff" * 17, limit, False)
    return [(key[-16:], value) for key, value in pairs]


def end_of(snapshot: LmdbSnapshot) -> bytes:
    """A cursor after everything that `snapshot` sees, of any feed; also the stamp up to which it sees all commits."""
    return rules.STAMP.pack(*snapshot.position(), rules.LAST_N)
