"""A tree whose tenants hold objects, and questions to it that only tests of quota ask."""

from isotherm.devices.waiting import drive
from isotherm.errors import OverQuota
from isotherm.objects.space import Space
from isotherm.tenancy.roles import OWNER
from isotherm.tenancy.tenants import Tenants
from isotherm.tenancy.terms import Terms
from isotherm.tenancy.usage import read_usage
from tests.objects.stores import recounted


class Planted:
    """A tree in a store, and its tenants' objects."""

    def __init__(self, engines):
        self.engines = engines
        self.tenants = Tenants(engines.meta, engines.clock, engines.vault)

    def make(self, path, **terms):
        """A tenant with one bucket, `box`; its objects."""
        seen, _ = drive(self.tenants.create(OWNER, path, {}, Terms(**terms)))
        space = self.space(seen.node.id)
        drive(space.create_bucket("box"))
        return space

    def space(self, tenant, quota=None):
        engines = self.engines
        quota = quota or engines.quota
        parts = {"part_bytes_least": 1}
        return Space(tenant, engines.meta, engines.segments, engines.clock, engines.ids, quota=quota, **parts)

    def update(self, path, **terms):
        drive(self.tenants.update(OWNER, path, terms))

    def held(self, path):
        return drive(self.tenants.usage(OWNER, path))[1]

    def total(self, path):
        return self.held(path).total

    def demand_right(self):
        """What every node is charged is what is there."""
        below = {}
        ids = [node.node.id for node in self._all("/")]
        for id_ in [1, *ids]:
            held = drive(read_usage(self.engines.meta, id_))
            assert held.own == recounted(self.engines, id_), id_
            below[id_] = held
        return below

    def _all(self, under):
        page, _ = drive(self.tenants.page(OWNER, under, limit=1_000))
        return [seen for child in page for seen in [child, *self._all(child.path)]]


async def taken(call):
    """Whether the quota allowed it."""
    try:
        await call
    except OverQuota:
        return False
    return True


class Counting:
    """The rows that a transaction reads, counted."""

    def __init__(self, meta):
        self.meta = meta
        self.read = []

    async def get(self, key):
        self.read.append(key)
        return await self.meta.get(key)

    async def range(self, *args, **options):
        raise AssertionError("a charge reads no range")

    async def newest(self):
        raise AssertionError("a charge asks for no stamp")

    def check(self):
        pass
