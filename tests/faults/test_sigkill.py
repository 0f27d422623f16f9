"""Writers and movers die at any moment: nothing acknowledged is lost, nothing is half there, nothing leaks.

Sixteen writers of one process work on a store while another process compacts, collects and recovers without a pause. Either
or both are killed at a random line; what is there is compared with what was acknowledged; the next lives go on where
these ended. A third process reads all the while, and checks every value it sees.
"""

import os
import random
import threading

import pytest

from isotherm.devices.waiting import drive
from isotherm.objects.garbage import sweep
from isotherm.objects.layout import ROOT_TENANT
from isotherm.objects.model import Versioning
from tests.faults.content import Torn, make, number_of
from tests.faults.expected import Expected
from tests.faults.looking import actual_states, assert_clean, assert_views_agree
from tests.faults.nursery import Nursery
from tests.faults.writer import BUCKETS, open_store, space_of
from tests.objects.stores import compact, live_bytes, rows_of

ROUNDS = 5
LONG_ROUNDS = int(os.environ.get("ROUNDS", "1000"))
SEED = os.environ.get("SEED")  # to have the choices of an earlier long run again, if not its timing


class Reader:
    """A process that reads through all of it; `torn` is what it saw that nobody wrote."""

    def __init__(self, nursery, path):
        self.process = nursery.start("reader", path)
        self.reads = 0
        self.torn = []
        self.begun = threading.Event()
        self.watching = threading.Thread(target=self.watch)
        self.watching.start()

    def watch(self):
        for line in self.process.lines():
            self.reads = line.get("reads", self.reads)
            self.begun.set()
            self.torn += [line["torn"]] if "torn" in line else []

    def stop(self):
        self.begun.wait(60)
        self.process.kill()
        self.watching.join()
        errors = self.process.end()
        assert not self.torn, errors
        assert not errors


class Rounds:
    """Lives and deaths over one directory.

    Args:
        acknowledged_most: in one life, about.
        thorough, read: every how many rounds fsck checks, and somebody reads.
    """

    def __init__(self, nursery, path, scratch, seed, *, acknowledged_most=400, thorough=3, read=1):
        self.nursery = nursery
        self.acknowledged_most = acknowledged_most
        self.thorough = thorough
        self.read = read
        self.reads = 0
        self.path = path
        self.scratch = scratch
        self.random = random.Random(seed)
        self.expected = Expected()
        self.life = 0
        self.moves = 0
        self.failures = []

    def start(self):
        engines = open_store(self.path)
        space = space_of(engines)
        for bucket in BUCKETS:
            drive(space.create_bucket(bucket))
        drive(space.set_versioning("kept", Versioning.ENABLED))
        engines.close()

    def live_and_die(self):
        """One round: both processes run; the writers die at a random acknowledgement, the mover before, with, or after them."""
        self.life += 1
        writers, mover = [self.nursery.start("writer", self.path, self.life, what) for what in ("write", "move")]
        moving = threading.Thread(target=self.watch_mover, args=(mover, self.random.choice([3, 30, None])))
        moving.start()
        try:
            last = self.expected.acknowledged + self.random.randrange(1, self.acknowledged_most)
            for line in writers.lines():
                assert "died" not in line, line
                self.expected.hear(line)
                if self.expected.acknowledged >= last:
                    writers.kill()
        finally:
            errors = writers.end()
            mover.kill()
            moving.join()
            errors += mover.end()
        assert "Traceback" not in errors, errors
        assert not self.failures

    def watch_mover(self, mover, rounds):
        """Kill it after some of its rounds; None: leave it to the end."""
        for line in mover.lines():
            self.moves += line.get("moved", 0)
            self.failures += [line] if line.get("failed") or "died" in line else []
            if rounds is not None and "moved" in line:
                rounds -= 1
                if rounds <= 0:
                    mover.kill()

    def look(self, *, thorough):
        engines = open_store(self.path)
        try:
            space = space_of(engines)
            # LMDB shows a commit whose process died with all of it written when the next one takes the writer's lock
            drive(space.set_bucket_tags("plain", {"life": str(self.life)}))
            states = actual_states(space)
            assert not (wrong := self.expected.settle(states)), "\n".join(wrong)
            assert_views_agree(space, states)
            if thorough:
                assert_clean(engines, self.scratch)
        finally:
            engines.close()

    def end(self):
        """Everything that was left open is closed, everything deleted: not a byte and not a row remains."""
        engines = open_store(self.path)
        space = space_of(engines)
        for bucket in BUCKETS:
            rows = drive(space.list_versions(bucket, limit=100_000)).entries
            drive(space.delete_many(bucket, [(row.key, row.version_id) for row in rows]))
            drive(space.delete_bucket(bucket))
        while drive(sweep(engines.meta, engines.segments, ROOT_TENANT)):
            continue
        drive(engines.segments.recover())
        drive(compact(engines))
        assert live_bytes(engines) == 0
        assert rows_of(engines) == {}
        assert_clean(engines, self.scratch)
        engines.close()

    def round(self, *, last):
        """One round, looked at."""
        reader = Reader(self.nursery, self.path) if self.life % self.read == 0 else None
        try:
            self.live_and_die()
            self.look(thorough=last or self.life % self.thorough == 0)
        finally:
            if reader is not None:
                reader.stop()
                self.reads += reader.reads

    def __str__(self):
        told = f"{self.life} rounds: {self.expected.acknowledged} operations acknowledged, {self.moves} extents moved"
        return f"{told}, {self.reads} values read meanwhile"


def survive(tmp_path, rounds, seed, **how):
    with Nursery() as nursery:
        lives = Rounds(nursery, tmp_path / "store", tmp_path, seed, **how)
        lives.start()
        for number in range(rounds):
            lives.round(last=number == rounds - 1)
            if number % 50 == 49:
                print(lives, flush=True)
    lives.end()
    return lives


@pytest.mark.timeout(300)
def test_nothing_acknowledged_is_lost(tmp_path):
    lives = survive(tmp_path, ROUNDS, seed=3, acknowledged_most=150)
    assert lives.reads


@pytest.mark.torture
def test_nothing_acknowledged_is_lost_for_long(tmp_path):
    """Many short lives, so that most deaths come early: while a store is opened, recovered, first written to."""
    seed = int(SEED) if SEED else random.randrange(1 << 30)
    print(f"{LONG_ROUNDS} rounds, seed {seed}")
    lives = survive(tmp_path, LONG_ROUNDS, seed, acknowledged_most=100, thorough=5, read=10)
    print(lives)
    assert lives.moves
    assert lives.reads


def test_content_knows_what_it_is():
    one, two = make("a/1", 7, 5_000), make("a/1", 8, 5_000)
    assert number_of(one, "a/1") == 7
    mixtures = [one[:2_500] + two[2_500:], one[:-1], one + b"!", one[:3_000] + bytes(1_000) + one[4_000:], b"", one[:9]]
    for mixture in [*mixtures, two[:-4] + one[-4:]]:
        with pytest.raises(Torn):
            number_of(mixture)
    with pytest.raises(Torn):
        number_of(one, "a/2")
