"""Is a recorded history linearizable? A bounded, deterministic search; knows nothing of objects or servers.

A history is linearizable when every call can be given one instant between its start and its return, such that the calls,
carried out one by one in the order of their instants, would have been answered as they were (Herlihy and Wing, 1990). A
call whose outcome is unknown (its connection was cut, its server killed) may have taken effect at any time after its start,
even after the history's end, or never.

The search is Wing and Gong's ("Testing and verifying concurrent objects", 1993): choose a call that no other had to precede,
carry it out, go on with the rest, and elsewhere when stuck. It goes on from no configuration (calls carried out, state) twice:
Lowe, "Testing for linearizability", 2017; nor from one that has used up more calls of unknown outcome than another. Calls that share no key are checked apart from each other, since linearizability is
local: Horn and Kroening, "Faster linearizability checking via P-compositionality", 2015; a call over several keys joins the
parts of its keys into one.

Finding an order is exponential at worst: beyond `steps_most` the verdict is UNKNOWN, which is not a pass. Pure; from any
thread.
"""

from __future__ import annotations

import heapq
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

_OPEN_COSTS = 8
"""One more call without an answer is tried once the search would have to give up this many with one; no verdict depends on it."""


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


@dataclass(frozen=True, slots=True)
class _Node(Generic[S]):
    """A configuration: `closed` and `open` are sets of calls carried out, as bits; `at` the last of them."""

    state: S
    closed: int
    open: int
    at: int
    before: _Node[S] | None

    def order(self) -> list[int]:
        found: list[int] = []
        node = self
        while node.before is not None:
            found.append(node.at)
            node = node.before
        return found[::-1]


class _Search(Generic[S, Q, A]):
    """Best first: many calls with an answer carried out, and few without one.

    A configuration is passed over when another one was reached with the same state and the same answered calls carried out,
    and no unanswered calls but some of the same: all that can follow this one can follow that one.
    """

    def __init__(self, part: Sequence[Call[Q, A]], specification: Specification[S, Q, A], steps_most: int) -> None:
        self._part = part
        self._specification = specification
        self._steps_most = steps_most
        self._steps = 0
        by_return = sorted((call.returned, at) for at, call in enumerate(part) if call.returned is not None)
        self._closed = [(returned, part[at].called, at) for returned, at in by_return]
        self._open = [(call.called, at) for at, call in enumerate(part) if call.returned is None]
        self._seen: dict[tuple[int, S], list[int]] = {}
        self._reached = 0
        self._waiting: list[tuple[int, int, int, _Node[S]]] = []

    def run(self) -> Verdict[Q, A]:
        best = start = _Node(self._specification.start(), 0, 0, -1, None)
        self._reach(start)
        while self._waiting:
            node = heapq.heappop(self._waiting)[3]
            if node.closed.bit_count() > best.closed.bit_count():
                best = node
            if node.closed.bit_count() == len(self._closed):
                return self._verdict(Outcome.LINEARIZABLE, node)
            for at in self._candidates(node):
                if self._steps >= self._steps_most:
                    return self._verdict(Outcome.UNKNOWN, best)
                self._steps += 1
                self._try(node, at)
        return self._verdict(Outcome.VIOLATION, best)

    def _try(self, node: _Node[S], at: int) -> None:
        call = self._part[at]
        after = self._specification.step(node.state, call.request, call.answer)
        if after is None:
            return
        if call.returned is not None:
            self._reach(_Node(after, node.closed | 1 << at, node.open, at, node))
        elif after != node.state:
            self._reach(_Node(after, node.closed, node.open | 1 << at, at, node))

    def _reach(self, node: _Node[S]) -> None:
        reached = self._seen.setdefault((node.closed, node.state), [])
        if any(other & node.open == other for other in reached):
            return
        reached.append(node.open)
        self._reached += 1  # breaks ties: nodes have no order
        cost = _OPEN_COSTS * node.open.bit_count() - node.closed.bit_count()
        entry = (cost, node.open.bit_count(), self._reached, node)
        heapq.heappush(self._waiting, entry)

    def _candidates(self, node: _Node[S]) -> Iterator[int]:
        """Calls that are left and began before every other that is left returned."""
        closed = [entry for entry in self._closed if not node.closed >> entry[2] & 1]
        if not closed:
            return
        horizon = closed[0][0]
        for _, called, at in closed:
            if called <= horizon:
                yield at
        for called, at in self._open:
            if called <= horizon and not node.open >> at & 1:
                yield at

    def _verdict(self, outcome: Outcome, node: _Node[S]) -> Verdict[Q, A]:
        part = self._part
        order = [part[at] for at in node.order()]
        blocked = [] if outcome is Outcome.LINEARIZABLE else [part[at] for at in self._candidates(node)]
        return Verdict(outcome, self._steps, part, order, blocked)


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
    A history that is not known to be a violation comes back as it is, and one whose cutting down takes more than `steps_most`
    is cut down no further.
    """
    verdict = check(history, specification, steps_most=steps_most)
    if verdict.outcome is not Outcome.VIOLATION:
        return list(history)
    left = steps_most - verdict.steps

    def violates(calls: Sequence[Call[Q, A]]) -> bool:
        nonlocal left
        verdict = check(calls, specification, steps_most=left)
        left -= verdict.steps
        return verdict.outcome is Outcome.VIOLATION

    least = list(verdict.part)
    instants = sorted(call.returned for call in least if call.returned is not None)
    low, high = 0, len(instants) - 1
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if violates(until(least, instants[middle])) else (middle + 1, high)
    least = until(least, instants[high])
    for call in list(least):
        if left > 0 and not specification.changes(call.request, call.answer):
            without = [other for other in least if other is not call]
            least = without if violates(without) else least
    return least
