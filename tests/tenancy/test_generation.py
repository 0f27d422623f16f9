"""The counter by which processes know that nothing has changed: every change of a tenant, a key or a mount raises it."""

import pytest

from isotherm.clock import VirtualClock
from isotherm.devices.waiting import drive
from isotherm.tenancy.generation import Generation
from isotherm.tenancy.roles import OWNER
from isotherm.tenancy.tree import TenantState
from tests.tenancy.forest import planted
from tests.tenancy.test_grants import bucket, grant, mount


@pytest.fixture
def forest(tmp_path):
    with planted(tmp_path) as planted_forest:
        yield planted_forest


def number(forest):
    return drive(Generation(forest.meta, VirtualClock()).renew())


def test_every_change_by_which_requests_are_judged_raises_it_and_no_other_does(forest):
    tenants, grants, credentials = forest.tenants, forest.grants, forest.credentials
    made = {}
    changes = {
        "a tenant": lambda: [forest.make(path) for path in ("acme", "beta")],
        "terms": lambda: drive(tenants.update(OWNER, "acme", {"iops_limit": 5})),
        "a state": lambda: drive(tenants.set_state(OWNER, "acme", TenantState.SUSPENDED)),
        "a state taken back": lambda: drive(tenants.set_state(OWNER, "acme", TenantState.ACTIVE)),
        "a key": lambda: made.update(key=drive(credentials.create(tenant=tenants.place(OWNER, "acme")))),
        "another in its place": lambda: made.update(key=drive(credentials.rotate(made["key"].access_key))),
        "a key's end": lambda: drive(credentials.revoke(made["key"].access_key)),
        "a grant that is mounted": lambda: grant(forest, "acme", "g", "beta", alias="theirs"),
        "a mount's end": lambda: drive(grants.unmount(OWNER, "beta", "theirs")),
        "a mount": lambda: mount(forest, "beta", "again", "acme", "g"),
        "a grant's end": lambda: drive(grants.revoke(OWNER, "acme", "g")),
        "another place": lambda: drive(tenants.move(OWNER, "beta", "acme/beta")),
        "a tenant's end": lambda: drive(tenants.delete(OWNER, "acme/beta")),
        "an erasure": lambda: drive(forest.erasures.begin(OWNER, "acme", "acme", below=True)),
    }
    reads = {
        "looking": lambda: [drive(tenants.page(OWNER, "/")), drive(credentials.list())],
        "a bucket": lambda: bucket(forest, "acme", "lake"),
    }
    for what, change in changes.items():
        if what == "a grant that is mounted":
            for other, look in reads.items():
                before = number(forest)
                look()
                assert number(forest) == before, other
        before = number(forest)
        change()
        assert number(forest) > before, what
