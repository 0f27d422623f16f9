"""How far a saturated node is from the oracle, level by level, on the virtual clock: the share half of `scheduling`.

Six tenants with three sub-tenants each want more than there is, with requests of 4 to 256 KiB; two more send bursts and
never use up what is theirs. Some have reservations, some limits, in operations or in bytes. After a while a third of
the sub-tenants falls silent, later comes back; windows begin at the moment of each change, so that a credit for
idle time, or a debt, would show.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from random import Random

from benchmarks.tenancy._oracle import Claim, allot
from benchmarks.tenancy._simulation import Path, Simulation, Source, served
from isotherm.tenancy.qos import Budget, Contract, Rates

WINDOW_REQUESTS = 200
DRAIN_S = 4.0
"""In which what the silent had asked before is served."""
UNITS_PER_S = 6_000.0
SIZES = (4 << 10,) * 6 + (64 << 10,) * 3 + (256 << 10,)
_BUDGET = Budget(requests=32, queue_node=10**9, queue_total=10**9)


@dataclass(frozen=True, slots=True)
class Outcome:
    """`errors` against the oracle, one for each window and child; in requests, how far reservations were behind at the
    ends of windows (`shortfalls`), and at the worst moment (`lags`)."""

    errors: list[float]
    shortfalls: list[float]
    lags: list[float]


def _tenants(random: Random) -> dict[Path, Contract]:
    contracts: dict[Path, Contract] = {}
    for number in range(6):
        name = f"tenant{number}"
        iops = Rates(
            reservation=random.choice((0.0, 300.0, 600.0)),
            limit=random.choice((None, None, 450.0)),
            share=random.choice((1.0, 2.0, 4.0)),
        )
        bandwidth = Rates(limit=random.choice((None, None, 40e6)))
        if iops.limit is not None and iops.reservation > iops.limit:
            iops = Rates(reservation=200.0, limit=iops.limit, share=iops.share)
        contracts[(name,)] = Contract(iops, bandwidth)
        for child in range(3):
            reservation = iops.reservation * random.choice((0.0, 0.2, 0.3))
            contracts[(name, f"sub{child}")] = Contract(Rates(reservation, share=random.choice((1.0, 2.0, 3.0))))
    contracts |= {(f"bursty{number}", "sub"): Contract() for number in range(2)}
    return contracts


def _claim(contract: Contract, requests: int, units: float, size_bytes: float) -> Claim:
    """A contract in units a second, for requests of the mean cost that was seen."""
    cost = units / max(1, requests)
    limit = inf
    if contract.iops.limit is not None:
        limit = contract.iops.limit * cost
    if contract.bandwidth.limit is not None and size_bytes:
        limit = min(limit, contract.bandwidth.limit * units / size_bytes)
    return Claim(contract.shares[0], contract.iops.reservation * cost, limit)


def _errors(
    contracts: dict[Path, Contract], groups: dict[str, list[Source]], start_s: float, end_s: float
) -> list[float]:
    """Relative errors of one window, at both levels. A child that does not want more only takes its part away."""
    lasts_s = end_s - start_s
    totals: dict[str, tuple[int, float]] = {}
    errors: list[float] = []
    for name, children in groups.items():
        took = [served(child, start_s, end_s) for child in children]
        totals[name] = (sum(requests for requests, _ in took), sum(units for _, units in took))
        wanting = [(child, seen) for child, seen in zip(children, took, strict=True) if child.depth and child.active]
        claims = [_claim(contracts[child.path], *seen, 0) for child, seen in wanting]
        capacity = sum(seen[1] for _, seen in wanting) / lasts_s
        for (_, (requests, units)), right in zip(wanting, allot(capacity, claims), strict=True):
            if requests >= WINDOW_REQUESTS:
                errors.append(abs(units / lasts_s - right) / right)
    wanting_names = [
        name for name, children in groups.items() if any(child.depth and child.active for child in children)
    ]
    claims = []
    for name in wanting_names:
        requests, units = totals[name]
        claims.append(_claim(contracts[(name,)], requests, units, (units - requests) * _BUDGET.op_bytes))
    capacity = sum(totals[name][1] for name in wanting_names) / lasts_s
    for name, right in zip(wanting_names, allot(capacity, claims), strict=True):
        requests, units = totals[name]
        if requests >= WINDOW_REQUESTS:
            errors.append(abs(units / lasts_s - right) / right)
    return errors


def _lags(
    sources: Sequence[Source], reservation: float, start_s: float, ends_s: Sequence[float]
) -> tuple[float, float]:
    """By how many requests those sources together are behind their reservation, reckoned from `start_s`.

    Returns:
        The most at any of `ends_s`, and the most at any time until the last of them.
    """
    whens_s = sorted(when_s for source in sources for when_s, _ in source.log if start_s <= when_s < ends_s[-1])
    at_ends = max(0.0, *(reservation * (end_s - start_s) - bisect_left(whens_s, end_s) for end_s in ends_s))
    ever = max(reservation * (when_s - start_s) - number for number, when_s in enumerate(whens_s))
    return at_ends, max(at_ends, ever)


def simulate(seed: int, *, window_s: float, windows: int) -> Outcome:
    """Three phases of so many windows each: all ask; a third of the sub-tenants is silent; all ask again."""
    random = Random(seed)
    contracts = _tenants(random)
    simulation = Simulation(contracts, UNITS_PER_S, _BUDGET, seed=seed)
    groups: dict[str, list[Source]] = {}
    for path in [path for path in contracts if len(path) == 2]:
        bursty = path[0].startswith("bursty")
        source = Source(path, 0 if bursty else 64, lambda random: random.choice(SIZES), 40 if bursty else 0, 0.5)
        groups.setdefault(path[0], []).append(simulation.add(source))
    silent = [children[0] for name, children in groups.items() if not name.startswith("bursty")]
    silent += groups["tenant0"][1:]  # one tenant falls silent as a whole
    outcome = Outcome([], [], [])
    for asking in (True, False, True):
        for source in silent:
            source.active = asking
            simulation.fill(source)
        if not asking:
            simulation.run(simulation.now_s + DRAIN_S)
        start_s = simulation.now_s
        ends_s = [start_s + window_s * number for number in range(1, windows + 1)]
        for end_s in ends_s:
            simulation.run(end_s)
            outcome.errors.extend(_errors(contracts, groups, end_s - window_s, end_s))
        for promised, sources in _promised(contracts, groups):
            at_ends, ever = _lags(sources, contracts[promised].iops.reservation, start_s, ends_s)
            outcome.shortfalls.append(at_ends)
            outcome.lags.append(ever)
    return outcome


def _promised(contracts: dict[Path, Contract], groups: dict[str, list[Source]]) -> Iterator[tuple[Path, list[Source]]]:
    """Whoever has a reservation of operations and asks all the time, at both levels."""
    for name, children in groups.items():
        asking = [child for child in children if child.depth and child.active]
        nodes: list[tuple[Path, list[Source]]] = [((name,), asking), *((child.path, [child]) for child in asking)]
        yield from ((path, sources) for path, sources in nodes if sources and contracts[path].iops.reservation)
