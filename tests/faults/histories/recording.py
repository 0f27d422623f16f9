"""Records one history: clients in threads, each asking as soon as it is answered, faults striking in between."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from isotherm.testing.linearizability import Call
from isotherm.testing.object_histories import Delete, DeleteMany, Event, Get, History, List, Put
from tests.faults.histories.clients import EmbeddedClient
from tests.faults.histories.wire import Lost

PATIENCE_S = 240.0
UNKNOWN_MOST = 8
"""After so many unknown outcomes no more are brought about: each multiplies the orders that a checker has to try."""


class Recording:
    """One history under way.

    Args:
        workload: what is asked.
        operations: how many calls its clients make together.
        cuts: the share of writes whose connection is cut once they have been sent, whole or in part.
        seed: of everything that is drawn.
    """

    def __init__(self, workload, *, operations, cuts, seed):
        self.workload = workload
        self.operations = operations
        self.cuts = cuts
        self.seed = seed
        self.calls = []
        self.events = []
        self.begun = 0
        self.moved = threading.Condition()
        self.over = False
        self.unread = self.unknown = 0
        self.gateways = {}

    def run(self, clients, strike=None):
        """Let the clients ask until all calls are made, `strike(self)` happening meanwhile; then read once more."""
        with ThreadPoolExecutor(len(clients) + 1) as pool:
            striking = pool.submit(strike, self) if strike else None
            running = [pool.submit(self.drive, number, client) for number, client in enumerate(clients)]
            try:
                for each in running:
                    each.result()
            finally:
                with self.moved:
                    self.over = True
                    self.moved.notify_all()
                if striking:
                    striking.result()
        for request in self.workload.final():
            self.call("end", clients[0], request)

    def drive(self, number, client):
        rng = random.Random(f"{self.seed} {number}")
        while self.next():
            self.call(f"c{number}", client, self.workload.request(rng), rng)

    def next(self):
        with self.moved:
            self.begun += 1
            self.moved.notify_all()
            return self.begun <= self.operations

    def wait(self, calls, limit_s=None):
        """Until so many calls have begun, or the history is over, or `limit_s` have passed."""
        with self.moved:
            self.moved.wait_for(lambda: self.over or self.begun >= calls, limit_s)

    def call(self, name, client, request, rng=None):
        try:
            prepared = client.prepare(request)
        except Lost:
            return  # it never came to the call
        cut = rng is not None and rng.random() < self.cuts and self.may_cut(client, request)
        called = time.monotonic_ns()
        answer = client.cut(prepared, self.part(rng, request, prepared)) if cut else client.perform(request, prepared)
        returned = time.monotonic_ns()
        if answer is None and not cut:
            self.recover(client)
        if answer is None and isinstance(request, Get | List):
            self.unread += 1  # tells nothing
            return
        self.unknown += answer is None
        self.workload.seen.learn(request, answer)
        who = f"{name} {self.gateway(client)}" if answer is not None else name
        self.calls.append(Call(who, request, called, returned if answer is not None else None, answer))

    def recover(self, client):
        """An impatient client is impatient again, unless too much is unknown already."""
        patience_s = client.patience_s
        client.recover()
        client.be_patient(patience_s if self.unknown < UNKNOWN_MOST else PATIENCE_S)

    def may_cut(self, client, request):
        wire = not isinstance(client, EmbeddedClient)
        return wire and isinstance(request, Put | Delete | DeleteMany) and self.unknown < UNKNOWN_MOST

    def part(self, rng, request, prepared):
        """How much of the body is sent before the cut; None for all of it."""
        size = len(prepared[3])
        return rng.randrange(size) if size and isinstance(request, Put) and rng.random() < 0.4 else None

    def gateway(self, client):
        """A short name for the process that answered last."""
        return self.gateways.setdefault(client.gateway, f"g{len(self.gateways) + 1}")

    def note(self, what):
        self.events.append(Event(time.monotonic_ns(), what))

    def history(self, *, versioned):
        calls = sorted(self.calls, key=lambda call: call.called)
        return History(self.workload.name, versioned, tuple(calls), tuple(self.events))
