"""What the last listing of versions tells, and what it must not be taken to tell."""

from dataclasses import replace

import pytest

from isotherm.testing.linearizability import Outcome, check
from isotherm.testing.object_hindsight import InHindsight, judge, settled
from isotherm.testing.object_histories import (
    Copy,
    Delete,
    DeleteMany,
    Done,
    Found,
    Get,
    History,
    List,
    Listed,
    Missing,
    Put,
)
from isotherm.testing.object_specification import ObjectSpecification
from tests.testing.test_object_specification import BOTH, DONE, during, one_by_one

UNKNOWN = [
    (Put(1, "k", "a"), None),
    (Put(2, "k", "b", if_none_match="*"), None),
    (Copy(3, "k", "l"), None),
    (Delete(4, "k"), None),
    (Delete(5, "l", version="v6"), None),
    (DeleteMany(7, BOTH), None),
    (Put(6, "l", "c"), Done(("v6",))),
]


@pytest.mark.parametrize(
    ("entries", "left"),
    [
        ([], {5}),
        ([("l", "c", "v6")], {5}),
        ([("k", "a", "v1"), ("l", "c", "v6")], {1, 5}),
        ([("k", "", "v3"), ("l", "a", "v2"), ("l", "c", "v6")], {3, 4, 5}),
        ([("k", "", "v3"), ("l", "", "v2"), ("l", "c", "v6")], {4, 5, 7}),
    ],
)
def test_the_last_listing_of_versions_tells_which_unknown_writes_took_place(entries, left):
    calls = one_by_one(*UNKNOWN, (List(BOTH, versions=True), Listed(tuple(entries))))
    assert {call.request.number for call in settled(calls) if call.answer is None} == left


def test_but_not_where_more_came_after_it_or_a_version_may_have_gone():
    everything = (List(BOTH, versions=True), Listed(()))
    for more in ([(Get("k"), Missing())], [(List(BOTH), Listed(()))]):
        calls = one_by_one(*UNKNOWN, everything, *more)
        assert settled(calls) == calls
    calls = one_by_one((Delete(9, "k", version="v9"), DONE), *UNKNOWN, everything)
    assert settled(calls) == calls
    assert settled([]) == []


def side_by_side(*exchanges):
    """Writes that all overlap, then the last listing."""
    *writes, last = one_by_one(*exchanges)
    writes = [during(call, 0, 99) if call.answer is not None else replace(call, called=0) for call in writes]
    return [*writes, during(last, 100, 110)]


def outcome(calls, versioned=True):
    return judge(History("h", versioned, tuple(calls))).outcome


SHUFFLED = [7, 2, 9, 4, 0, 5, 8, 1, 6, 3, 11, 10, 13, 12]


def test_the_order_of_versions_leads_the_search():
    """Fourteen writes in one instant have 87 billion orders; the listing shows the one that was."""
    writes = [(Put(n, "k", f"a{n}"), Done((f"v{n}",))) for n in range(14)]
    listed = List(("k",), versions=True), Listed(tuple(("k", f"a{n}", f"v{n}") for n in SHUFFLED))
    calls = side_by_side(*writes, listed)
    assert judge(History("h", True, tuple(calls)), steps_most=2_000).outcome is Outcome.LINEARIZABLE
    assert check(calls, ObjectSpecification(calls, versioned=True), steps_most=2_000).outcome is Outcome.UNKNOWN


def test_unknown_writes_have_their_places_in_that_order():
    writes = [(Put(n, "k", f"a{n}"), None if n % 3 else Done((f"v{n}",))) for n in range(14)]
    listed = List(("k",), versions=True), Listed(tuple(("k", f"a{n}", f"v{n}") for n in SHUFFLED))
    calls = side_by_side(*writes, listed)
    assert judge(History("h", True, tuple(calls)), steps_most=2_000).outcome is Outcome.LINEARIZABLE


def test_an_order_that_time_forbids_is_a_violation():
    writes = one_by_one((Put(1, "k", "a"), Done(("v1",))), (Put(2, "k", "b"), Done(("v2",))))
    everything = List(("k",), versions=True)
    for shown, expected in (
        ([("b", "v2"), ("a", "v1")], Outcome.LINEARIZABLE),
        (
            [("a", "v1"), ("b", "v2")],
            Outcome.VIOLATION,
        ),
    ):
        last = during(one_by_one((everything, Listed(tuple(("k", *row) for row in shown))))[0], 50, 60)
        assert outcome([*writes, last]) is expected


def test_a_copy_may_have_made_what_a_put_of_the_same_value_could_have():
    """Two versions of one value, of a put and of a copy back whose outcomes nobody knows: either may lie above."""
    calls = side_by_side(
        (Put(1, "k", "a"), None),
        (Copy(2, "k", "l"), Done(("v2",))),
        (Copy(3, "l", "k"), None),
        (Put(4, "k", "b"), Done(("v4",))),
        (List(BOTH, versions=True), Listed((("k", "a", "v3"), ("k", "b", "v4"), ("k", "a", "v1"), ("l", "a", "v2")))),
    )
    assert outcome(calls) is Outcome.LINEARIZABLE


def test_without_versions_there_is_no_hindsight():
    calls = one_by_one((Put(1, "k", "a"), None), (Get("k"), Missing()), (List(("k",)), Listed((("k", "a", None),))))
    assert outcome(calls, versioned=False) is Outcome.LINEARIZABLE
    calls = one_by_one((Put(1, "k", "a"), None), (Get("k"), Found("a")), (List(("k",)), Listed(())))
    assert outcome(calls, versioned=False) is Outcome.VIOLATION


def test_hindsight_takes_the_same_steps():
    calls = one_by_one((Put(1, "k", "a"), Done(("v1",))), (List(BOTH, versions=True), Listed((("k", "a", "v1"),))))
    hindsight, plain = InHindsight(calls, versioned=True), ObjectSpecification(calls, versioned=True)
    for call in calls:
        assert hindsight.keys(call.request) == plain.keys(call.request)
        assert hindsight.changes(call.request, call.answer) == plain.changes(call.request, call.answer)
    assert [call.request.number for call in hindsight_order(calls)] == [1]


def hindsight_order(calls):
    return [call for call in judge(History("h", True, tuple(calls))).order if isinstance(call.request, Put)]
