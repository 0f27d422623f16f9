"""Stores with tenants that hold something of everything, for the tests of erasure; and rounds of background work on them."""

from __future__ import annotations

from isotherm.devices.waiting import drive
from isotherm.movers.compaction import CompactionSettings
from isotherm.movers.erasure.work import Erasing
from isotherm.movers.round import Rounds
from isotherm.objects.space import Space
from isotherm.tenancy import tree_record
from isotherm.tenancy.erasure.erasures import Erasures
from isotherm.tenancy.identity import Credentials
from isotherm.tenancy.roles import OWNER
from isotherm.tenancy.tenants import Tenants
from isotherm.tenancy.terms import UNBOUND
from tests.movers.stores import everything, fill
from tests.objects.stores import open_engines, rows_of

EAGER = CompactionSettings(dead_fraction=0.0, settle_s=0)
LAZY = CompactionSettings(dead_fraction=2.0)
GRACE = 41


class Estate:
    """A store with the tenants acme (2), acme/lab (3) and beta (4), each with a credential."""

    def __init__(self, path, clock, *, seed=1, engines=None):
        self.path = path
        self.clock = clock
        self.engines = engines or open_engines(path, seed=seed, clock=clock)
        self.meta = self.engines.meta
        self.keys = self.engines.keys
        self.tenants = Tenants(self.meta, clock, self.engines.vault)
        self.credentials = Credentials(self.meta, self.keys, clock, self.engines.ids)
        self.erasures = Erasures(self.meta, self.keys, clock)

    def plant(self):
        for path in ("acme", "acme/lab", "beta"):
            self.make(path)
            self.key(path)

    def make(self, path):
        return drive(self.tenants.create(OWNER, path, {}, UNBOUND))[0].node.id

    def key(self, path):
        return drive(self.credentials.create(tenant=self.tenants.place(OWNER, path)))

    def space(self, tenant):
        of = self.engines
        return Space(tenant, of.meta, of.segments, of.clock, of.ids, part_bytes_least=1)

    def fill(self, tenant):
        drive(fill(self.space(tenant)))

    def held(self, tenant):
        return drive(everything(self.space(tenant)))

    def rows(self, tenant):
        return {letter: len(rows) for letter, rows in rows_of(self.engines, tenant).items()}

    def erase(self, path, caller=OWNER, *, below=True):
        return drive(self.erasures.begin(caller, path, path, below=below))

    def show(self, tenant):
        return drive(self.erasures.show(OWNER, tenant))

    def state(self, tenant):
        return tree_record.unpack(drive(self.meta.get(tree_record.node_row(tenant)))).state

    def rounds(self, *, rows_a_round=20_000, compaction=LAZY, meta=None, keys=None):
        """As a process of its own would do them: what it remembers between rounds is its own."""
        meta, store_id = meta or self.meta, self.engines.directory.store_id
        erasing = Erasing(
            meta,
            self.engines.segments,
            keys or self.keys,
            clock=self.clock,
            store_id=store_id,
            rows_a_round=rows_a_round,
        )
        return Rounds(
            meta,
            self.engines.segments,
            clock=self.clock,
            feed_retained=1_000_000,
            erasing=erasing,
            compaction=compaction,
        )

    def close(self):
        self.engines.close()


def work_off(rounds):
    """Rounds until one has nothing that it could do at once; their reports."""
    reports = [drive(rounds.run())]
    while reports[-1].more and not reports[-1].failed:
        reports.append(drive(rounds.run()))
    return reports


def to_the_end(estate, rounds):
    """All there is to do, the grace included; the reports."""
    reports = work_off(rounds)
    estate.clock.advance(GRACE)
    return reports + work_off(rounds)
