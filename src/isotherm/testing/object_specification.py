"""What S3 promises of a bucket, as one client alone would see it: the specification that histories are checked against.

With versions a key has a stack of them, the newest on top, delete markers among them; without, at most one. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from isotherm.testing.object_histories import (
    Answer,
    Copy,
    Cut,
    Delete,
    DeleteMany,
    Done,
    Found,
    Get,
    List,
    Listed,
    Missing,
    ObjectCall,
    Put,
    Refused,
    Request,
    Unchanged,
)

Version = tuple[str, int]
"""(value, or "" for a delete marker; the number of the write that made it, or -1 where versions are not kept)"""

Stack = tuple[Version, ...]
"""The versions of a key, newest first."""

State = tuple[tuple[str, Stack], ...]
"""All keys that have versions, in order."""


class ObjectSpecification:
    """The bucket of one history.

    It must know the calls of the whole history, to know which write made which version id. An id that no write was answered
    with may be of any write of unknown outcome that wrote the value.
    """

    def __init__(self, calls: Sequence[ObjectCall], *, versioned: bool) -> None:
        self._versioned = versioned
        self._maker: dict[str, int] = {}
        self._unanswered: set[int] = set()
        for call in calls:
            if isinstance(call.request, Get | List):
                continue
            if call.answer is None:
                self._unanswered.add(call.request.number)
            elif isinstance(call.answer, Done):
                self._maker.update(dict.fromkeys(call.answer.versions, call.request.number))

    def start(self) -> State:
        return ()

    def keys(self, request: Request) -> Iterable[str]:
        match request:
            case Copy():
                return request.source, request.key
            case DeleteMany() | List():
                return request.keys
            case _:
                return (request.key,)

    def changes(self, request: Request, answer: Answer | None) -> bool:
        return not isinstance(request, Get | List) and (answer is None or isinstance(answer, Done))

    def step(self, state: State, request: Request, answer: Answer | None) -> State | None:
        if isinstance(answer, Cut):
            return state
        match request:
            case Put():
                return self._add(state, request, request.value, answer)
            case Copy():
                return self._copy(state, request, answer)
            case Get():
                return state if answer is None or self._shows(_stack(state, request.key), request, answer) else None
            case Delete():
                return self._delete(state, request, answer)
            case DeleteMany():
                for key in request.keys:
                    state = self._hide(state, key, request.number)
                return state if answer is None or isinstance(answer, Done) else None
            case List():
                return state if answer is None or self._lists(state, request, answer) else None

    def _add(self, state: State, request: Put | Copy, value: str, answer: Answer | None) -> State | None:
        stack = _stack(state, request.key)
        refusal = _refusal(stack, request.if_match, request.if_none_match)
        if refusal is not None:
            return state if answer in (None, refusal) else None
        if answer is not None and not isinstance(answer, Done):
            return None
        made = ((value, request.number), *stack) if self._versioned else ((value, -1),)
        return _with(state, request.key, made)

    def _copy(self, state: State, request: Copy, answer: Answer | None) -> State | None:
        value = _newest(_stack(state, request.source))
        if not value:
            return state if answer in (None, Missing()) else None
        if request.source_match not in (None, value):
            return state if answer in (None, Refused()) else None
        return self._add(state, request, value, answer)

    def _delete(self, state: State, request: Delete, answer: Answer | None) -> State | None:
        stack = _stack(state, request.key)
        if request.version is not None:
            number = self._maker.get(request.version)
            state = _with(state, request.key, tuple(version for version in stack if version[1] != number))
        elif request.if_match is None:
            state = self._hide(state, request.key, request.number)
        elif stack and _newest(stack) != request.if_match:
            return state if answer in (None, Refused()) else None
        elif stack:
            state = self._hide(state, request.key, request.number)
        return state if answer is None or isinstance(answer, Done) else None

    def _hide(self, state: State, key: str, number: int) -> State:
        return _with(state, key, (("", number), *_stack(state, key)) if self._versioned else ())

    def _shows(self, stack: Stack, request: Get, answer: Answer) -> bool:
        if request.version is not None:
            number = self._maker.get(request.version)
            stack = tuple(version for version in stack if version[1] == number)
        value = _newest(stack)
        match answer:
            case Found():
                unasked = request.if_none_match != answer.value
                return value != "" and unasked and self._is(stack[0], answer.value, answer.version)
            case Unchanged():
                return value != "" and request.if_none_match == value
            case Missing():
                if value != "":
                    return False
                return self._is(stack[0], "", answer.marker) if stack else answer.marker is None
            case _:
                return False

    def _lists(self, state: State, request: List, answer: Answer) -> bool:
        if not isinstance(answer, Listed):
            return False
        shown = [(key, version) for key in sorted(request.keys) for version in self._shown(_stack(state, key), request)]
        if not request.versions:
            return [(key, version[0], None) for key, version in shown] == list(answer.entries)
        return len(shown) == len(answer.entries) and all(
            key == listed[0] and self._is(version, listed[1], listed[2])
            for (key, version), listed in zip(shown, answer.entries, strict=True)
        )

    def _shown(self, stack: Stack, request: List) -> Stack:
        return stack if request.versions else stack[:1] if _newest(stack) else ()

    def _is(self, version: Version, value: str, told: str | None) -> bool:
        """Whether an answer that tells of `value`, and of a version id or none, may tell of this version."""
        if version[0] != value:
            return False
        if told is None or not self._versioned:
            return told is None and not self._versioned
        number = self._maker.get(told)
        return version[1] in self._unanswered if number is None else version[1] == number


def _stack(state: State, key: str) -> Stack:
    for name, stack in state:
        if name == key:
            return stack
    return ()


def _with(state: State, key: str, stack: Stack) -> State:
    others = [entry for entry in state if entry[0] != key]
    return tuple(sorted([*others, (key, stack)])) if stack else tuple(others)


def _newest(stack: Stack) -> str:
    """The value of the newest version; "" where there is none or it is a marker."""
    return stack[0][0] if stack else ""


def _refusal(stack: Stack, if_match: str | None, if_none_match: str | None) -> Answer | None:
    value = _newest(stack)
    if if_match is not None and value != if_match:
        return Refused() if value else Missing()
    return Refused() if if_none_match is not None and value else None
