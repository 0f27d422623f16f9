"""Judges histories of a bucket, with what their last listing tells in hindsight.

Where versions are kept, a history may end with a listing of all of them, begun after every other answer. It tells which writes
of unknown outcome took place, and in which order versions were made; without that, some searches would not end. It must hold
that nobody can have removed a version by an id but one that the answer to its own write gave. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from isotherm.testing.linearizability import STEPS_MOST, Verdict, check
from isotherm.testing.object_histories import (
    Answer,
    Copy,
    Delete,
    DeleteMany,
    Done,
    History,
    List,
    Listed,
    ObjectCall,
    Put,
    Request,
)
from isotherm.testing.object_specification import ObjectSpecification, Stack, State


def judge(history: History, *, steps_most: int = STEPS_MOST) -> Verdict[Request, Answer]:
    """Whether a history is linearizable, its listings included: each shows one instant of all keys."""
    calls = settled(history.calls)
    return check(calls, InHindsight(calls, versioned=history.versioned), steps_most=steps_most)


def settled(calls: Sequence[ObjectCall]) -> list[ObjectCall]:
    """Without the writes of unknown outcome that are known not to have taken place before the last listing.

    Nobody can tell whether they did after it. A version whose id no write was answered with is of a write of unknown
    outcome; such a write took place if the listing shows a version that it may have made.
    """
    last = _last_listing(calls)
    if last is None:
        return list(calls)
    told = _told(calls).keys()
    unclaimed = {(key, value) for key, value, version in last.entries if version not in told}
    return [call for call in calls if call.answer is not None or _may_have_made(call.request, unclaimed)]


class InHindsight:
    """The specification of a bucket, which takes no step that the last listing is known to contradict.

    Versions lie upon each other in the order in which they were made. So those that nobody ever asks to remove lie, at any
    time, as the lowest of the listing do.
    """

    def __init__(self, calls: Sequence[ObjectCall], *, versioned: bool) -> None:
        self._plain = ObjectSpecification(calls, versioned=versioned)
        last, told = _last_listing(calls), _told(calls)
        doomed = {call.request.version for call in calls if isinstance(call.request, Delete)}
        self._hindsight = last is not None
        self._doomed = {number for version, number in told.items() if version in doomed}
        self._left: dict[str, list[tuple[str, int | None]]] = {}
        for key, value, version in reversed(last.entries if last else ()):
            number = told.get(version or "")
            if number not in self._doomed:
                self._left.setdefault(key, []).append((value, number))
        self._unanswered = {
            call.request.number
            for call in calls
            if call.answer is None and isinstance(call.request, Put | Copy | Delete | DeleteMany)
        }

    def start(self) -> State:
        return self._plain.start()

    def keys(self, request: Request) -> Iterable[str]:
        return self._plain.keys(request)

    def changes(self, request: Request, answer: Answer | None) -> bool:
        return self._plain.changes(request, answer)

    def step(self, state: State, request: Request, answer: Answer | None) -> State | None:
        after = self._plain.step(state, request, answer)
        if after is None or after is state or not self._hindsight:
            return after
        return after if all(self._stays(key, stack) for key, stack in after) else None

    def _stays(self, key: str, stack: Stack) -> bool:
        """Whether the newest version may lie where it does; those beneath it were asked about when they were new."""
        value, number = stack[0]
        if number in self._doomed:
            return True
        left = self._left.get(key, [])
        height = sum(below not in self._doomed for _, below in stack[1:])
        if height >= len(left) or left[height][0] != value:
            return False
        shown = left[height][1]
        return number == shown if shown is not None else number in self._unanswered


def _last_listing(calls: Sequence[ObjectCall]) -> Listed | None:
    """What the history ends with, if that is a listing of all versions of which hindsight is sound."""
    answered = [call for call in calls if call.returned is not None]
    last = max(answered, key=lambda call: call.called, default=None)
    if last is None or not isinstance(last.request, List) or not last.request.versions:
        return None
    if any(call.returned is not None and call.returned >= last.called for call in answered if call is not last):
        return None
    removed = {call.request.version for call in calls if isinstance(call.request, Delete)} - {None}
    complete = set().union(*({*_keys(call.request)} for call in calls)) <= {*last.request.keys}
    sound = complete and removed <= _told(calls).keys()
    return last.answer if sound and isinstance(last.answer, Listed) else None


def _keys(request: Request) -> Iterable[str]:
    return request.keys if isinstance(request, DeleteMany | List) else (request.key,)


def _told(calls: Sequence[ObjectCall]) -> dict[str, int]:
    """The numbers of writes by the version ids that they were answered with."""
    return {
        version: call.request.number
        for call in calls
        if isinstance(call.answer, Done) and isinstance(call.request, Put | Copy | Delete | DeleteMany)
        for version in call.answer.versions
    }


def _may_have_made(request: Request, unclaimed: set[tuple[str, str]]) -> bool:
    match request:
        case Put():
            return (request.key, request.value) in unclaimed
        case Copy():
            return any(key == request.key and value for key, value in unclaimed)
        case Delete():
            return request.version is not None or (request.key, "") in unclaimed
        case DeleteMany():
            return all((key, "") in unclaimed for key in request.keys)
        case _:
            return False
