"""A process that walks through a recording and looks at what power cuts leave (`cuts.py`).

    walk_through(recorder, scratch, shards=2, …)     # several of them, each with its share of the points

It runs under the recorder's library, which spares it all syncs: nobody keeps what it looks at.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from tests.faults.cuts import Cuts, Found, Story, without
from tests.faults.power import is_sync, variants
from tests.faults.processes import TOP
from tests.faults.recording import Recorder


def walk_through(recorder, scratch, *, shards=1, **options):
    """`Found`. Options: those of `_walk`."""
    children = []
    for shard in range(shards):
        told = {
            "log": str(recorder.log),
            "scratch": str(scratch / f"shard {shard}"),
            "shard": shard,
            "shards": shards,
            **options,
        }
        children.append(
            subprocess.Popen(
                [sys.executable, "-m", "tests.faults.walk", json.dumps(told)],
                stdout=subprocess.PIPE,
                cwd=TOP,
                env={**os.environ, "LD_PRELOAD": str(recorder.library), "RECORDER_CARELESS": "1"},
            )
        )
    found = Found()
    for child in children:
        said, _ = child.communicate()
        assert child.returncode == 0, "a walk failed"
        found += Found(**json.loads(said))
    return found


def _walk(
    log,
    scratch,
    shard,
    shards,
    *,
    every=1,
    first=0,
    upto=None,
    seed=0,
    mixed=1,
    extremes=True,
    lost=None,
    most=10,
    initial=None,
    before=(),
):
    """One shard.

    Args:
        every, first, upto: cut at each `every`-th point from the `first` on, or "last": only at the end.
        seed, mixed: of so many random variants at each point, beside the extremes.
        lost: a pattern of paths whose syncs are left out.
        most: stop after so many problems.
        initial: of a directory like that with which the recording began, the path, and the inodes of that one. `before`: what had been said by then.
    """
    events = Recorder(None, None, Path(log)).events()
    if lost is not None:
        events = without(events, lambda path: re.fullmatch(lost, path))
    if first == "last":
        first = 1 + sum(is_sync(event) for event in events if event is not events[-1])
    story = Story()
    for line in before:
        story.hear(line)
    place = Path(scratch)
    place.mkdir(parents=True)

    def wanted(point):
        return (
            first <= point <= (upto or point)
            and (point - first) % every == 0
            and (point - first) // every % shards == shard
        )

    def chosen(point):
        return variants(seed + point * 1_000, mixed)[0 if extremes else 5 :] if mixed else variants(0, 0)[:1]

    return Cuts(place, chosen, wanted=wanted, most=most).walk(events, initial=initial, story=story)


if __name__ == "__main__":
    print(json.dumps(asdict(_walk(**json.loads(sys.argv[1])))))
