"""Part of the `meta` suite: several processes on one store, killed processes, forked processes."""

from __future__ import annotations

from isotherm.meta.port import Meta
from isotherm.testing.meta_children import (
    Child,
    Operation,
    commit_pairs,
    fork_and_try,
    increment,
    read_key,
    transact_at_random,
)
from isotherm.testing.meta_suite_base import StoreSuite, counter, everything, put_all

_ROUNDS = 4
_ACKNOWLEDGED = 120


class ProcessSuite(StoreSuite):
    def test_a_commit_is_visible_to_every_process_at_once(self, place: str) -> None:
        async def body(meta: Meta) -> None:
            await put_all(meta, {b"k": b"v"})
            child = Child(type(self).opener, place, read_key, b"k")
            assert child.end() == [b"v"]

        self.use(place, body)

    def test_no_increment_of_any_process_is_lost(self, place: str) -> None:
        children = [Child(type(self).opener, place, increment, b"n", 20, 3) for _ in range(3)]
        for child in children:
            child.end()

        async def body(meta: Meta) -> None:
            assert await meta.get(b"n") == b"180"

        self.use(place, body)

    def test_transactions_of_several_processes_equal_a_serial_run_in_the_order_of_their_stamps(
        self, place: str
    ) -> None:
        children = [Child(type(self).opener, place, transact_at_random, seed, 6, 40) for seed in range(2)]
        history = sorted(done for child in children for done in child.end())
        stamps = [stamp for stamp, _ in history]
        assert len(set(stamps)) == len(stamps) > 0
        state: dict[bytes, bytes] = {}
        for _, operations in history:
            _replay(state, operations)

        async def body(meta: Meta) -> None:
            assert await everything(meta) == state

        self.use(place, body)

    def test_nothing_acknowledged_is_lost_and_nothing_is_half_there_after_a_kill(self, place: str) -> None:
        acknowledged: set[bytes] = set()
        for round_ in range(_ROUNDS):
            children = [Child(type(self).opener, place, commit_pairs, 2 * round_ + which, 8) for which in (0, 1)]
            for _ in range(_ACKNOWLEDGED):
                acknowledged.update(child.receive() for child in children)
            for child in children:
                child.kill()
                acknowledged.update(child.said())
            self.use(place, lambda meta: self._check_pairs(meta, acknowledged))

    @staticmethod
    async def _check_pairs(meta: Meta, acknowledged: set[bytes]) -> None:
        # In one snapshot: a server may still be ending what those that were killed had asked of it.
        with meta.snapshot() as snapshot:
            left = {key.removeprefix(b"left/") for key, _ in await snapshot.range(b"left/", b"left0", 100_000)}
            right = {key.removeprefix(b"right/") for key, _ in await snapshot.range(b"right/", b"right0", 100_000)}
            assert await snapshot.get(b"pairs") == counter(len(left))
        records = [value for _, value in (await meta.feed(b"pairs", None, 100_000)).records]
        assert acknowledged <= left
        assert left == right
        assert left <= set(records)
        assert len(records) == len(set(records))

    def test_a_handle_that_crossed_a_fork_says_so_and_the_forked_process_may_open_its_own(self, place: str) -> None:
        child = Child(type(self).opener, place, fork_and_try, type(self).opener, place)
        assert child.end() == [
            ("refused", ["get", "range", "transact", "feed", "snapshot"], b"1"),
            ("forked process ended with", 0),
            ("snapshot", b"1"),
            ("parent", b"1"),
        ]


def _replay(state: dict[bytes, bytes], operations: list[Operation]) -> None:
    """Do to `state` what a transaction did, and see that it would have read the same."""
    for name, where, what in operations:
        if name == "get":
            assert state.get(where) == what
        elif name == "range":
            start, end = where
            assert sorted(pair for pair in state.items() if start <= pair[0] < end)[:3] == what
        elif what is None:
            state.pop(where, None)
        else:
            state[where] = what
