"""A program that is killed while a tenant's first bytes are sealed: what is there is read, and the tenant works on."""

from isotherm.devices.waiting import drive
from isotherm.ids import SystemIds
from isotherm.tenancy.roles import OWNER
from isotherm.tenancy.tenants import Tenants
from isotherm.tenancy.terms import Terms
from tests.movers.stores import SMALL_SEGMENTS, checked_at, killed, opened

_STEP = 4


def fresh(path):
    """A store with a tenant below a tenant, neither of which has a key yet."""
    engines = opened(path)
    tenants = Tenants(engines.meta, engines.clock, engines.vault)
    for name in ("acme", "acme/lab"):
        drive(tenants.create(OWNER, name, {}, Terms()))
    drive(engines.space(3).create_bucket("box"))
    engines.close()


def write(path):
    """The first bytes of the tenant; then more than a segment takes."""
    engines = opened(path, seed=int.from_bytes(SystemIds().token(4), "big"))
    drive(engines.space(3).put("box", "first", b"first" * 100))
    drive(engines.space(3).put("box", "large", b"large" * SMALL_SEGMENTS.segment_bytes * 5))
    engines.close()


def test_a_first_write_killed_at_any_step_leaves_a_tenant_that_is_read_and_written(tmp_path):
    at, partly = 0, 0
    while True:
        path = tmp_path / f"at-{at}"
        fresh(path)
        died = killed(lambda path=path: write(path), at=at)
        engines = opened(path, seed=1_000_000 + at)
        space = engines.space(3)
        there = {entry.key: drive(space.read("box", entry.key)) for entry in drive(space.list("box")).entries}
        secrets = [drive(engines.keys.secret(tenant)) for tenant in (2, 3)]
        partly += bool(there) or any(secrets)
        assert there.get("first", b"first" * 100) == b"first" * 100
        assert there.get("large", b"large" * 300_000) == b"large" * 300_000
        drive(space.put("box", "later", b"later"))
        assert drive(space.read("box", "later")) == b"later"
        assert [drive(engines.keys.secret(tenant)) for tenant in (2, 3)] == [
            now if before is None else before
            for before, now in zip(secrets, [drive(engines.keys.secret(tenant)) for tenant in (2, 3)], strict=True)
        ]
        engines.close()
        assert not [one for one in checked_at(path, tmp_path).findings if one.kind.value.startswith("tenant-key")]
        if not died:
            break
        at += _STEP
    assert partly > 5
