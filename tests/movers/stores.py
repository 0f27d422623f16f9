"""Stores for the tests of background work: filled with everything there is, damaged by hand, and read back."""

from __future__ import annotations

import os
import signal
import sys
import traceback
from dataclasses import replace

from isotherm.clock import VirtualClock
from isotherm.devices.waiting import drive
from isotherm.errors import IsothermError
from isotherm.ids import SeededIds
from isotherm.meta.lmdb import ServerLock
from isotherm.movers.fsck.check import DEEP, check, repair
from isotherm.objects.model import Versioning
from isotherm.segments.settings import SegmentSettings
from isotherm.settings import Settings
from isotherm.store import compose
from tests.objects.stores import KIB, fetch, payload

SMALL_SEGMENTS = SegmentSettings(segment_bytes=60_000, extent_bytes_most=150_000, idle_lanes=1)
MANY_TAGS = {f"tag {number}": "v" * 60 for number in range(60)}
PART_BYTES = 200_000


def opened(path, *, seed=1, clock=None, role="foreign", segments=SMALL_SEGMENTS, create=True):
    settings = replace(Settings(path), segments=segments)
    return compose(settings, role=role, clock=clock or VirtualClock(), ids=SeededIds(seed), create=create)


def space_of(engines):
    """The root tenant's objects; parts of multipart uploads may be small."""
    from isotherm.objects.space import Space

    return Space(1, engines.meta, engines.segments, engines.clock, engines.ids, part_bytes_least=1)


async def fill(space, scale=1):
    """Rows in every table: buckets of each kind, versions, markers, nulls, tags few and many, copies, uploads, garbage."""
    for bucket in ("plain", "kept", "paused"):
        await space.create_bucket(bucket)
    await space.set_versioning("kept", Versioning.ENABLED)
    for number in range(20 * scale):
        tags = MANY_TAGS if number % 7 == 0 else {"colour": ("red", "green")[number % 2], "n": str(number)}
        await space.put("plain", f"key {number:04d}", payload(37 * number, number), tags=tags)
        await space.put("kept", f"key {number % 6}", payload(900 + number, number), tags=tags)
        await space.put("paused", f"key {number % 4}", payload(500 + number, number))
    await space.set_versioning("paused", Versioning.ENABLED)
    for number in range(4):
        await space.put("paused", f"key {number % 4}", payload(600 + number, 50 + number))
    await space.set_versioning("paused", Versioning.SUSPENDED)
    await space.put("paused", "key 1", payload(700, 60))
    await space.delete("paused", "key 2")
    await space.delete("kept", "key 3")
    await space.delete("plain", "key 0005")
    await space.set_tags("plain", "key 0007", {"colour": "blue"})
    await space.put("plain", "large", payload(1_300 * KIB, 7), tags={"size": "large"})
    await space.put("kept", "long " + "x" * 1_000, payload(800, 8), tags={"k" * 100: "w" * 1_000})
    for copies in range(3):
        await space.copy("plain", "key 0009", "kept", f"copy {copies}")
        await space.copy("plain", "large", "kept", f"large copy {copies}")
    await space.delete("kept", "large copy 0", (await space.head("kept", "large copy 0")).version_id)
    await upload(space, "plain", "whole", parts=3, complete=True)
    await space.copy("plain", "whole", "kept", "whole copy")
    await upload(space, "plain", "begun", parts=2, complete=False)
    await space.abort_upload("plain", "aborted", (await upload(space, "plain", "aborted", parts=2, complete=False)))
    await space.put("plain", "gone", payload(1_200 * KIB, 9), tags=MANY_TAGS)
    await space.delete("plain", "gone")


async def upload(space, bucket, key, *, parts, complete):
    """The id of an upload whose parts were sent."""
    begun = await space.create_upload(bucket, key, tags={"by": "parts"})
    sent = [
        await space.put_part(bucket, key, begun.id, number, payload(PART_BYTES + number, number))
        for number in range(1, parts + 1)
    ]
    if complete:
        await space.complete_upload(bucket, key, begun.id, [(part.number, part.etag, None) for part in sent])
    return begun.id


async def everything(space):
    """(bucket, key, version id) → bytes of every version, or the error class its reading raises."""
    found = {}
    for bucket in await space.buckets():
        after, version = "", ""
        while after is not None:
            page = await space.list_versions(bucket.name, after=after, after_version=version, limit=200)
            for entry in page.entries:
                if not entry.is_marker:
                    place = (bucket.name, entry.key, entry.version_id)
                    try:
                        found[place] = await fetch(space, *place)
                    except IsothermError as error:
                        found[place] = type(error)
            after, version = page.next_key, page.next_version or ""
    return found


def contents(engines):
    return drive(everything(space_of(engines)))


def checked(engines, tmp_path, **options):
    return check(engines.opened(), tmp_path, **options)


def checked_at(path, tmp_path, **options):
    engines = opened(path, seed=99)
    try:
        return checked(engines, tmp_path, **options)
    finally:
        engines.close()


def repaired_at(path, tmp_path, depth=DEEP, **options):
    """(before, after) of a repair of a store that nobody has open."""
    with ServerLock(path / "meta") as held:
        engines = opened(path, seed=98, role="server")
        try:
            return repair(engines.opened(), held, tmp_path, depth=depth, **options)
        finally:
            engines.close()


def kinds(report):
    return {kind.value: count for kind, count in report.counts.items()}


def change(engines, rows):
    """Set rows of the metadata as they are given; None removes one."""

    async def commit(txn):
        for key, value in rows.items():
            if value is None:
                txn.delete(key)
            else:
                txn.put(key, value)

    drive(engines.meta.transact(commit))


def files(path):
    """Segment files by name, of both media classes."""
    return {file.name: file for room in ("performance", "capacity") for file in sorted((path / room).glob("*.seg"))}


def flip(file, at, mask=1):
    data = bytearray(file.read_bytes())
    data[at] ^= mask
    file.write_bytes(data)


def killed(work, *, at):
    """Run `work` in a child that kills itself at its `at`-th audited event (an open, a rename, a lock…); whether it did.

    An event is told before it happens, so that the child dies between any two of them.
    """
    child = os.fork()
    if not child:
        left = at

        def count(event, args):
            nonlocal left
            if event.split(".")[0] in ("open", "os", "fcntl", "shutil"):
                left -= 1
                if left == -1:
                    os.kill(os.getpid(), signal.SIGKILL)

        status = 1
        try:
            sys.addaudithook(count)
            work()
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0, f"the child failed with {os.WEXITSTATUS(status)}"
    return False
