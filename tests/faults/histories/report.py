"""A violating history for people: cut down, in order, with what is known of each call.

`python -m tests.faults.histories.report FILE` checks a history that was kept, and prints it.
"""

import sys
from pathlib import Path

from isotherm.testing.linearizability import Outcome, check, minimise
from isotherm.testing.object_hindsight import judge, settled
from isotherm.testing.object_histories import (
    Copy,
    Delete,
    DeleteMany,
    Found,
    Get,
    List,
    Listed,
    Put,
    decode,
    narrowed,
)
from isotherm.testing.object_specification import ObjectSpecification

BAR = 40
STEPS_MOST = 150_000
"""To cut it down: what takes longer is shown as it is."""


def tell(history):
    """What was found: the least calls that show it, a line each, the answer that nothing explains last."""
    found = judge(history)
    calls = settled(history.calls)
    specification = ObjectSpecification(history.calls, versioned=history.versioned)
    apart = narrowed(calls)
    local = check(apart, specification, steps_most=STEPS_MOST).outcome is Outcome.VIOLATION
    least = minimise(apart if local else calls, specification, steps_most=STEPS_MOST)
    verdict = check(least, specification, steps_most=STEPS_MOST)
    names = {call.request.value: f"#{call.request.number}" for call in history.calls if isinstance(call.request, Put)}
    told = [
        f"{history.name}: {len(history.calls)} calls; {found.outcome.value}"
        + (" of one key" if local else " of keys together"),
        f"{'client':>8} {'from µs':>9} {'to µs':>9}",
    ]
    start = min(call.called for call in least)
    ends = [call.returned for call in least if call.returned is not None]
    end = max(ends, default=start + 1)
    for call in sorted(least, key=lambda call: call.called):
        told.append(_line(call, start, end, names))
    told += [f"{'':8} {(event.at - start) // 1000:9} {'':9}  {event.what}" for event in history.events]
    told.append("in order as far as it goes: " + "; ".join(_asked(call, names) for call in verdict.order))
    told.append("what could not follow: " + "; ".join(_asked(call, names) for call in verdict.blocked))
    return "\n".join(told)


def _line(call, start, end, names):
    def column(instant):
        return min(BAR - 1, (instant - start) * BAR // (end - start + 1))

    first = column(call.called)
    last = BAR - 1 if call.returned is None else column(call.returned)
    bar = " " * first + "=" * (last - first) + ("?" if call.returned is None else "|")
    until = "?" if call.returned is None else (call.returned - start) // 1000
    return f"{call.client:>8} {(call.called - start) // 1000:9} {until:>9}  {bar:{BAR}}  {_asked(call, names)}"


def _asked(call, names):
    """`PUT a #7 if #3 -> Done`."""

    def name(value):
        return "marker" if value == "" else names.get(value, value)

    request = call.request
    key = getattr(request, "key", "").rpartition("/")[2]
    match request:
        case Put():
            text = f"{'COMPLETE' if request.multipart else 'PUT'} {key} {name(request.value)}"
        case Copy():
            text = f"COPY {request.source.rpartition('/')[2]} to {key}"
            text += f" if it is {name(request.source_match)}" if request.source_match else ""
        case Get():
            text = f"{'HEAD' if request.head else 'GET'} {key}"
        case Delete():
            text = f"DELETE {key}"
        case DeleteMany():
            text = f"DELETE {len(request.keys)} keys"
        case List():
            text = f"LIST {'versions' if request.versions else ''}".strip()
    if version := getattr(request, "version", None):
        text += f" version {version}"
    if match := getattr(request, "if_match", None):
        text += f" if {name(match)}"
    if match := getattr(request, "if_none_match", None):
        text += f" if not {name(match)}"
    answer = call.answer
    if isinstance(answer, Found):
        return f"{text} -> {name(answer.value)}" + (f" version {answer.version}" if answer.version else "")
    if isinstance(answer, Listed):
        rows = [f"{key.rpartition('/')[2]}={name(value)}" for key, value, _ in answer.entries]
        return f"{text} -> [{' '.join(rows)}]"
    return f"{text} -> {'?' if answer is None else type(answer).__name__}"


def main():
    history = decode(Path(sys.argv[1]).read_bytes())
    if judge(history).outcome is Outcome.LINEARIZABLE:
        print(f"{history.name}: {len(history.calls)} calls, linearizable")
        return 0
    print(tell(history))
    return 1


if __name__ == "__main__":
    sys.exit(main())
