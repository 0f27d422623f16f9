"""DELETE: a version for good, or a marker on top of a versioned key."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from isotherm.errors import Corrupt, Invalid, IsothermError
from isotherm.meta.port import Ordinal, Transaction
from isotherm.objects import events
from isotherm.objects.conditions import check_delete, demand_sound
from isotherm.objects.context import Context
from isotherm.objects.history import newest_not_live
from isotherm.objects.layout import parse_version_id
from isotherm.objects.model import Attributes, Bucket, Condition, Deleted, Versioning
from isotherm.objects.names import encode_key
from isotherm.objects.records import MARKER, NO_ID, NO_REFERENCE, Record, decode_record, is_marker

_KEYS_A_TRANSACTION = 100

_Outcome = tuple[Deleted, Ordinal | None]
"""What a delete did; the ordinal is that of a new marker's stamp, whose id is known after the commit."""


async def delete(context: Context, bucket_name: str, key: str, version: str | None, condition: Condition) -> Deleted:
    """See `Space.delete`. Deleting what is not there succeeds, as in S3."""
    demand_sound(condition)
    encode_key(key)

    async def commit(txn: Transaction) -> _Outcome:
        bucket = await context.bucket(txn, bucket_name)
        return await _delete_one(context, txn, bucket, key, version, condition)

    (deleted, stamp), committed = await context.meta.transact(commit)
    return deleted if stamp is None else Deleted(key, committed.stamp(stamp).hex(), True)


async def delete_many(
    context: Context, bucket_name: str, items: Sequence[tuple[str, str | None]]
) -> list[Deleted | IsothermError]:
    """See `Space.delete_many`: up to 100 keys a transaction; a key's error is its own."""
    await context.bucket(context.meta, bucket_name)
    results: list[Deleted | IsothermError] = []
    for at in range(0, len(items), _KEYS_A_TRANSACTION):
        results += await _delete_batch(context, bucket_name, items[at : at + _KEYS_A_TRANSACTION])
    return results


async def _delete_batch(
    context: Context, bucket_name: str, items: Sequence[tuple[str, str | None]]
) -> Sequence[Deleted | IsothermError]:
    refused = {key: error for key, _ in items if (error := _refusal(key)) is not None}
    sound = [item for item in items if item[0] not in refused]
    done: Sequence[Deleted | IsothermError] | None = None
    if len({key for key, _ in sound}) == len(sound):  # of a key named twice, the second must see what the first does
        # too much for one transaction, or one row that cannot be read: then each finds out for itself
        with suppress(Invalid, Corrupt):
            done = await _delete_together(context, bucket_name, sound)
    if done is None:
        done = [await _delete_alone(context, bucket_name, key, version) for key, version in sound]
    outcomes = iter(done)
    return [refused.get(key) or next(outcomes) for key, _ in items]


async def _delete_together(
    context: Context, bucket_name: str, items: Sequence[tuple[str, str | None]]
) -> Sequence[Deleted]:
    async def commit(txn: Transaction) -> list[_Outcome]:
        bucket = await context.bucket(txn, bucket_name)
        return [await _delete_one(context, txn, bucket, key, version, Condition()) for key, version in items]

    outcomes, committed = await context.meta.transact(commit)
    return [
        deleted if stamp is None else Deleted(deleted.key, committed.stamp(stamp).hex(), True)
        for deleted, stamp in outcomes
    ]


def _refusal(key: str) -> Invalid | None:
    try:
        encode_key(key)
    except Invalid as error:
        return error
    return None


async def _delete_alone(context: Context, bucket_name: str, key: str, version: str | None) -> Deleted | IsothermError:
    try:
        return await delete(context, bucket_name, key, version, Condition())
    except IsothermError as error:
        return error


async def _delete_one(
    context: Context, txn: Transaction, bucket: Bucket, key: str, version: str | None, condition: Condition
) -> _Outcome:
    raw_key = encode_key(key)
    history = context.history(txn, bucket, raw_key)
    live = await history.live()
    if version is not None:
        found = await history.at(parse_version_id(version))
        if found is None:
            return Deleted(key, version, False), None
        row, is_live = found
        if condition.if_match is not None:
            check_delete(condition, decode_record(row))
        await history.remove(row, live=is_live)
        await context.charge(txn, bucket, raw_key, history.tally)
        events.record(txn, context.tenant, "delete", bucket, key, version_id=version)
        return Deleted(key, version, is_marker(row)), None
    if condition.if_match is not None:
        newest = live or await newest_not_live(txn, context.tenant, bucket.id, raw_key)
        if newest is None:
            return Deleted(key, None, False), None
        check_delete(condition, decode_record(newest))
    if bucket.versioning is Versioning.UNVERSIONED:
        if live is not None:
            await history.remove_live(live)
            await context.charge(txn, bucket, raw_key, history.tally)
            events.record(txn, context.tenant, "delete", bucket, key, version_id="null")
        return Deleted(key, None, False), None
    marker = Record(
        MARKER, 0, context.clock.now_ms(), bytes(16), 0, 0, NO_REFERENCE, 0, (), NO_ID, NO_ID, Attributes(), {}, None
    )
    null = bucket.versioning is Versioning.SUSPENDED
    stamp = events.record(txn, context.tenant, "marker", bucket, key, version_id="null" if null else "")
    await history.add(marker, stamp, live)
    await context.charge(txn, bucket, raw_key, history.tally)
    return (Deleted(key, "null", True), None) if null else (Deleted(key, None, True), stamp)
