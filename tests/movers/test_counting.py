"""Stores of a version that did not count: they open, are counted beside their writers, and are right at the end."""

import asyncio

import msgspec
import pytest
from awscrt.checksums import crc32c

from isotherm.devices.waiting import drive
from isotherm.errors import OverQuota
from isotherm.meta.port import ACCOUNTS
from isotherm.movers.counting import all_counted, count_old_buckets
from isotherm.objects.layout import table
from isotherm.objects.records import decode_bucket
from isotherm.tenancy.roles import OWNER
from isotherm.tenancy.tenants import Tenants
from isotherm.tenancy.usage import ALL_COUNTED, Usage, read_usage
from tests.movers.stores import change, checked_at, fill, kinds, opened, repaired_at, space_of
from tests.objects.stores import keys_under, open_engines, payload, recounted, rows_of


def version_1(bucket):
    """A bucket's row as a program wrote it that did not count."""
    content = msgspec.msgpack.encode([bucket.id, bucket.created_ms, bucket.versioning.value, dict(bucket.tags)])
    return b"\1" + crc32c(content).to_bytes(4, "big") + content


def forget(engines):
    """Leave the store as that program would have."""
    change(engines, dict.fromkeys(keys_under(engines, ACCOUNTS), None))
    change(engines, {ALL_COUNTED: None})
    at = len(table(1, b"B"))
    buckets = {row: decode_bucket(value, row[at:].decode()) for row, value in rows_of(engines)["B"].items()}
    change(engines, {row: version_1(bucket) for row, bucket in buckets.items()})


@pytest.fixture
def old(tmp_path, metadata):
    """A store of the former version with something of everything."""
    engines = open_engines(tmp_path / "store")
    drive(fill(space_of(engines)))
    forget(engines)
    yield engines
    engines.close()


def used(engines):
    return drive(read_usage(engines.meta, 1)).own


@pytest.mark.parametrize("keys", [5, 7, 1_000])
def test_an_old_store_is_counted_step_by_step(old, keys):
    assert used(old) == Usage()
    assert not drive(all_counted(old.meta))
    steps = 0
    while drive(count_old_buckets(old.meta, old.quota, steps=1, keys=keys)).more:
        steps += 1
    assert steps > 40 / keys
    assert used(old) == recounted(old) != Usage()
    assert drive(all_counted(old.meta))
    assert drive(count_old_buckets(old.meta, old.quota, steps=1, keys=keys)) == (0, False)
    assert used(old) == recounted(old)


def test_what_is_written_meanwhile_is_counted_once(old):
    space = space_of(old)

    async def writers(number):
        for n in range(12):
            key = f"key {(number * 12 + n) % 25:04d}"
            await space.put("plain", key, payload(50 + n, n))
            await space.put("kept", f"key {n % 6}", payload(60, n))
            await space.delete("paused", f"key {n % 4}")
            upload = await space.create_upload("plain", f"up {n}")
            await space.put_part("plain", f"up {n}", upload.id, 1, payload(70))
            if n % 2:
                await space.abort_upload("plain", f"up {n}", upload.id)
            await space.delete("plain", key)

    async def counting():
        while (await count_old_buckets(old.meta, old.quota, steps=1, keys=5)).more:
            continue

    async def race():
        await asyncio.gather(counting(), writers(1), writers(2))

    asyncio.run(race())
    assert drive(all_counted(old.meta))
    assert used(old) == recounted(old)


def test_a_limit_does_not_stand_in_the_way_of_counting(old):
    drive(Tenants(old.meta, old.clock, old.vault).update(OWNER, "/", {"capacity_bytes": 1}))
    while drive(count_old_buckets(old.meta, old.quota, steps=1, keys=10)).more:
        continue
    assert used(old) == recounted(old)
    with pytest.raises(OverQuota):
        drive(space_of(old).put("plain", "more", b"x"))


def test_background_work_counts_and_fsck_agrees_before_and_after(tmp_path):
    engines = opened(tmp_path / "store")
    drive(fill(space_of(engines)))
    forget(engines)
    drive(count_old_buckets(engines.meta, engines.quota, steps=2, keys=5))
    engines.close()
    assert kinds(checked_at(tmp_path / "store", tmp_path)) == {}
    engines = opened(tmp_path / "store", seed=2)
    report = drive(engines.rounds().run())
    assert (report.counted > 0, report.failed) == (True, {})
    assert used(engines) == recounted(engines)
    engines.close()
    assert kinds(checked_at(tmp_path / "store", tmp_path)) == {}


def test_a_repair_counts_what_is_left(tmp_path):
    engines = opened(tmp_path / "store")
    drive(fill(space_of(engines)))
    forget(engines)
    drive(count_old_buckets(engines.meta, engines.quota, steps=2, keys=5))
    engines.close()
    _, after = repaired_at(tmp_path / "store", tmp_path)
    assert kinds(after) == {}
    engines = opened(tmp_path / "store", seed=2)
    assert drive(all_counted(engines.meta))
    assert used(engines) == recounted(engines) != Usage()
    engines.close()
