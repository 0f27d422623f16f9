"""What a scheduled request costs as tenants grow in number, and how near to its promises the scheduler comes.

Cost: `admit` + `dispatch` + `complete` of one request while all tenants have requests waiting, at two levels, with
reservations, limits and shares of several kinds; ten tenants (the reference) and 10,000 in turn, in one process, by CPU
time. Two shapes of the larger tree: tenants with ten sub-tenants each, and tenants with one each. Beside it the way of a
request that nobody is ahead of: `admit` + `complete`.

Promises: simulated on the virtual clock (`_fairness.py`), one run for each seed, so that a run is the same everywhere.
"""

from __future__ import annotations

import gc
import statistics
import time
import tracemalloc
from collections import deque

from benchmarks.s3._report import arguments, figure, write
from benchmarks.tenancy._fairness import simulate
from isotherm.tenancy.qos import Budget, Contract, Rates, Scheduler, State, Ticket

COST_BAR_US = 6.0
GROWTH_BAR = 2.5
QUEUED_EACH = 3
STEP_S = 1e-4
_BUDGET = Budget(queue_node=10**9, queue_total=10**9)


def _contract(path: tuple[str, ...]) -> Contract:
    number = int(path[-1])
    if len(path) == 2:
        return Contract(Rates(reservation=0.1, share=1.0 + number % 3))
    return Contract(
        Rates(
            reservation=1.0 if number % 3 == 0 else 0.0,
            limit=1e6 if number % 4 == 1 else None,
            share=1.0 + number % 4,
        )
    )


class Load:
    """A scheduler whose tenants all have requests waiting; each request that ends is followed by one of its tenant."""

    def __init__(self, tenants: int, children: int) -> None:
        self.scheduler = Scheduler(_BUDGET, _contract)
        nodes = [self.scheduler.node((str(i), str(j))) for i in range(tenants) for j in range(children)]
        self.running: deque[Ticket] = deque()
        while len(self.running) < _BUDGET.requests:
            self.running.append(self.scheduler.admit(nodes[len(self.running) % len(nodes)], 1, 4096, 0.0))
        for _ in range(QUEUED_EACH):
            for node in nodes:
                self.scheduler.admit(node, 1, 4096, 0.0)
        self.now_s = 0.0

    def cost_us(self, requests: int) -> float:
        scheduler, running, now_s = self.scheduler, self.running, self.now_s
        start_s = time.process_time()
        for _ in range(requests):
            now_s += STEP_S
            done = running.popleft()
            scheduler.complete(done, now_s)
            scheduler.admit(done.node, 1, 4096, now_s)
            running.extend(scheduler.dispatch(now_s))
        taken_s = time.process_time() - start_s
        self.now_s = now_s
        return taken_s / requests * 1e6


def uncontended_us(contract: Contract, requests: int) -> float:
    scheduler = Scheduler(Budget(), lambda path: contract if len(path) == 1 else Contract())
    node = scheduler.node(("tenant", "sub"))
    start_s = time.process_time()
    for _ in range(requests):
        scheduler.complete(scheduler.admit(node, 1, 4096, 1.0), 1.0)
    return (time.process_time() - start_s) / requests * 1e6


def idle_bytes(nodes: int) -> float:
    """Memory of a tenant that has had requests and has none now."""
    scheduler = Scheduler(Budget(requests=1, queue_total=10**9), _contract)
    names = [str(number) for number in range(nodes)]
    tracemalloc.start()
    try:
        first = scheduler.admit(scheduler.node(("0",)), 1, 4096, 0.0)
        before = tracemalloc.get_traced_memory()[0]
        waiting = deque([first])
        for name in names[1:]:
            ticket = scheduler.admit(scheduler.node((name,)), 1, 4096, 0.0)
            assert ticket.state is State.WAITING
        del ticket
        while waiting:
            scheduler.complete(waiting.popleft(), 1.0)
            waiting.extend(scheduler.dispatch(1.0))
        gc.collect()
        return (tracemalloc.get_traced_memory()[0] - before) / nodes
    finally:
        tracemalloc.stop()


def main() -> None:
    options = arguments()
    rounds, requests, seeds = (3, 10_000, 2) if options.quick else (9, 40_000, 6)
    few, families, many = Load(2, 5), Load(1_000, 10), Load(10_000, 1)
    costs: dict[str, list[float]] = {"few": [], "families": [], "many": []}
    passing: dict[str, list[float]] = {"free": [], "limited": []}
    for _ in range(rounds):
        for name, load in (("few", few), ("families", families), ("many", many)):
            costs[name].append(load.cost_us(requests))
        passing["free"].append(uncontended_us(Contract(), requests))
        passing["limited"].append(uncontended_us(Contract(Rates(limit=1e9), Rates(limit=1e12)), requests))
        print({name: round(runs[-1], 2) for name, runs in (costs | passing).items()}, flush=True)
    growth = {
        name: [large / small for large, small in zip(costs[name], costs["few"], strict=True)]
        for name in ("families", "many")
    }
    errors_mean, errors_p99, shortfalls, lags = [], [], [], []
    for seed in range(1, seeds + 1):
        outcome = simulate(seed, window_s=8.0, windows=1 if options.quick else 3)
        errors = sorted(outcome.errors)
        errors_mean.append(statistics.mean(errors))
        errors_p99.append(errors[int(len(errors) * 0.99)])
        shortfalls.append(max(outcome.shortfalls))
        lags.append(max(outcome.lags))
        print(f"seed {seed}: {len(errors)} errors, mean {errors_mean[-1]:.2%}, p99 {errors_p99[-1]:.2%}", flush=True)
    figures = [
        figure("qos_cost_10_tenants_us", costs["few"], bar=None, better="lower", unit="µs"),
        figure("qos_cost_1000x10_tenants_us", costs["families"], bar=COST_BAR_US, better="lower", unit="µs"),
        figure("qos_cost_10000x1_tenants_us", costs["many"], bar=COST_BAR_US, better="lower", unit="µs"),
        figure("qos_growth_1000x10_over_10", growth["families"], bar=GROWTH_BAR, better="lower"),
        figure("qos_growth_10000x1_over_10", growth["many"], bar=GROWTH_BAR, better="lower"),
        figure("qos_uncontended_us", passing["free"], bar=None, better="lower", unit="µs"),
        figure("qos_uncontended_limited_us", passing["limited"], bar=None, better="lower", unit="µs"),
        figure("qos_share_error_mean", errors_mean, bar=0.02, better="lower"),
        figure("qos_share_error_p99", errors_p99, bar=0.05, better="lower"),
        figure("qos_reservation_shortfall_requests", shortfalls, bar=1.0, better="lower", unit="requests"),
        figure("qos_reservation_lag_worst_requests", lags, bar=None, better="lower", unit="requests"),
        figure("qos_idle_tenant_bytes", [idle_bytes(5_000)], bar=1024, better="lower", unit="bytes"),
    ]
    notes = (
        "CPU time of admit + dispatch + complete with every tenant backlogged, two levels; growth round by round over ten "
        "tenants; share errors over windows of 200 requests or more, at both levels, on the virtual clock, by seed"
    )
    write(options.json, figures, {}, notes)


if __name__ == "__main__":
    main()
