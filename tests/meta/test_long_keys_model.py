"""The engine against a sorted dictionary, with keys on both sides of every boundary of the long-key scheme."""

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from isotherm.clock import VirtualClock
from isotherm.devices.waiting import drive
from isotherm.ids import SeededIds
from isotherm.meta.lmdb import LmdbMeta
from isotherm.meta.lmdb.keys import FIRST, NEXT
from isotherm.meta.port import KEY_BYTES

RUNS = st.sampled_from([1, 2, NEXT - 1, NEXT, NEXT + 1, FIRST - 1, FIRST, FIRST + 1])
PIECES = st.builds(lambda byte, count: bytes((byte,)) * count, st.sampled_from([0, 97, 98, 254, 255]), RUNS)
KEYS = (
    st.lists(PIECES, min_size=1, max_size=5).map(b"".join).filter(lambda key: len(key) <= KEY_BYTES and key < b"\xff")
)
VALUES = st.one_of(st.binary(max_size=3), st.just(b"v" * 3_000))
BOUNDS = st.one_of(KEYS, st.just(b""), st.just(b"\xff"))


class SortedDictionary(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.directory = Path(tempfile.mkdtemp(prefix="meta-model-"))
        self.meta = self.open()
        self.model = {}
        self.snapshot = None
        self.frozen = {}

    def open(self):
        return LmdbMeta.open(self.directory, clock=VirtualClock(), ids=SeededIds(0), role="server", sync=False)

    def teardown(self):
        self.meta.close()
        shutil.rmtree(self.directory)

    @rule(changes=st.lists(st.tuples(KEYS, st.one_of(st.none(), VALUES)), min_size=1, max_size=8))
    def write(self, changes):
        async def fn(txn):
            for key, value in changes:
                if value is None:
                    txn.delete(key)
                else:
                    txn.put(key, value)

        drive(self.meta.transact(fn))
        for key, value in changes:
            if value is None:
                self.model.pop(key, None)
            else:
                self.model[key] = value

    @precondition(lambda self: self.model)
    @rule(data=st.data())
    def delete_some(self, data):
        doomed = data.draw(st.lists(st.sampled_from(sorted(self.model)), min_size=1, max_size=5))
        self.write([(key, None) for key in doomed])

    @rule(key=KEYS)
    def get(self, key):
        assert drive(self.meta.get(key)) == self.model.get(key)

    @rule(start=BOUNDS, end=BOUNDS, limit=st.sampled_from([0, 1, 2, 5, 1000]), reverse=st.booleans())
    def read_range(self, start, end, limit, reverse):
        inside = sorted((pair for pair in self.model.items() if start <= pair[0] < end), reverse=reverse)
        assert drive(self.meta.range(start, end, limit, reverse=reverse)) == inside[:limit]

    @rule(changes=st.lists(st.tuples(KEYS, st.one_of(st.none(), VALUES)), max_size=8), start=BOUNDS, end=BOUNDS,
          limit=st.sampled_from([1, 2, 5, 1000]), reverse=st.booleans())  # fmt: skip
    def read_range_over_own_writes(self, changes, start, end, limit, reverse):
        model = dict(self.model)

        async def fn(txn):
            for key, value in changes:
                if value is None:
                    txn.delete(key)
                    model.pop(key, None)
                else:
                    txn.put(key, value)
                    model[key] = value
            inside = sorted((pair for pair in model.items() if start <= pair[0] < end), reverse=reverse)
            assert await txn.range(start, end, limit, reverse=reverse) == inside[:limit]

        drive(self.meta.transact(fn))
        self.model = model

    @rule()
    def take_snapshot(self):
        if self.snapshot is not None:
            self.snapshot.close()
        self.snapshot = self.meta.snapshot()
        self.frozen = dict(self.model)

    @precondition(lambda self: self.snapshot is not None)
    @rule()
    def read_snapshot(self):
        assert drive(self.snapshot.range(b"", b"\xff", 10_000)) == sorted(self.frozen.items())

    @rule()
    def reopen(self):
        self.snapshot = None
        self.meta.close()
        self.meta = self.open()

    @invariant()
    def everything_is_there(self):
        assert drive(self.meta.range(b"", b"\xff", 10_000)) == sorted(self.model.items())


TestSortedDictionary = SortedDictionary.TestCase
TestSortedDictionary.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


def test_nothing_stays_behind_when_every_key_is_gone(tmp_path):
    keys = [b"k" * length for length in range(1, KEY_BYTES + 1, 37)] + [b"k" * 899 + b"x" * 1000, b"k" * 500 + b"y"]
    with LmdbMeta.open(tmp_path, clock=VirtualClock(), ids=SeededIds(0), role="server", sync=False) as meta:
        before = meta.statistics().entries

        async def put(txn):
            for key in keys:
                txn.put(key, b"")

        async def delete(txn):
            for key in keys:
                txn.delete(key)

        drive(meta.transact(put))
        assert meta.statistics().entries > before + len(keys)
        drive(meta.transact(delete))
        assert meta.statistics().entries == before
