"""Histories of a bucket that S3 allows, and histories that it does not."""

import msgspec
import pytest

from isotherm.testing.linearizability import Call, Outcome, check, minimise
from isotherm.testing.object_histories import (
    Copy,
    Cut,
    Delete,
    DeleteMany,
    Done,
    Event,
    Found,
    Get,
    History,
    List,
    Listed,
    Missing,
    Put,
    Refused,
    Unchanged,
    decode,
    encode,
    narrowed,
)
from isotherm.testing.object_specification import ObjectSpecification


def one_by_one(*exchanges):
    """Calls after one another, from (request, answer) pairs; an answer of None is an unknown outcome."""
    return [
        Call("c", request, 10 * at, None if answer is None else 10 * at + 5, answer)
        for at, (request, answer) in enumerate(exchanges)
    ]


def during(call, start, end):
    return Call(call.client, call.request, start, end, call.answer)


def linearizable(calls, versioned=False):
    outcome = check(calls, ObjectSpecification(calls, versioned=versioned)).outcome
    assert outcome is not Outcome.UNKNOWN
    return outcome is Outcome.LINEARIZABLE


DONE = Done()
BOTH = ("k", "l")

PLAIN = [
    (Get("k"), Missing()),
    (Put(1, "k", "a"), DONE),
    (Get("k"), Found("a")),
    (Get("k", if_none_match="a"), Unchanged()),
    (Get("k", if_none_match="b"), Found("a")),
    (Put(2, "k", "b", if_none_match="*"), Refused()),
    (Put(3, "k", "c", if_match="b"), Refused()),
    (Put(4, "k", "d", if_match="a"), DONE),
    (Copy(5, "k", "l"), DONE),
    (Copy(6, "k", "l", source_match="a"), Refused()),
    (Copy(7, "k", "l", if_none_match="*"), Refused()),
    (List(BOTH), Listed((("k", "d", None), ("l", "d", None)))),
    (Delete(8, "k", if_match="a"), Refused()),
    (Delete(9, "k", if_match="d"), DONE),
    (Delete(10, "k", if_match="d"), DONE),
    (Copy(11, "k", "l"), Missing()),
    (Put(12, "k", "e", if_match="d"), Missing()),
    (List(BOTH), Listed((("l", "d", None),))),
    (Put(13, "k", "f", if_none_match="*"), DONE),
    (DeleteMany(14, BOTH), DONE),
    (List(BOTH), Listed(())),
]

VERSIONED = [
    (Put(1, "k", "a"), Done(("v1",))),
    (Put(2, "k", "b"), Done(("v2",))),
    (Delete(3, "k"), Done(("v3",))),
    (Get("k"), Missing("v3")),
    (Get("k", version="v1"), Found("a", "v1")),
    (Get("k", version="v3"), Missing("v3")),
    (List(BOTH), Listed(())),
    (List(BOTH, versions=True), Listed((("k", "", "v3"), ("k", "b", "v2"), ("k", "a", "v1")))),
    (Delete(4, "k", if_match="b"), Refused()),
    (Put(5, "k", "c", if_match="b"), Missing()),
    (Delete(6, "k", version="v3"), DONE),
    (Delete(7, "k", version="v3"), DONE),
    (Get("k"), Found("b", "v2")),
    (Copy(8, "k", "l"), Done(("v4",))),
    (Delete(9, "k", version="v2"), DONE),
    (Get("k", version="v2"), Missing()),
    (Get("k"), Found("a", "v1")),
    (List(BOTH), Listed((("k", "a", None), ("l", "b", None)))),
    (DeleteMany(10, ("k",)), Done(("v5",))),
    (List(BOTH), Listed((("l", "b", None),))),
    (Delete(11, "k"), Done(("v6",))),
    (Get("k"), Missing("v6")),
]


@pytest.mark.parametrize(("exchanges", "versioned"), [(PLAIN, False), (VERSIONED, True)])
def test_a_client_alone_sees_what_s3_promises(exchanges, versioned):
    assert linearizable(one_by_one(*exchanges), versioned)


OTHERS = [DONE, Missing(), Missing("v1"), Refused(), Unchanged(), Found("z"), Found("a", "v2"), Listed(()), Cut()]
OTHERS += [Listed((("k", "d", None),)), Listed((("l", "b", "v9"),))]


@pytest.mark.parametrize(("exchanges", "versioned"), [(PLAIN, False), (VERSIONED, True)])
def test_and_nothing_else(exchanges, versioned):
    """Any one answer replaced by another one, where the next answers would tell, is a violation."""
    accepted = []
    for at, (request, answer) in enumerate(exchanges):
        for other in OTHERS:
            if type(other) is type(answer) and not isinstance(other, Found | Listed | Missing):
                continue
            changed = [*exchanges[:at], (request, other), *exchanges[at + 1 :]]
            if other != answer and linearizable(one_by_one(*changed), versioned):
                accepted.append((request, answer, other))
    assert not [each for each in accepted if not isinstance(each[2], Cut)]


def test_an_update_that_is_lost():
    first = one_by_one((Put(1, "k", "a"), DONE))
    replaced = [during(one_by_one((Put(n, "k", f"b{n}", if_match="a"), DONE))[0], 20, 30) for n in (2, 3)]
    assert linearizable([*first, replaced[0]])
    assert not linearizable([*first, *replaced])


def test_two_creators_cannot_both_win():
    created = [during(one_by_one((Put(n, "k", f"b{n}", if_none_match="*"), DONE))[0], 20, 30) for n in (2, 3)]
    assert linearizable(created[:1])
    assert not linearizable(created)


def test_a_creator_is_not_refused_because_of_its_own_attempt():
    """What a server that tries again after a lost reply would answer."""
    refused = (Put(1, "k", "a", if_none_match="*"), Refused())
    assert not linearizable(one_by_one(refused))
    assert not linearizable(one_by_one(refused, (Get("k"), Found("a"))))


def test_a_listing_shows_one_instant():
    """It began before both writes; that it saw the later one only is a state that never was."""
    writes = one_by_one((Put(1, "k", "a"), DONE), (Put(2, "l", "b"), DONE))
    seen = Call("r", List(BOTH), 0, 99, Listed((("l", "b", None),)))
    assert not linearizable([*writes, seen])
    assert linearizable(narrowed([*writes, seen]))
    assert linearizable([*writes, Call("r", List(BOTH), 0, 99, Listed((("k", "a", None),)))])


def test_a_listing_that_is_stale_for_one_key_is_a_violation_however_little_it_promises():
    calls = one_by_one((Put(1, "k", "a"), DONE), (List(BOTH), Listed(())))
    assert not linearizable(narrowed(calls))


def test_a_request_that_was_never_sent_whole_has_no_effect():
    calls = one_by_one((Put(1, "k", "a"), Cut()), (Get("k"), Found("a")))
    assert not linearizable(calls)
    assert linearizable(one_by_one((Put(1, "k", "a"), None), (Get("k"), Missing()), (Get("k"), Found("a"))))


def test_an_unknown_write_answers_to_any_version_id_but_those_of_others():
    before = [(Put(1, "k", "a"), Done(("v1",))), (Put(2, "k", "b"), None), (Copy(3, "k", "k2"), None)]
    assert linearizable(one_by_one(*before, (Get("k"), Found("b", "v2"))), versioned=True)
    assert not linearizable(one_by_one(*before, (Get("k"), Found("b", "v1"))), versioned=True)
    assert not linearizable(one_by_one(*before, (Get("k"), Found("a", "v2"))), versioned=True)


def test_many_unknown_writes_are_no_obstacle():
    unknown = [(Put(n, "k", f"u{n}"), None) for n in range(30)]
    seen = [(Put(50, "k", "a"), DONE), (Put(51, "k", "z", if_match="a"), Refused()), (Get("k"), Found("u7"))]
    calls = one_by_one(*unknown, *seen)
    specification = ObjectSpecification(calls, versioned=False)
    assert check(calls, specification).outcome is Outcome.LINEARIZABLE
    calls = one_by_one(*unknown, *seen, (Get("k"), Found("a")))
    verdict = check(calls, specification)
    assert verdict.outcome is Outcome.VIOLATION
    assert verdict.steps < 100_000


def test_a_history_can_be_written_down_and_read_again():
    calls = one_by_one(*PLAIN, *VERSIONED, (Put(40, "k", "a"), None), (Put(41, "k", "a"), Cut()))
    history = History("torture", True, tuple(calls), (Event(7, "SIGKILL of gateway-0"),))
    assert decode(encode(history)) == history
    with pytest.raises(msgspec.DecodeError):
        decode(b'{"name": "x"}')


def test_a_violation_among_many_keys_is_cut_down():
    calls = one_by_one(*PLAIN, (Put(20, "m", "x"), DONE), (List((*BOTH, "m")), Listed(())), (Get("k"), Missing()))
    least = minimise(narrowed(calls), ObjectSpecification(calls, versioned=False))
    assert [call.request for call in least] == [Put(20, "m", "x"), List(("m",))]
