"""Everything a store can do, in a few seconds and few bytes: `python -m tests.faults.script ROOT LIFE CHAPTER [FAULT]`.

For processes under the recorder (`recording.py`), into whose log they say what they do, as writers say it on their pipe.
FAULT: see planted.py. The store is ROOT/store; backups go to ROOT/backup, and one of them is put back as ROOT/restored.
"""

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

from isotherm import __version__
from isotherm.clock import SystemClock
from isotherm.devices.drive import SystemDrive
from isotherm.devices.waiting import drive
from isotherm.ids import SeededIds
from isotherm.movers.backup import restore as restoring
from isotherm.movers.backup.take import back_up
from isotherm.movers.compaction import CompactionSettings
from isotherm.movers.round import Rounds
from isotherm.objects.model import Versioning
from isotherm.segments.settings import SegmentSettings
from isotherm.settings import Settings
from isotherm.store import compose
from tests.faults import planted, recording
from tests.faults.looking import actual_states
from tests.faults.processes import TOP
from tests.faults.writer import BUCKETS, OPERATIONS, Writer, space_of

SEGMENTS = SegmentSettings(segment_bytes=120_000, extent_bytes_most=60_000, stream_piece_bytes=50_000, idle_lanes=1)
CONCURRENT = 6
FAULT = sys.argv[4] if len(sys.argv) > 4 else None
STEPS = ("put", "put", "large", "parts", "copy", "retag", "put", "delete", "put", "copy", "forget", "large")


class Scribe(Writer):
    """A writer of the script: large means a stream of several extents."""

    large_bytes = 70_000, 200_000


def open_engines(path, life, **how):
    """The store, with ids that repeat, so that segments are called the same in each run."""
    if FAULT is not None:
        return planted.engines(path, life, FAULT, SEGMENTS)
    settings = Settings(path, segments=SEGMENTS)
    return compose(settings, role="foreign", clock=SystemClock(), ids=SeededIds(life), **how)


def scribe(engines, name, life, say=recording.mark):
    return Scribe(space_of(engines), f"{name:02}", life, say)


def begin(root, life, say):
    """A new store: each operation once, one after another."""
    engines = open_engines(root / "store", life)
    space = space_of(engines)
    for bucket in BUCKETS:
        drive(space.create_bucket(bucket))
    drive(space.set_versioning("kept", Versioning.ENABLED))
    say(made=list(BUCKETS))

    async def each():
        one = scribe(engines, 0, life, say)
        for operation in STEPS:
            await one.step(operation)

    asyncio.run(each())
    engines.close()


async def _some(engines, life, each, say):
    async def write(name):
        writer = scribe(engines, name, life, say)
        for _ in range(each):
            await writer.step(writer.random.choice(OPERATIONS))

    await asyncio.gather(*[write(name) for name in range(CONCURRENT)])


def crash(root, life, say):
    """Several writers at once, until the process dies with all of it open."""
    engines = open_engines(root / "store", life)
    asyncio.run(_some(engines, life, 6, say))
    recording.kill(os.getpid())


def rounds_of(engines, say):
    """Background work until there is none left, as eager as it can be."""
    eager = CompactionSettings(dead_fraction=0.2, settle_s=0.0, batch_bytes=100_000)
    rounds = Rounds(engines.meta, engines.segments, clock=engines.clock, feed_retained=40, compaction=eager)
    for _ in range(20):
        report = drive(rounds.run())
        say(
            failed={task: repr(error) for task, error in report.failed.items()},
            moved=report.compaction.moved,
            unlinked=len(report.compaction.unlinked),
            sealed=len(report.recovered.sealed),
        )
        if report.failed or not report.more:
            break


def take_up(engines, life, say):
    """What a dead process was doing has happened, or not, from now on.

    LMDB shows a commit whose process died with all of it written when the next one takes the writer's lock.
    """
    space = space_of(engines)
    drive(space.set_bucket_tags("plain", {"life": str(life)}))
    say(found=[[*key, rows] for key, rows in actual_states(space).items()])


def recover(root, life, say):
    """Recovery of what a dead process left, compaction, and writing on."""
    engines = open_engines(root / "store", life)
    take_up(engines, life, say)
    rounds_of(engines, say)
    asyncio.run(_some(engines, life, 3, say))
    engines.close()
    engines = open_engines(root / "store", life + 1)
    rounds_of(engines, say)
    engines.close()


def reopen(root, life, say):
    """Whatever lies there is opened, recovered and compacted."""
    engines = open_engines(root / "store", life)
    rounds_of(engines, say)
    engines.close()


def backup(root, life, say):
    """Two generations, writing between them; of the second one is kept."""
    engines = open_engines(root / "store", life)
    for keep in (None, 1):
        say(keeping=keep)
        report = back_up(engines.opened(), root / "backup", __version__, keep=keep)
        say(backed_up=report.manifest.generation, removed=report.removed)
        asyncio.run(_some(engines, life + keep if keep else life, 2, say))
    engines.close()


def restore(root, life, say):
    """The newest generation becomes a store, which is written to."""
    settled = restoring.restore(
        root / "backup", root / "restored", __version__, clock=SystemClock(), ids=SeededIds(life), device=SystemDrive()
    )
    say(restored=settled.manifest.generation)
    engines = open_engines(root / "restored", life)
    asyncio.run(scribe(engines, 15, life, lambda **words: say(store="restored", **words)).step("put"))
    engines.close()


def serve(root, life, say):
    """See served.py."""
    from tests.faults import served  # S3 clients take a while to be imported

    served.serve(root, life, say, scribe, open_engines)


CHAPTERS = {call.__name__: call for call in (begin, crash, recover, reopen, backup, restore, serve)}
EMBEDDED = ("begin", "crash", "recover", "backup", "restore")
SERVED = ("begin", "serve")


def record(recorder, *, seed=0, chapters=EMBEDDED, fault=()):
    """Run chapters one after another under a recorder, each in a process of its own."""
    for number, chapter in enumerate(chapters, start=1):
        words = [str(recorder.root), str(100 * seed + 10 * number), chapter, *fault]
        command = [sys.executable, "-m", "tests.faults.script", *words]
        ended = subprocess.run(
            command, env=recorder.environment(), cwd=TOP, check=False, capture_output=True, text=True
        )
        assert ended.returncode == (-signal.SIGKILL if chapter == "crash" else 0), ended.stderr


def main():
    CHAPTERS[sys.argv[3]](Path(sys.argv[1]), int(sys.argv[2]), recording.mark)


if __name__ == "__main__":
    main()
