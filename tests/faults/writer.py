"""A process that works on a store until it is killed: `python -m tests.faults.writer DIRECTORY LIFE write|move`.

`write`: 16 writers over one Space, each on keys of its own, in a bucket that keeps versions and in one that does not. Each
says what it is about to do, does it, and says that it was acknowledged: one JSON line each. `move`: background work as
eager as it can be, one line a round.
"""

import asyncio
import json
import os
import random
import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

from isotherm.clock import SystemClock
from isotherm.errors import IsothermError, NotFound, SnapshotExpired, Unavailable
from isotherm.ids import SystemIds
from isotherm.movers.compaction import CompactionSettings
from isotherm.movers.round import Rounds
from isotherm.objects.layout import ROOT_TENANT
from isotherm.objects.space import Space
from isotherm.segments.settings import SegmentSettings
from isotherm.settings import Settings
from isotherm.store import compose
from tests.faults.content import make
from tests.objects.stores import MIB, body

WRITERS = 16
KEYS = 4
BUCKETS = ("plain", "kept")
SEGMENTS = SegmentSettings(segment_bytes=2 << 20, extent_bytes_most=600_000, idle_lanes=2)
OPERATIONS = (
    ["put"] * 8 + ["large"] * 2 + ["parts"] * 3 + ["copy"] * 2 + ["retag"] * 3 + ["delete"] * 2 + ["forget"] * 10
)

AGAIN = Unavailable, SnapshotExpired
"""What changes nothing and a program tries again: a machine may be so busy that a snapshot grows too old."""


def open_store(path):
    return compose(Settings(path, segments=SEGMENTS), role="foreign", clock=SystemClock(), ids=SystemIds())


def space_of(engines):
    return Space(ROOT_TENANT, engines.meta, engines.segments, engines.clock, engines.ids, part_bytes_least=1)


def say(**words):
    os.write(1, json.dumps(words).encode() + b"\n")


class Writer:
    """One of the sixteen. Numbers of its values are never used twice, in whatever life.

    Args:
        say: told the lines.
    """

    large_bytes = 1_100_000, 2_500_000

    def __init__(self, space, name, life, say=say):
        self.say = say
        self.space = space
        self.name = name
        self.random = random.Random(f"{name} {life}")
        self.number = (life << 20) + 1

    async def run(self):
        while True:
            await self.step(self.random.choice(OPERATIONS))

    async def step(self, operation):
        """One operation on one of its keys."""
        self.number += 1
        bucket = self.random.choice(BUCKETS)
        key = f"{self.name}/{self.random.randrange(KEYS)}"
        with suppress(*AGAIN):  # of a part: movers this eager give segments up between a write and its commit
            await getattr(self, operation)(bucket, key)

    async def told(self, call, op, bucket, key, **about):
        """Do something between the two lines; what it is refused for changes nothing."""
        self.say(op=op, writer=self.name, bucket=bucket, key=key, number=self.number, **about)
        try:
            result = await call
        except (NotFound, *AGAIN) as refused:
            self.say(done="refused", writer=self.name, why=str(refused))
            return
        self.say(done=getattr(result, "version_id", None), writer=self.name)

    def tags(self):
        return {"number": str(self.number), "writer": self.name}

    async def put(self, bucket, key):
        data = make(key, self.number, self.random.choice([100, 1_000, 20_000, 70_000]))
        sent = self.random.choice([data, body(data), body(data, declared=False)])
        await self.told(self.space.put(bucket, key, sent, tags=self.tags()), "put", bucket, key)

    async def large(self, bucket, key):
        data = make(key, self.number, self.random.randrange(*self.large_bytes))
        await self.told(
            self.space.put(bucket, key, body(data, declared=len(data) > MIB), tags=self.tags()), "put", bucket, key
        )

    async def parts(self, bucket, key):
        upload = (await self.space.create_upload(bucket, key, tags=self.tags())).id
        data = make(key, self.number, self.random.randrange(1_000, 300_000))
        cuts = [0, len(data) // 3, len(data) // 2, len(data)]
        pieces = [data[start:end] for start, end in pairwise(cuts)]
        if self.random.random() < 0.3:
            await self.space.put_part(bucket, key, upload, 2, b"sent again below")
        sent = [self.space.put_part(bucket, key, upload, n, piece) for n, piece in enumerate(pieces, start=1)]
        named = [(part.number, part.etag, None) for part in await asyncio.gather(*sent)]
        if self.random.random() < 0.2:
            await self.space.abort_upload(bucket, key, upload)
        else:
            await self.told(self.space.complete_upload(bucket, key, upload, named), "put", bucket, key)

    async def copy(self, bucket, key):
        """Onto a key of its own, so that what bytes say of their key stays true: `…/3` may lie under `…/3 copy`."""
        call = self.space.copy(bucket, key, bucket, f"{key} copy", tags=self.tags())
        await self.told(call, "copy", bucket, f"{key} copy", source=key)

    async def retag(self, bucket, key):
        await self.told(self.space.set_tags(bucket, key, self.tags()), "retag", bucket, key)

    async def delete(self, bucket, key):
        await self.told(self.space.delete(bucket, key), "delete", bucket, key)

    async def forget(self, bucket, key):
        """Remove the oldest, or now and then the newest, version of a key that has several, so that they stay few."""
        bucket, key = "kept", key + self.random.choice(["", "", " copy"])
        rows = (await self.space.list_versions(bucket, prefix=key, limit=50)).entries
        rows = [row for row in rows if row.key == key]
        if len(rows) > 2:
            row = rows[0] if self.random.random() < 0.3 else rows[-1]
            call = self.space.delete(bucket, key, row.version_id)
            await self.told(call, "forget", bucket, key, version=row.version_id)


async def write(engines, life):
    space = space_of(engines)
    say(ready=life)
    await asyncio.gather(*[Writer(space, f"{name:02}", life).run() for name in range(WRITERS)])


async def move(engines, pause_s=0.0):
    """Background work, one round after another, on segments sealed only now."""
    eager = CompactionSettings(dead_fraction=0.2, settle_s=0.0, step_bytes=4 << 20, batch_bytes=500_000)
    rounds = Rounds(engines.meta, engines.segments, clock=engines.clock, feed_retained=1_000_000, compaction=eager)
    say(ready="move")
    while True:
        report = await rounds.run()
        failed = {name: repr(error) for name, error in report.failed.items() if not isinstance(error, AGAIN)}
        say(moved=report.compaction.moved, unlinked=len(report.compaction.unlinked), failed=failed)
        await asyncio.sleep(pause_s)


def main():
    path, life, what = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    engines = open_store(path)
    try:
        asyncio.run(write(engines, life) if what == "write" else move(engines))
    except IsothermError as error:
        say(died=repr(error))
        raise


if __name__ == "__main__":
    main()
