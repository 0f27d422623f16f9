"""Members of one batch see the counters that members before them have added to, and one row is written for all."""

from contextlib import nullcontext

import pytest

from isotherm.errors import Invalid
from isotherm.ids import SystemIds
from isotherm.meta.lmdb.committer import BatchCommitter
from isotherm.meta.lmdb.environment import open_environment, prepare_directory
from isotherm.meta.member import Member, RangeRead
from isotherm.meta.rules import counter


@pytest.fixture
def environment(tmp_path):
    prepare_directory(tmp_path / "meta")
    environment = open_environment(
        tmp_path / "meta", ids=SystemIds(), writer_turn=nullcontext, map_bytes=1 << 24, sync=False
    )
    yield environment
    environment.close()


def member(*, reads=None, ranges=(), writes=None, stamped=None, adds=None):
    stamped = stamped or {}
    return Member(reads or {}, list(ranges), writes or {}, stamped, [], adds or {}, [], len(stamped), 0)


def adding(delta, key=b"k"):
    return member(adds={key: delta})


def reading(value, key=b"k"):
    return member(reads={key: value}, writes={b"seen": b"1"})


def scanning(*pairs):
    return member(ranges=[RangeRead(b"k", b"l", 10, False, list(pairs))], writes={b"scanned": b"1"})


def test_a_batch_reads_what_its_members_have_added(environment):
    committed = BatchCommitter(environment).commit(
        [
            adding(5),
            reading(counter(5)),
            reading(None),
            adding(7),
            scanning((b"k", counter(12))),
            scanning((b"k", counter(5))),
            adding(-12),
            reading(None),
            adding(3),
        ]
    )
    assert [outcome is None for outcome in committed] == [False, False, True, False, False, True, False, False, False]
    assert environment.reading().get(b"k") == counter(3)


def test_a_write_takes_the_place_of_what_was_added_before_it_and_counts_for_what_follows(environment):
    BatchCommitter(environment).commit(
        [
            adding(5),
            member(writes={b"k": counter(100)}),
            adding(1),
            adding(5, b"gone"),
            member(writes={b"gone": None}),
            adding(5, b"stamped"),
            member(stamped={b"stamped": (0, b"value")}),
        ]
    )
    view = environment.reading()
    assert view.get(b"k") == counter(101)
    assert view.get(b"gone") is None
    assert view.get(b"stamped")[16:] == b"value"


def test_one_that_overflows_or_adds_to_no_counter_fails_alone(environment):
    committer = BatchCommitter(environment)
    most = (1 << 63) - 1
    committer.commit([member(writes={b"text": b"text"})])
    outcomes = committer.commit([adding(most), adding(1), adding(1, b"text"), adding(-1)])
    assert [isinstance(outcome, Invalid) for outcome in outcomes] == [False, True, True, False]
    assert environment.reading().get(b"k") == counter(most - 1)
