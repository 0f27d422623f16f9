"""A process that writes to a store until it is killed, and says what was acknowledged: `python -m tests.segments.process`.

Arguments: directory, number of the process, what to do: write | fork. Each acknowledged value is a line `name seed size`
on standard output, written after the acknowledgement.
"""

import asyncio
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from isotherm.clock import SystemClock
from isotherm.errors import Unavailable
from isotherm.movers.compaction import Compaction, CompactionSettings
from isotherm.segments.settings import SegmentSettings
from isotherm.testing.segments_suite import payload
from isotherm.testing.shelf import OWNER
from tests.segments import rigs

SETTINGS = SegmentSettings(segment_bytes=400_000, extent_bytes_most=150_000, idle_lanes=2)


def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


async def put(rig, name, value):
    """With movers this eager, a segment can be given up between a write and its commit: then the store says so."""
    while True:
        try:
            return await rig.shelf.put(name, value)
        except Unavailable:
            continue


async def writer(rig, name, seeds):
    """Overwrites its own value for ever, now small, now large, now by a copy, now deleting it."""
    while True:
        seed = next(seeds)
        size = 1 + seed * 7_919 % (400_000 if seed % 5 == 0 else 9_000)
        if seed % 11 == 0:
            say(name, "going")
            await rig.shelf.delete(name.encode())
            say(name, "gone")
        elif seed % 7 == 0:
            other = name + "-copied"
            say(other, seed, size, "soon")
            await put(rig, b"source of " + other.encode(), payload(size, seed))
            await rig.shelf.copy(b"source of " + other.encode(), other.encode())
            say(other, seed, size)
        else:
            say(name, seed, size, "soon")
            await put(rig, name.encode(), payload(size, seed))
            say(name, seed, size)


async def mover(rig):
    compaction = Compaction(
        rig.segments,
        rig.meta,
        {OWNER: rig.shelf},
        clock=SystemClock(),
        settings=CompactionSettings(settle_s=0.0, dead_fraction=0.2, batch_bytes=20_000, step_bytes=200_000),
    )
    while True:
        await rig.segments.recover()
        with suppress(Unavailable):  # another's mover gave up a copy before anything referred to it
            await compaction.step()
        await asyncio.sleep(0)


async def work(rig, number):
    seeds = iter(range(number * 100_000 + 1, (number + 1) * 100_000))
    await asyncio.gather(mover(rig), *[writer(rig, f"p{number}w{task}", seeds) for task in range(4)])


def main():
    directory, number, what = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    with rigs.opened(directory, settings=SETTINGS) as rig:
        if what == "write":
            asyncio.run(work(rig, number))
        asyncio.run(rig.shelf.put(b"of the parent", payload(5_000, number)))
        child = os.fork()
        if child:
            say(child)
        time.sleep(600)  # until killed


if __name__ == "__main__":
    main()
