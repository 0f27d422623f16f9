"""Many histories on one server, each checked as soon as it is recorded; the first violation ends it, and is kept.

Every history has keys of its own, so that the server need not be new. Half of them are in a bucket that keeps versions.
"""

import random
from collections import Counter
from contextlib import contextmanager

from isotherm.clock import SystemClock
from isotherm.ids import SystemIds
from isotherm.settings import Settings
from isotherm.store.engines import compose
from isotherm.testing.linearizability import Outcome
from isotherm.testing.object_hindsight import judge
from isotherm.testing.object_histories import encode
from tests.faults.histories.clients import EmbeddedClient, S3Client
from tests.faults.histories.faults import DATABASE_FAULTS, FAULTS
from tests.faults.histories.recording import PATIENCE_S, Recording
from tests.faults.histories.report import tell
from tests.faults.histories.workload import Workload

CLIENTS_MOST = 8
IMPATIENT = 2
IMPATIENCE_S = 0.02
STRIKES = FAULTS | DATABASE_FAULTS
BUCKETS = {False: "plain", True: "kept"}


class Violation(AssertionError):
    """A history that no order explains, or for which none was found within the bound."""


class Campaign:
    """Args: `find` as for S3Client; `folder` keeps what was violated; `server` is what faults strike, if any."""

    def __init__(self, find, folder, *, seed, server=None, space=None):
        self.find = find
        self.folder = folder
        self.seed = seed
        self.server = server
        self.space = space
        self.done = Counter()
        self.clients = []

    def prepare(self):
        client = S3Client(self.find, "", {}, patience_s=PATIENCE_S)
        client.connect()
        for bucket in BUCKETS.values():
            client.ask("PUT", f"/{bucket}")
        document = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
        client.ask("PUT", f"/{BUCKETS[True]}?versioning=", {}, document)
        client.close()

    def run(self, kinds):
        """One history of each kind. Raises Violation and Torn."""
        for kind in kinds:
            self.history(kind)
            self.done[kind] += 1

    def history(self, kind):
        """Record one, and check it.

        `kind` is a fault by name, or "none"; "cuts": connections cut in the midst of requests; "impatience": clients that go
        away when not answered at once; "large": bodies that are streamed.
        """
        number = self.done["histories"]
        rng = random.Random(f"{self.seed} {number}")
        versioned = rng.random() < 0.5
        name = f"h{self.seed}-{number:04}"
        workload = Workload(name, rng.choice([1, 2, 2, 3]), versioned=versioned, large=kind == "large")
        cuts = 0.15 if kind == "cuts" else rng.choice([0, 0, 0.05]) if kind in STRIKES else 0
        recording = Recording(workload, operations=rng.randrange(30, 81), cuts=cuts, seed=name)
        impatient = kind == "impatience" or (kind.startswith("stop") and rng.random() < 0.5)
        size = rng.randrange(4, CLIENTS_MOST + 1)
        clients = self.team(size, BUCKETS[versioned], workload.bodies, IMPATIENCE_S if impatient else PATIENCE_S)
        strike = STRIKES.get(kind)
        recording.run(clients, strike and (lambda under_way: strike(self.server, under_way, rng)))
        if strike:
            self.close()  # else all would stay with the gateway that lived
        self.judge(recording.history(versioned=versioned))
        self.count(recording)

    def team(self, size, bucket, bodies, patience_s):
        """Clients, with the connections that the last history left; one of them embedded where there is a directory to open."""
        while len(self.clients) < CLIENTS_MOST:
            self.clients.append(S3Client(self.find, bucket, bodies, patience_s=PATIENCE_S))
        for number, client in enumerate(self.clients):
            client.bucket, client.bodies = bucket, bodies
            client.be_patient(patience_s if number < IMPATIENT else PATIENCE_S)
        team = self.clients[:size]
        if self.space is not None:
            team[-1] = EmbeddedClient(self.space, bucket, bodies)
        return team

    def judge(self, history):
        verdict = judge(history)
        self.done["steps"] += verdict.steps
        self.done["most steps"] = max(self.done["most steps"], verdict.steps)
        if verdict.outcome is Outcome.LINEARIZABLE:
            return
        path = self.folder / f"{history.name}.json"
        path.write_bytes(encode(history))
        raise Violation(f"{verdict.outcome.value}; kept in {path}\n{tell(history)}")

    def count(self, recording):
        self.done["histories"] += 1
        self.done["calls"] += len(recording.calls)
        self.done["unknown"] += sum(call.answer is None for call in recording.calls)
        self.done["cut in the body"] += sum(type(call.answer).__name__ == "Cut" for call in recording.calls)
        self.done["reads without an answer"] += recording.unread
        self.done["over several gateways"] += len(recording.gateways.keys() - {EmbeddedClient.gateway}) > 1

    def close(self):
        for client in self.clients:
            client.close()

    def __str__(self):
        return ", ".join(f"{count} {what}" for what, count in self.done.items())


@contextmanager
def embedded(path, database=""):
    """A program's own engines of a server's directory and database."""
    engines = compose(Settings(path, meta=database), role="foreign", clock=SystemClock(), ids=SystemIds(), create=False)
    try:
        yield engines
    finally:
        engines.close()


def of(server):
    """How clients find a running server."""
    return lambda: (server.address.s3, server.credential)
