"""Whatever is done with grants, buckets and tenants, by whomever, the check finds no other row than those that belong there."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isotherm.devices.waiting import drive
from isotherm.errors import IsothermError
from isotherm.movers.fsck.findings import Findings, Kind
from isotherm.movers.fsck.grants import check_grants
from isotherm.movers.fsck.job import Job
from isotherm.movers.fsck.repairs import Repairs
from isotherm.objects.buckets import NAMED
from isotherm.tenancy import grant_record
from isotherm.tenancy.grants import Grants, Wanted
from isotherm.tenancy.roles import ALL_ROLES, OWNER, Caller
from isotherm.tenancy.tenants import Tenants
from isotherm.tenancy.terms import Terms
from tests.movers.stores import opened

PATHS = st.sampled_from(["a", "a/b", "c"])
RECEIVERS = PATHS | st.integers(2, 9).map("@{}".format)
BUCKETS = st.sampled_from(["one", "two", "three"])
NAMES = st.sampled_from("gh")
CALLERS = st.just(OWNER) | st.builds(Caller, st.integers(2, 9), st.just(ALL_ROLES))
DEEDS = st.one_of(
    st.tuples(st.just("grant"), CALLERS, PATHS, NAMES, BUCKETS, RECEIVERS, BUCKETS | st.just("")),
    st.tuples(st.just("mount"), CALLERS, PATHS, BUCKETS, st.integers(2, 9), NAMES),
    st.tuples(st.just("unmount"), CALLERS, PATHS, BUCKETS),
    st.tuples(st.just("revoke"), CALLERS, PATHS, NAMES),
    st.tuples(st.just("bucket"), PATHS, BUCKETS),
    st.tuples(st.just("no bucket"), PATHS, BUCKETS),
    st.tuples(st.just("tenant"), PATHS),
    st.tuples(st.just("no tenant"), PATHS),
)


@pytest.fixture
def engines(tmp_path):
    engines = opened(tmp_path / "data")
    yield engines
    engines.close()


def space(engines, tenants, path):
    return engines.space(drive(tenants.show(OWNER, path)).node.id)


def do(engines, tenants, grants, what, *rest):
    match what, *rest:
        case "grant", caller, path, name, bucket, to, alias:
            drive(grants.create(caller, path, name, Wanted(bucket, to, alias=alias)))
        case "mount", caller, path, alias, owner, name:
            drive(grants.mount(caller, path, alias, f"@{owner}", name))
        case "unmount", caller, path, alias:
            drive(grants.unmount(caller, path, alias))
        case "revoke", caller, path, name:
            drive(grants.revoke(caller, path, name))
        case "bucket", path, name:
            drive(space(engines, tenants, path).create_bucket(name))
        case "no bucket", path, name:
            drive(space(engines, tenants, path).delete_bucket(name))
        case "tenant", path:
            drive(tenants.create(OWNER, path, {}, Terms()))
        case "no tenant", path:
            drive(tenants.delete(OWNER, path))


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deeds=st.lists(DEEDS, min_size=10, max_size=50))
def test_no_history_leaves_a_row_that_does_not_belong_and_no_name_is_given_twice(engines, deeds):
    """The store goes on from one example to the next, so that histories are long. A bucket may go while it is granted."""
    tenants, grants = Tenants(engines.meta, engines.clock, engines.vault), Grants(engines.meta, engines.clock, NAMED)
    for path in ("a", "a/b", "c"):
        drive(tenants.create(OWNER, path, {}, Terms()))
    for one in deeds:
        try:
            do(engines, tenants, grants, *one)
        except IsothermError:
            continue
    findings = Findings(None)
    job = Job(engines.meta, b"", findings, Repairs(None), None, None, lambda *_: None)
    for tenant in range(2, 100_000):
        if drive(engines.meta.get(bytes(4) + b"N" + tenant.to_bytes(4, "big"))) is None:
            break
        owned = drive(engines.space(tenant).buckets())
        job.buckets |= {(tenant, bucket.id): bucket for bucket in owned}
        for bucket in owned:
            assert drive(engines.meta.get(grant_record.mount_row(tenant, bucket.name))) is None
    check_grants(job)
    assert set(findings.counts) <= {Kind.GRANT_DANGLING}
