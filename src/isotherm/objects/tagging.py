"""Tags: any number on a version, indexed by (key, value), written with what they describe.

A few tags lie in the version's record; more lie in rows of their own, a *tag set* named by the record. Index rows name a
version, not a key: a reader checks them against `live`, so that overwriting and restoring versions touches no index row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
from msgspec.structs import replace

from isotherm.errors import Invalid
from isotherm.meta.port import STAMP_BYTES, Ordinal, Reader, Transaction
from isotherm.objects import events
from isotherm.objects.buckets import names
from isotherm.objects.context import Context
from isotherm.objects.layout import (
    live_row,
    parse_tag_position,
    successor,
    tag_component,
    tag_index,
    tag_position,
    tag_set,
    version_id,
)
from isotherm.objects.locate import locate
from isotherm.objects.model import Found, Version
from isotherm.objects.names import check_limit, check_tags, encode_key
from isotherm.objects.records import NO_ID, Record, as_version, decode_record, decode_tag, encode_tag

_INLINE_TAGS_MOST = 50
_INLINE_BYTES_MOST = 2_048
_ROWS_A_READ = 10_000
_STEPS_A_SNAPSHOT = 200


class TagRows(msgspec.Struct, frozen=True):
    """Where the tags of a version go: `inline` into its record, or all into the rows of `tag_set`."""

    tags: Mapping[str, str]
    inline: Mapping[str, str]
    tag_set: bytes

    def write(self, txn: Transaction, tenant: int, bucket: int, key: bytes, stamp: Ordinal) -> None:
        """Index rows and tag-set rows of a version that the transaction is making."""
        if not self.tags:
            return
        position = tag_position(bucket, key)
        for name, value in self.tags.items():
            txn.put_at(tag_index(tenant, name, value) + position, stamp, b"")
        self.write_set(txn, tenant)

    def write_set(self, txn: Transaction, tenant: int) -> None:
        if self.tag_set:
            prefix = tag_set(tenant, self.tag_set)
            for name, value in self.tags.items():
                txn.put(prefix + tag_component(name), encode_tag(name, value))


_NO_TAGS = TagRows({}, {}, NO_ID)


def plan_tags(context: Context, tags: Mapping[str, str], *, already: bytes = NO_ID) -> TagRows:
    """Few and short tags go inline, unless the version has a tag set (`already`)."""
    if not tags and not already:
        return _NO_TAGS
    if not already and len(tags) <= _INLINE_TAGS_MOST:
        size = sum(len(name) + len(value) for name, value in tags.items())
        if size <= _INLINE_BYTES_MOST:
            return TagRows(tags, tags, NO_ID)
    return TagRows(tags, {}, already or context.ids.token(16))


async def read_tags(context: Context, reader: Reader, record: Record) -> Mapping[str, str]:
    """All tags of a version, in order of their keys where they are many."""
    if not record.tag_set:
        return record.tags
    prefix = tag_set(context.tenant, record.tag_set)
    start, end = prefix, successor(prefix)
    found: dict[str, str] = {}
    while True:
        rows = await reader.range(start, end, _ROWS_A_READ)
        found.update(decode_tag(value) for _, value in rows)
        if len(rows) < _ROWS_A_READ:
            return found
        start = rows[-1][0] + b"\0"


async def get_tags(
    context: Context, bucket_name: str, key: str, version: str | None
) -> tuple[Mapping[str, str], Record, bool]:
    """(tags, the version's record, whether it is live)."""
    with context.meta.snapshot() as snapshot:
        row, live = await locate(context, snapshot, bucket_name, key, version)
        record = decode_record(row)
        return await read_tags(context, snapshot, record), record, live


async def set_tags(
    context: Context, bucket_name: str, key: str, tags: Mapping[str, str], version: str | None, *, keep: bool
) -> Version:
    """Replace a version's tags, or merge into them when `keep`."""
    raw_key = encode_key(key)
    check_tags(tags, raw_key)

    async def commit(txn: Transaction) -> Version:
        row, live = await locate(context, txn, bucket_name, key, version)
        record = decode_record(row)
        bucket = await context.bucket(txn, bucket_name)
        position = tag_position(bucket.id, raw_key, record.stamp)
        stale, rows = await _planned(context, txn, record, tags, keep=keep)
        for name, value in stale.items():
            txn.delete(tag_index(context.tenant, name, value) + position)
            if record.tag_set and name not in rows.tags:
                txn.delete(tag_set(context.tenant, record.tag_set) + tag_component(name))
        for name, value in rows.tags.items():
            txn.put(tag_index(context.tenant, name, value) + position, record.stamp)
        rows.write_set(txn, context.tenant)
        kept = record.tag_count - len(stale) if rows.tag_set and keep else 0
        changed = replace(record, tags=rows.inline, tag_set=rows.tag_set, tag_count=kept + len(rows.tags))
        context.history(txn, bucket, raw_key).rewrite(changed, live=live)
        named = version_id(record.stamp, record.null)
        events.record(txn, context.tenant, "tags", bucket, key, version_id=named, size=record.size)
        return as_version(changed, key, latest=live)

    changed, _ = await context.meta.transact(commit)
    return changed


async def _planned(
    context: Context, txn: Transaction, record: Record, tags: Mapping[str, str], *, keep: bool
) -> tuple[Mapping[str, str], TagRows]:
    """(tags whose index rows go, tags to write). Merging into a tag set reads only the rows it writes."""
    if not keep:
        return await read_tags(context, txn, record), plan_tags(context, tags, already=record.tag_set)
    if not record.tag_set:
        return record.tags, plan_tags(context, {**record.tags, **tags})
    prefix = tag_set(context.tenant, record.tag_set)
    stale = {}
    for name in tags:
        row = await txn.get(prefix + tag_component(name))
        if row is not None:
            stale[name] = decode_tag(row)[1]
    return stale, plan_tags(context, tags, already=record.tag_set)


async def find(
    context: Context, tags: Mapping[str, str], *, bucket: str | None, after: Found | None, limit: int
) -> list[Found]:
    """Leapfrog over the index rows of each tag: positions that stand under all of them, checked against `live`.

    What changes while a long search goes on is found as it was or as it is.
    """
    if not tags:
        raise Invalid("Name at least one tag to find by.", code="InvalidArgument")
    limit = check_limit(limit)
    try:
        prefixes = [tag_index(context.tenant, name, value) for name, value in tags.items()]
    except (UnicodeEncodeError, AttributeError):
        raise Invalid("Tags are a mapping of str of valid Unicode to such.", code="InvalidTag") from None
    with context.meta.snapshot() as snapshot:
        ids = await names(context, snapshot)
        first, end = b"", b"\xff" * 9
        if bucket is not None:
            chosen = (await context.bucket(snapshot, bucket)).id
            first, end = chosen.to_bytes(8, "big"), (chosen + 1).to_bytes(8, "big")
        if after is not None:
            past = await context.bucket(snapshot, after.bucket)
            first = max(first, successor(tag_position(past.id, encode_key(after.key))))
    search = _Search(context, prefixes, end, ids, limit)
    place: bytes | None = first
    while place is not None:
        with context.meta.snapshot() as snapshot:  # a new one each time: none lasts as long as a search may
            place = await search.some(snapshot, place)
    return search.found


@dataclass(slots=True)
class _Search:
    """Positions are what follows a prefix in its index rows, from a first one up to `end`."""

    context: Context
    prefixes: list[bytes]
    end: bytes
    buckets: dict[int, str]
    limit: int
    found: list[Found] = field(default_factory=list)

    async def some(self, reader: Reader, place: bytes) -> bytes | None:
        """Go on at `place` for a bounded number of steps; where to go on then, None when all is found."""
        agreeing = turn = 0
        for _ in range(max(_STEPS_A_SNAPSHOT, 2 * len(self.prefixes))):
            if len(self.found) >= self.limit:
                return None
            prefix = self.prefixes[turn]
            rows = await reader.range(prefix + place, prefix + self.end, 1)
            if not rows:
                return None
            reached = rows[0][0][len(prefix) :]
            agreeing = agreeing + 1 if reached == place else 1
            place = reached
            turn = (turn + 1) % len(self.prefixes)
            if agreeing == len(self.prefixes):
                place, agreeing = await self._judge(reader, place), 0
        return place

    async def _judge(self, reader: Reader, place: bytes) -> bytes:
        """Keep the version at `place` if it is live; where the next one can be that is."""
        bucket, key, stamp = parse_tag_position(place)
        beyond = successor(place[:-STAMP_BYTES])
        row = await reader.get(live_row(self.context.tenant, bucket, key))
        if row is None or bucket not in self.buckets:
            return beyond
        if row[:STAMP_BYTES] == stamp:
            null = decode_record(row).null
            self.found.append(Found(self.buckets[bucket], key.decode(), version_id(stamp, null)))
            return beyond
        live = tag_position(bucket, key, row[:STAMP_BYTES])
        return live if live > place else beyond
