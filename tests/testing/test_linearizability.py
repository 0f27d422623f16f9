"""The checker of histories: known verdicts, and agreement with one that tries every order."""

from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isotherm.testing.linearizability import Call, Outcome, check, minimise, parts, until


class Registers:
    """Registers by name; requests are (name, value written or None to read), answers what was read, or "ok"."""

    def start(self):
        return frozenset()

    def step(self, state, request, answer):
        name, value = request
        held = dict(state)
        if value is None:
            return state if answer in (None, held.get(name, 0)) else None
        return frozenset({**held, name: value}.items())

    def keys(self, request):
        return request[0]

    def changes(self, request, answer):
        return request[1] is not None


def write(name, value, called, returned=None):
    return Call("writer", (name, value), called, returned, None if returned is None else "ok")


def read(name, value, called, returned):
    return Call("reader", (name, None), called, returned, value)


def outcome(*history, **options):
    return check(history, Registers(), **options).outcome


GOOD = {
    "nothing": [],
    "one after the other": [write("x", 1, 0, 1), read("x", 1, 2, 3)],
    "a read beside a write sees the old": [write("x", 1, 0, 9), read("x", 0, 1, 2)],
    "or the new": [write("x", 1, 0, 9), read("x", 1, 1, 2)],
    "writes side by side, in either order": [write("x", 1, 0, 9), write("x", 2, 0, 9), read("x", 1, 10, 11)],
    "an unknown write that took place late": [write("x", 1, 0), read("x", 0, 1, 2), read("x", 1, 5, 6)],
    "an unknown write that never did": [write("x", 1, 0), read("x", 0, 1, 2), read("x", 0, 5, 6)],
    "in one instant counts as side by side": [write("x", 1, 0, 5), read("x", 0, 5, 6)],
    "other keys are other matters": [write("x", 1, 0, 1), write("y", 1, 2, 3), read("y", 1, 4, 5), read("x", 1, 6, 7)],
}
BAD = {
    "stale": [write("x", 1, 0, 1), read("x", 0, 2, 3)],
    "new, then old": [write("x", 1, 0, 9), read("x", 1, 1, 2), read("x", 0, 3, 4)],
    "never written": [read("x", 7, 0, 1)],
    "read before it was written": [read("x", 1, 0, 1), write("x", 1, 2, 3)],
    "an unknown write came and went": [write("x", 1, 0), read("x", 1, 1, 2), read("x", 0, 3, 4)],
    "two readers disagree on the order": [
        *[write("x", 1, 0, 1), write("x", 2, 0, 1)],
        *[read("x", 1, 2, 3), read("x", 2, 4, 5), read("x", 1, 6, 7)],
    ],
}


@pytest.mark.parametrize("name", GOOD)
def test_linearizable(name):
    assert outcome(*GOOD[name]) is Outcome.LINEARIZABLE


@pytest.mark.parametrize("name", BAD)
def test_violation(name):
    assert outcome(*BAD[name]) is Outcome.VIOLATION


def test_a_search_that_runs_out_of_steps_does_not_know():
    puzzle = [write("x", value, 0, 99) for value in range(1, 15)] + [read("x", 77, 100, 101)]
    assert outcome(*puzzle, steps_most=1_000) is Outcome.UNKNOWN
    verdict = check(puzzle[:8] + puzzle[-1:], Registers())
    assert verdict.outcome is Outcome.VIOLATION
    assert verdict.steps > 0


def test_what_was_tried_is_not_tried_again():
    """12 writes in one instant have half a billion orders, but only 12·2¹¹ configurations."""
    calls = [write("x", value, 0, 99) for value in range(12)]
    verdict = check([*calls, read("x", 77, 100, 101)], Registers())
    assert verdict.outcome is Outcome.VIOLATION
    assert verdict.steps < 12 * 12 * 2**11


def test_the_verdict_tells_how_far_an_order_was_found_and_what_could_not_follow():
    history = [write("x", 1, 0, 1), write("x", 2, 2, 3), read("x", 1, 4, 5), write("x", 3, 6, 7)]
    verdict = check(history, Registers())
    assert list(verdict.order) == history[:2]
    assert list(verdict.blocked) == history[2:3]


def test_the_order_of_a_linearizable_history_is_one():
    history = [write("x", 1, 0, 9), write("x", 2, 1, 9), read("x", 1, 2, 9), read("x", 2, 3, 4)]
    order = check(history, Registers()).order
    assert sorted(map(id, order)) == sorted(map(id, history))
    state = Registers().start()
    for call in order:
        state = Registers().step(state, call.request, call.answer)
        assert state is not None


def test_keys_that_meet_in_one_call_are_checked_together():
    history = [write("x", 1, 0, 1), write("y", 1, 0, 1), write("z", 1, 0, 1), write("yz", 1, 2, 3)]
    divided = [[call.request[0] for call in part] for part in parts(history, Registers())]
    assert divided == [["x"], ["y", "z", "yz"]]


def test_a_call_cannot_return_before_it_began_or_without_an_answer():
    for wrong in ((5, 4, "ok"), (5, None, "ok"), (5, 6, None)):
        with pytest.raises(ValueError, match="a call"):
            Call("c", ("x", 1), *wrong)


def test_a_violation_is_cut_down_to_what_shows_it():
    history = [
        *[write("x", 1, 0, 1), read("x", 1, 2, 3), read("x", 1, 4, 5), write("y", 1, 4, 5), write("x", 2, 6, 7)],
        *[read("x", 2, 8, 9), read("x", 1, 10, 11), write("x", 3, 10, 20), read("x", 9, 30, 31), write("x", 4, 32, 33)],
    ]
    least = minimise(history, Registers())
    assert [call.request for call in least] == [("x", 1), ("x", 2), ("x", None), ("x", 3)]
    assert (least[2].answer, least[3].answer) == (1, None)
    assert check(least, Registers()).outcome is Outcome.VIOLATION


def test_a_history_that_is_no_violation_stays_as_it_is():
    history = [write("x", 1, 0, 1), read("x", 1, 2, 3)]
    assert minimise(history, Registers()) == history


def by_trying_every_order(history):
    """Whether some order of the closed calls and some of the open ones is allowed by real time and by the registers."""

    def allowed(order):
        chosen = {id(call) for call in order}
        if any(call.returned is not None and id(call) not in chosen for call in history):
            return False
        late = any(
            earlier.called > later.returned
            for at, earlier in enumerate(order)
            for later in order[at + 1 :]
            if later.returned is not None
        )
        state = Registers().start()
        for call in order:
            state = Registers().step(state, call.request, call.answer)
            if state is None:
                return False
        return not late

    return any(allowed(order) for size in range(len(history) + 1) for order in permutations(history, size))


@st.composite
def histories(draw):
    """Up to six calls on two registers, most of them answered as an instant within their interval would have it."""
    size = draw(st.integers(1, 6))
    calls, held = [], {}
    for instant in sorted(draw(st.lists(st.integers(0, 12), min_size=size, max_size=size))):
        name = draw(st.sampled_from("xy" if draw(st.booleans()) else "x"))
        value = draw(st.sampled_from([None, None, 1, 2, 3]))
        answer = held.get(name, 0) if value is None else "ok"
        if value is not None:
            held[name] = value
        elif draw(st.integers(0, 5)) == 0:
            answer = draw(st.integers(0, 3))
        before, after = draw(st.integers(0, 5)), draw(st.integers(0, 5))
        call = Call("c", (name, value), instant - before, instant + after, answer)
        calls.append(replace(call, returned=None, answer=None) if draw(st.integers(0, 4)) == 0 else call)
    return calls


@settings(max_examples=400, deadline=None)
@given(histories())
def test_the_search_agrees_with_trying_every_order(history):
    linearizable = by_trying_every_order(history)
    assert outcome(*history) is (Outcome.LINEARIZABLE if linearizable else Outcome.VIOLATION)
    if not linearizable:
        least = minimise(history, Registers())
        assert not by_trying_every_order(least)
        assert len(least) <= len(history)


@settings(max_examples=200, deadline=None)
@given(histories(), st.integers(-5, 20))
def test_every_prefix_of_a_linearizable_history_is_linearizable(history, instant):
    if outcome(*history) is Outcome.LINEARIZABLE:
        assert outcome(*until(history, instant)) is Outcome.LINEARIZABLE
