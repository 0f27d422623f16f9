"""Everything that can happen to a scheduler, in any order, with a clock that may stand still or step back.

After each step the tree is looked at from outside its heaps: nobody who waits is lost, nothing runs beyond the budget,
no room stays empty while somebody may run, and no limit is exceeded beyond one burst.
"""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from isotherm.errors import SlowDown
from isotherm.tenancy.qos import Budget, Contract, Rates, Scheduler, State
from tests.tenancy.qos.trees import assert_sound, excess, held_by_limits, nodes_of

PATHS = [("a",), ("b",), ("c",), ("a", "x"), ("a", "y"), ("b", "x"), ("b", "x", "deep"), ("b", "x", "deeper")]
SIZES = st.sampled_from([0, 1, 4096, 65_536, 1 << 20, 1 << 28])
RATES = st.builds(
    Rates,
    reservation=st.sampled_from([0.0, 0.0, 1.0, 50.0, 1e9]),
    limit=st.sampled_from([None, None, 0.0, 0.5, 20.0, 1e9]),
    share=st.sampled_from([None, 0.01, 1.0, 5.0, 10_000.0]),
)
CONTRACTS = st.builds(Contract, RATES, RATES, background=st.booleans())
BUDGET = Budget(requests=3, size_bytes=1 << 20, queue_node=12, queue_total=20)


class Requests(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.now_s = 100.0
        self.true_s = 0.0  # as the scheduler counts it: steps back are not time
        self.tickets = []
        self.limits = {}
        self.logs = {}
        self.changed = set()

    @initialize(contracts=st.dictionaries(st.sampled_from(PATHS), CONTRACTS))
    def begin(self, contracts):
        self.qos = Scheduler(BUDGET, lambda path: contracts.get(path, Contract()))
        self.contracts = contracts

    def _ran(self, ticket):
        assert ticket.state is State.RUNNING
        node = ticket.node
        while node is not None:
            self.logs.setdefault(node, []).append((self.true_s, ticket.ops, ticket.size_bytes))
            node = node.parent

    def _settle(self):
        for ticket in self.qos.dispatch(self.now_s):
            assert ticket in self.tickets
            self._ran(ticket)
        room = self.qos.running < BUDGET.requests and self.qos.running_bytes < BUDGET.size_bytes
        if room:
            idle = [node for node in nodes_of(self.qos) if node.queue is not None]
            assert not [node.path() for node in idle if not held_by_limits(node, self.qos._now_s)]
        if self.qos.waiting and room and not any(node.terms.closed for node in nodes_of(self.qos)):
            assert self.qos.wake_s() is not None

    @rule(path=st.sampled_from(PATHS), size_bytes=SIZES, ops=st.integers(1, 3), times=st.integers(1, 6))
    def ask(self, path, size_bytes, ops, times):
        for _ in range(times):
            try:
                ticket = self.qos.admit(self.qos.node(path), ops, size_bytes, self.now_s)
            except SlowDown:
                break
            self.tickets.append(ticket)
            if ticket.state is State.RUNNING:
                self._ran(ticket)
        self._settle()

    @rule(data=st.data())
    def complete(self, data):
        running = [ticket for ticket in self.tickets if ticket.state is State.RUNNING]
        if running:
            ticket = data.draw(st.sampled_from(running))
            self.tickets.remove(ticket)
            self.qos.complete(ticket, self.now_s)
            self._settle()

    @rule(data=st.data(), size_bytes=st.sampled_from([1, 65_536, 1 << 20]))
    def flow(self, data, size_bytes):
        running = [ticket for ticket in self.tickets if ticket.state is State.RUNNING]
        if running:
            ticket = data.draw(st.sampled_from(running))
            if self.qos.charge(ticket, size_bytes, self.now_s):
                self._ran(ticket)
            self._settle()

    @rule(data=st.data())
    def cancel(self, data):
        if self.tickets:
            ticket = data.draw(st.sampled_from(self.tickets))
            self.tickets.remove(ticket)
            self.qos.cancel(ticket)
            self._settle()

    @rule(step_s=st.sampled_from([0.0, 1e-6, 0.01, 0.3, 5.0, 1e5]))
    def time_passes(self, step_s):
        self.now_s += step_s
        self.true_s += step_s
        self._settle()

    @rule(step_s=st.sampled_from([1e-6, 1.0, 1e6]))
    def the_clock_steps_back(self, step_s):
        self.now_s -= step_s
        self._settle()

    @precondition(lambda self: self.qos.wake_s() is not None)
    @rule()
    def sleep_until_it_wakes(self):
        step_s = max(0.0, self.qos.wake_s() - self.now_s)
        self.now_s += step_s
        self.true_s += step_s
        self._settle()

    @rule(path=st.sampled_from(PATHS), contract=CONTRACTS)
    def reconfigure(self, path, contract):
        self.qos.reconfigure(path, contract, self.now_s)
        self.contracts[path] = contract
        node = self.qos._tree.find(path)
        if node is not None:
            self.changed.add(node)
        self._settle()

    @rule(path=st.sampled_from(PATHS))
    def forget(self, path):
        busy = any(ticket.node.path()[: len(path)] == path for ticket in self.tickets)
        known = self.qos._tree.find(path) is not None
        assert self.qos.forget(path) == (not known or not busy)

    @invariant()
    def everything_is_in_its_place(self):
        if not hasattr(self, "qos"):
            return
        assert_sound(self.qos)
        running = [ticket for ticket in self.tickets if ticket.state is State.RUNNING]
        assert self.qos.running == len(running) <= BUDGET.requests
        assert self.qos.running_bytes == sum(ticket.size_bytes for ticket in running)
        assert self.qos.waiting == len(self.tickets) - len(running)

    def teardown(self):
        if not hasattr(self, "qos"):
            return
        for node, log in self.logs.items():
            if node in self.changed or node.parent is None:
                continue
            for rates, kind in ((node.terms.contract.iops, 1), (node.terms.contract.bandwidth, 2)):
                if rates.limit:
                    largest = max(entry[kind] for entry in log)
                    costs = [(entry[0], entry[kind]) for entry in log]
                    assert excess(costs, rates.limit, BUDGET.burst_s) <= largest * 1.001 + 1e-6
        for path in PATHS:
            self.qos.reconfigure(path, Contract(), self.now_s)
        left = [ticket for ticket in self.tickets if ticket.state is State.RUNNING]
        waiting = self.qos.waiting
        while left or waiting:  # nobody is lost: all that waits runs, once nothing holds it
            for ticket in left:
                self.qos.complete(ticket, self.now_s)
            left = self.qos.dispatch(self.now_s)
            waiting -= len(left)
            assert left or not waiting
        assert (self.qos.running, self.qos.running_bytes, self.qos.waiting) == (0, 0, 0)


TestRequests = Requests.TestCase
TestRequests.settings = settings(max_examples=120, stateful_step_count=60, deadline=None)
