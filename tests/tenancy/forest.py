"""Stores with a tree for the tests of this room: an engine, its tenants, and callers that stand somewhere in the tree."""

from contextlib import contextmanager

from isotherm.clock import VirtualClock
from isotherm.devices.waiting import drive
from isotherm.ids import SeededIds
from isotherm.objects.buckets import NAMED
from isotherm.tenancy.erasure.erasures import Erasures
from isotherm.tenancy.grants import Grants
from isotherm.tenancy.identity import Credentials
from isotherm.tenancy.keystore import FileKeys
from isotherm.tenancy.roles import ALL_ROLES, OWNER, Caller, Role
from isotherm.tenancy.tenants import Tenants
from isotherm.tenancy.terms import Terms
from isotherm.tenancy.vault import Vault
from tests.metadata import open_meta


class Forest:
    """A store's metadata with its tree. `make` and the like are the owner's, unless said otherwise."""

    def __init__(self, meta, keys_path, clock):
        self.meta = meta
        self.clock = clock
        self.keys = FileKeys(keys_path, SeededIds(1))
        self.vault = Vault(meta, self.keys, clock, SeededIds(5))
        self.tenants = Tenants(meta, clock, self.vault)
        self.credentials = Credentials(meta, self.keys, clock, SeededIds(2))
        self.erasures = Erasures(meta, self.keys, clock)
        self.grants = Grants(meta, clock, NAMED)

    def make(self, path, caller=OWNER, labels=None, **terms):
        return drive(self.tenants.create(caller, path, labels or {}, Terms(**terms)))[0]

    def show(self, tenant, caller=OWNER):
        return drive(self.tenants.show(caller, tenant))

    def promised(self, tenant):
        return dict(self.show(tenant).node.promised)

    def caller(self, tenant, *roles):
        return Caller(self.show(tenant).node.id, frozenset(roles) or ALL_ROLES)

    def admin(self, tenant):
        return self.caller(tenant, Role.ADMIN)

    def key(self, tenant, *roles):
        place = self.tenants.place(OWNER, tenant)
        return drive(self.credentials.create(tenant=place, roles=frozenset(roles) or ALL_ROLES))


@contextmanager
def planted(path):
    """A forest in the directory `path`, or in the database chosen for it."""
    clock = VirtualClock()
    (path / "keys").mkdir(exist_ok=True)
    with open_meta(path / "meta", clock=clock, ids=SeededIds(3)) as meta:
        yield Forest(meta, path / "keys", clock)
