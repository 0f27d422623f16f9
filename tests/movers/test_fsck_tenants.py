"""Whatever is done to the tree of tenants, by whomever, the check finds it whole."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isotherm.devices.waiting import drive
from isotherm.errors import IsothermError
from isotherm.movers.fsck.findings import Findings
from isotherm.movers.fsck.job import Job
from isotherm.movers.fsck.repairs import Repairs
from isotherm.movers.fsck.tenants import check_tenants
from isotherm.tenancy.register import Register
from isotherm.tenancy.roles import ALL_ROLES, OWNER, Caller, Role
from isotherm.tenancy.tenants import Tenants
from isotherm.tenancy.terms import Terms
from isotherm.tenancy.tree import TenantState
from tests.movers.stores import opened

NAMES = st.sampled_from("abc")
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
AMOUNTS = st.none() | st.integers(0, 20)
CALLERS = st.just(OWNER) | st.builds(Caller, st.integers(1, 9), st.just(ALL_ROLES) | st.just(frozenset({Role.ADMIN})))
DEEDS = st.one_of(
    st.tuples(st.just("create"), CALLERS, PATHS, AMOUNTS, AMOUNTS),
    st.tuples(st.just("update"), CALLERS, PATHS, AMOUNTS, AMOUNTS),
    st.tuples(st.just("move"), CALLERS, PATHS, PATHS),
    st.tuples(st.just("state"), CALLERS, PATHS, st.sampled_from([TenantState.ACTIVE, TenantState.DRAINING])),
    st.tuples(st.just("delete"), CALLERS, PATHS),
    st.tuples(st.just("key"), CALLERS, PATHS),
    st.tuples(st.just("revoke"), CALLERS, st.integers(0, 5)),
)


@pytest.fixture
def engines(tmp_path):
    engines = opened(tmp_path / "data")
    yield engines
    engines.close()


def deed(tenants, register, keys, what, caller, *rest):
    match what, *rest:
        case "create", path, capacity, limit:
            return tenants.create(caller, path, {}, Terms(capacity_bytes=capacity, iops_limit=limit))
        case "update", path, capacity, reservation:
            return tenants.update(caller, path, {"capacity_bytes": capacity, "iops_reservation": reservation})
        case "move", path, to:
            return tenants.move(caller, path, to)
        case "state", path, state:
            return tenants.set_state(caller, path, state)
        case "delete", path:
            return tenants.delete(caller, path)
        case "key", path:
            return register.create(tenant=tenants.place(caller, path))
        case "revoke", number:
            key = keys[number % len(keys)] if keys else "ISOTNOBODY"
            return register.revoke(key, permit=tenants.permit(caller, key))
    raise AssertionError(what)


def found(engines):
    """What a check of the tree alone finds."""
    findings = Findings(None)
    check_tenants(Job(engines.meta, b"", findings, Repairs(None), None, None, lambda *_: None))
    return findings.counts


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deeds=st.lists(DEEDS, min_size=5, max_size=40))
def test_no_history_of_the_tree_leaves_anything_to_find(engines, deeds):
    """The tree goes on from one example to the next, so that histories are long."""
    tenants = Tenants(engines.meta, engines.clock, engines.vault)
    register = Register(engines.meta, engines.keys, engines.clock, engines.ids)
    keys = []
    for one in deeds:
        try:
            done = drive(deed(tenants, register, keys, *one))
        except IsothermError:
            continue
        if one[0] == "key":
            keys.append(done.access_key)
    assert found(engines) == {}
