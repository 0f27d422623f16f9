"""Is a recorded history linearizable? A bounded, deterministic search; knows nothing of objects or servers.

A history is linearizable when every call can be given one instant between its start and its return, such that the calls,
carried out one by one in the order of their instants, would have been answered as they were (Herlihy and Wing, 1990). A
call whose outcome is unknown (its connection was cut, its server killed) may have taken effect at any time after its start,
even after the history's end, or never.

The search is Wing and Gong's ("Testing and verifying concurrent objects", 1993): choose a call that no other had to precede,
carry it out, go on with the rest, step back when stuck. It visits no configuration (calls carried out, state) twice: Lowe,
"Testing for linearizability", 2017. Calls that share no key are checked apart from each other, since linearizability is
local: Horn and Kroening, "Faster linearizability checking via P-compositionality", 2015; a call over several keys joins the
parts of its keys into one.

Finding an order is exponential at worst: beyond `steps_most` the verdict is UNKNOWN, which is not a pass. Pure; from any
thread.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Generic, Protocol, TypeVar

S = TypeVar("S", bound=Hashable)
Q = TypeVar("Q")
A = TypeVar("A")
Q_contra = TypeVar("Q_contra", contravariant=True)
A_contra = TypeVar("A_contra", contravariant=True)

STEPS_MOST = 2_000_000


@dataclass(frozen=True, slots=True)
class Call(Generic[Q, A]):
    """What a client asked, when, and how it was answered.

    Args:
        client: who asked; for people.
        called, returned: on one clock, of any unit. Calls that touch in one instant count as concurrent.
        returned, answer: None, both, where the outcome is unknown.
    """

    client: str
    request: Q
    called: int
    returned: int | None = None
    answer: A | None = None

    def __post_init__(self) -> None:
        if (self.returned is None) != (self.answer is None):
            raise ValueError("a call has an answer and the time of it, or neither")
        if self.returned is not None and self.returned < self.called:
            raise ValueError("a call returned before it began")


class Specification(Protocol[S, Q_contra, A_contra]):
    """What one client alone would see: an object, sequentially. Pure; states are hashable, and none of them is None."""

    def start(self) -> S: ...

    def step(self, state: S, request: Q_contra, answer: A_contra | None) -> S | None:
        """The state after `request`, or None where it cannot be answered so in `state`. `answer` None: however answered."""
        ...

    def keys(self, request: Q_contra) -> Iterable[Hashable]:
        """All that the request may read or change. Requests without a common key do not affect each other."""
        ...

    def changes(self, request: Q_contra, answer: A_contra | None) -> bool:
        """False where a request answered so leaves every state as it was. `answer` None: however answered."""
        ...


class Outcome(Enum):
    LINEARIZABLE = "linearizable"
    VIOLATION = "violation"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Verdict(Generic[Q, A]):
    """Of a history.

    Args:
        steps: tried in all.
        part: the calls that no order was found for; the whole history where it is linearizable.
        order: the longest order of calls of `part` that was found; for a linearizable history, of each of its parts in turn.
        blocked: the calls one of which would have to come next after `order`, and none can.
    """

    outcome: Outcome
    steps: int
    part: Sequence[Call[Q, A]]
    order: Sequence[Call[Q, A]]
    blocked: Sequence[Call[Q, A]] = ()


def check(
    history: Sequence[Call[Q, A]], specification: Specification[S, Q, A], *, steps_most: int = STEPS_MOST
) -> Verdict[Q, A]:
    """Whether `history` is linearizable. Ends at the first part that is not, or whose search has used up the rest of the steps."""
    steps = 0
    order: list[Call[Q, A]] = []
    for part in parts(history, specification):
        verdict = _Search(part, specification, steps_most - steps).run()
        steps += verdict.steps
        if verdict.outcome is not Outcome.LINEARIZABLE:
            return replace(verdict, steps=steps)
        order += verdict.order
    return Verdict(Outcome.LINEARIZABLE, steps, history, order)


def parts(history: Sequence[Call[Q, A]], specification: Specification[S, Q, A]) -> list[list[Call[Q, A]]]:
    """The history, divided so that no key occurs in two parts, in the order of their first calls."""
    above: dict[Hashable, Hashable] = {}

    def root(key: Hashable) -> Hashable:
        while (parent := above.setdefault(key, key)) != key:
            above[key] = key = above[parent]
        return key

    first: list[Hashable] = []
    for call in history:
        keys = list(specification.keys(call.request))
        first.append(keys[0])
        for key in keys[1:]:
            above[root(key)] = root(keys[0])
    divided: dict[Hashable, list[Call[Q, A]]] = {}
    for call, key in zip(history, first, strict=True):
        divided.setdefault(root(key), []).append(call)
    return list(divided.values())


class _Search(Generic[S, Q, A]):
    """Depth first over configurations. Calls that return first are tried first, those of unknown outcome last."""

    def __init__(self, part: Sequence[Call[Q, A]], specification: Specification[S, Q, A], steps_most: int) -> None:
        self._part = part
        self._specification = specification
        self._steps_most = steps_most
        self._steps = 0
        by_return = sorted((call.returned, at) for at, call in enumerate(part) if call.returned is not None)
        self._closed = [(returned, part[at].called, at) for returned, at in by_return]
        self._open = [(call.called, at) for at, call in enumerate(part) if call.returned is None]
        self._all_closed = sum(1 << at for _, _, at in self._closed)

    def run(self) -> Verdict[Q, A]:
        start = self._specification.start()
        seen = {(0, start)}
        path: list[tuple[int, S, int, Iterator[int]]] = [(-1, start, 0, self._candidates(0))]
        best: list[int] = []
        best_done = 0
        while path:
            _, state, done, candidates = path[-1]
            if done & self._all_closed == self._all_closed:
                return self._verdict(Outcome.LINEARIZABLE, [at for at, *_ in path[1:]])
            if len(path) - 1 > len(best):
                best, best_done = [at for at, *_ in path[1:]], done
            chosen = self._choose(state, done, candidates, seen)
            if chosen is not None:
                at, after = chosen
                path.append((at, after, done | 1 << at, self._candidates(done | 1 << at)))
            elif self._steps >= self._steps_most:
                return self._verdict(Outcome.UNKNOWN, best, best_done)
            else:
                path.pop()
        return self._verdict(Outcome.VIOLATION, best, best_done)

    def _choose(self, state: S, done: int, candidates: Iterator[int], seen: set[tuple[int, S]]) -> tuple[int, S] | None:
        """The next candidate that can be carried out and leads to a configuration not seen before, and the state it leads to."""
        for at in candidates:
            if self._steps >= self._steps_most:
                return None
            self._steps += 1
            call = self._part[at]
            after = self._specification.step(state, call.request, call.answer)
            if after is None or (call.returned is None and after == state):
                continue
            if (configuration := (done | 1 << at, after)) not in seen:
                seen.add(configuration)
                return at, after
        return None

    def _candidates(self, done: int) -> Iterator[int]:
        """Calls that are left and began before every other that is left returned."""
        closed = [entry for entry in self._closed if not done >> entry[2] & 1]
        if not closed:
            return
        horizon = closed[0][0]
        for _, called, at in closed:
            if called <= horizon:
                yield at
        for called, at in self._open:
            if called <= horizon and not done >> at & 1:
                yield at

    def _verdict(self, outcome: Outcome, order: Sequence[int], done: int = 0) -> Verdict[Q, A]:
        blocked = [] if outcome is Outcome.LINEARIZABLE else list(self._candidates(done))
        part = self._part
        return Verdict(outcome, self._steps, part, [part[at] for at in order], [part[at] for at in blocked])


def until(history: Sequence[Call[Q, A]], instant: int) -> list[Call[Q, A]]:
    """What was known at that instant: later calls are left out, answers that came later are not known.

    A prefix of a linearizable history is linearizable.
    """
    return [
        call if call.returned is not None and call.returned <= instant else replace(call, returned=None, answer=None)
        for call in history
        if call.called <= instant
    ]


def minimise(
    history: Sequence[Call[Q, A]], specification: Specification[S, Q, A], *, steps_most: int = STEPS_MOST
) -> list[Call[Q, A]]:
    """A part of a violating history that shows the violation still: its shortest prefix, less what changed nothing.

    Only such calls are left out as can be left out of any linearizable history; of calls that change something, none can.
    A history that is not known to be a violation comes back as it is.
    """

    def violates(calls: Sequence[Call[Q, A]]) -> bool:
        return check(calls, specification, steps_most=steps_most).outcome is Outcome.VIOLATION

    verdict = check(history, specification, steps_most=steps_most)
    if verdict.outcome is not Outcome.VIOLATION:
        return list(history)
    least = list(verdict.part)
    instants = sorted(call.returned for call in least if call.returned is not None)
    low, high = 0, len(instants) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if violates(until(least, instants[middle])) else (middle + 1, high)
    least = until(least, instants[high])
    for call in list(least):
        if not specification.changes(call.request, call.answer):
            without = [other for other in least if other is not call]
            least = without if violates(without) else least
    return least
