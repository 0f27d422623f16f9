"""The feed on PostgreSQL: rows in order of transaction ids, read only below the id of the oldest transaction under way.

A transaction id is assigned before its commit, so that a greater one may become visible earlier; below
`pg_snapshot_xmin` everything is decided. Any long transaction of the whole database cluster holds that watermark back:
followers then wait, and miss nothing.
"""

from __future__ import annotations

from isotherm.meta import rules
from isotherm.meta.port import FeedPage, Pairs, clip
from isotherm.meta.postgresql.connections import Connection
from isotherm.meta.postgresql.schema import EPOCH_KEY, count_key, feed_prefix, floor_key

_POSITION = """
select (select v from kv where k = $1), pg_snapshot_xmin(s)::text::bigint, pg_snapshot_xmax(s)::text::bigint,
       (select v from kv where k = $2) from pg_current_snapshot() as s
"""
_PAGE = """
select k, v from kv where k > $1 and k < $2 || int4send($3) || int8send(pg_snapshot_xmin(pg_current_snapshot())::text::bigint)
 order by k limit $4
"""
_COUNT = "select coalesce(sum(counter_of(v)), 0)::bigint from kv where k >= $1 and k < $2"
_OLDEST = "select k from kv where k > $1 and k < $2 order by k offset $3 limit 1"
_REMOVE = "with gone as (delete from kv where k > $1 and k <= $2 returning 1) select count(*) from gone"
_PUT = "insert into kv values ($1, $2) on conflict (k) do update set v = excluded.v"


async def position(connection: Connection, feed: bytes) -> tuple[int, int, int, bytes | None]:
    """(epoch, oldest transaction id under way, newest id given out, the feed's trim floor)."""
    row = await connection.fetchrow(_POSITION, EPOCH_KEY, floor_key(feed))
    return int.from_bytes(row[0], "big"), row[1], row[2] - 1, row[3]


async def page(connection: Connection, feed: bytes, after: bytes | None, limit: int) -> FeedPage:
    """See `port.Meta.feed`."""
    rules.check_feed(feed)
    epoch, _, newest, floor = await position(connection, feed)
    prefix = feed_prefix(feed)
    if after is None:
        after = floor if floor is not None else rules.STAMP.pack(epoch, 0, 0)
        start = prefix
    else:
        rules.check_cursor(after, epoch, newest, floor)
        start = prefix + after
    rows = await connection.fetch(_PAGE, start, prefix, epoch, limit)
    return clip([(row[0][-16:], row[1]) for row in rows], after)


async def records(connection: Connection, feed: bytes, after: bytes, limit: int) -> Pairs:
    """See `port.Engine.feed_records`."""
    rules.check_feed(feed)
    epoch, _, _, _ = await position(connection, feed)
    prefix = feed_prefix(feed)
    rows = await connection.fetch(_PAGE, prefix + after, prefix, epoch, limit)
    return [(row[0][-16:], row[1]) for row in rows]


async def end(connection: Connection) -> bytes:
    """A cursor after everything decided so far, of any feed."""
    epoch, oldest, _, _ = await position(connection, b"")
    return rules.STAMP.pack(epoch, oldest - 1, rules.LAST_N)


async def trim(connection: Connection, feed: bytes, keep: int, most: int, shard: int, upto: bytes | None = None) -> int:
    """Remove at most `most` of the oldest records, none after `upto`; how many. The floor and the count change with them."""
    prefix = feed_prefix(feed)
    first, last = count_key(feed, 0), count_key(feed, 0xFFFFFFFF)
    async with connection.transaction():
        await connection.execute("select pg_advisory_xact_lock(hashtextextended(encode($1, 'hex'), 0))", prefix)
        excess = min(await connection.fetchval(_COUNT, first, last) - keep, most)
        if excess <= 0:
            return 0
        bound = await connection.fetchval(_OLDEST, prefix, prefix + b"\xff" * 17, excess - 1)
        if bound is None:
            return 0
        if upto is not None:
            bound = min(bound, prefix + upto)
        removed: int = await connection.fetchval(_REMOVE, prefix, bound)
        if not removed:
            return 0  # the floor may lie above `upto`, and never goes back
        await connection.execute(_PUT, floor_key(feed), bound[-16:])
        await connection.execute(
            "insert into kv values ($1, counter_bytes($2)) on conflict (k) do update "
            "set v = counter_bytes(counter_of(kv.v) + $2)",
            count_key(feed, shard),
            -removed,
        )
    return removed
