"""Grants: who may give and mount what, that no name is taken from anybody, and that neither answers tell who else is there."""

import itertools

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import AlreadyExists, Conflict, Denied, Invalid, IsothermError, NotFound
from isotherm.ids import SeededIds
from isotherm.objects import buckets
from isotherm.objects.context import Context
from isotherm.tenancy import grant_record as record
from isotherm.tenancy.grant_record import Access
from isotherm.tenancy.grants import Wanted
from isotherm.tenancy.roles import OWNER, Role
from isotherm.tenancy.tree import TenantState
from tests.tenancy.test_racing_tenants import at_once

SEEDS = itertools.count(1_000)


def bucket(forest, path, name):
    tenant = forest.show(path).node.id
    return drive(buckets.create(Context(tenant, forest.meta, None, forest.clock, SeededIds(next(SEEDS))), name)).id


def unbucket(forest, path, name):
    tenant = forest.show(path).node.id
    drive(buckets.delete(Context(tenant, forest.meta, None, forest.clock, SeededIds(next(SEEDS))), name))


def grant(forest, owner, name, to, caller=OWNER, what="lake", **wanted):
    return drive(forest.grants.create(caller, owner, name, Wanted(what, to, **wanted)))


def mount(forest, path, alias, owner, name, caller=OWNER):
    number = forest.show(owner).node.id
    return drive(forest.grants.mount(caller, path, alias, f"@{number}", name))


def refusal(call):
    with pytest.raises(IsothermError) as caught:
        call()
    return type(caught.value), caught.value.code, str(caught.value)


def rows(forest):
    return {
        letter: drive(forest.meta.range(bytes(4) + letter, bytes(4) + letter + b"\xff", 100))
        for letter in record.TABLES
    }


@pytest.fixture
def two(forest):
    for path in ("acme", "acme/lab", "beta"):
        forest.make(path)
    bucket(forest, "acme", "lake")
    return forest


def test_who_reaches_both_grants_and_mounts_in_one_step(two):
    made, fresh = grant(two, "acme", "g", "beta", alias="theirs", prefix="a/", access=Access.WRITE)
    assert fresh
    assert (made.alias, made.prefix, made.access, made.to) == ("theirs", "a/", Access.WRITE, two.show("beta").node.id)
    assert grant(two, "acme", "g", "beta", alias="theirs", prefix="a/", access=Access.WRITE) == (made, False)
    assert refusal(lambda: grant(two, "acme", "g", "beta"))[1] == "GrantExists"
    assert drive(two.grants.given(OWNER, "acme"))[0] == [made] == drive(two.grants.received(OWNER, "beta"))[0]


def test_the_owner_gives_and_the_receiver_mounts_under_a_name_of_its_own(two):
    number = two.show("beta").node.id
    offered, _ = grant(two, "acme", "g", f"@{number}", two.admin("acme"))
    assert offered.alias == ""
    assert rows(two)[b"m"] == []
    mounted, fresh = mount(two, "beta", "mine", "acme", "g", two.admin("beta"))
    assert (mounted.alias, fresh) == ("mine", True)
    assert mount(two, "beta", "mine", "acme", "g", two.admin("beta")) == (mounted, False)
    assert refusal(lambda: mount(two, "beta", "other", "acme", "g", two.admin("beta")))[1] == "GrantMounted"
    drive(two.grants.unmount(two.admin("beta"), "beta", "mine"))
    assert mount(two, "beta", "other", "acme", "g", two.admin("beta"))[0].alias == "other"


def test_a_receiver_out_of_reach_is_told_as_one_that_is_not_there(two):
    admin, there, nobody = two.admin("acme"), two.show("beta").node.id, 4_000_000_000
    for at, to in enumerate((f"@{there}", f"@{nobody}")):
        made, fresh = grant(two, "acme", f"g{at}", to, admin)
        assert (fresh, made.alias) == (True, "")
    told = [
        refusal(lambda to=to: grant(two, "acme", "h", to, admin, alias="x-y")) for to in (f"@{there}", f"@{nobody}")
    ]
    assert told[0][:2] == told[1][:2] == (NotFound, "NoSuchTenant")
    told = [refusal(lambda to=to: grant(two, "acme", "h", to, admin)) for to in ("beta", "nobody")]
    assert told[0][:2] == told[1][:2] == (NotFound, "NoSuchTenant")
    assert told[0][2].replace("beta", "nobody") == told[1][2]


def test_nobody_gives_what_is_not_his_and_mounts_what_was_not_given_to_him(two):
    beta, lab = two.admin("beta"), two.admin("acme/lab")
    for stranger in (beta, lab):
        assert refusal(lambda stranger=stranger: grant(two, "acme", "g", "@4", stranger))[:2] == (
            NotFound,
            "NoSuchTenant",
        )
    for role in (Role.DATA, Role.AUDITOR):
        assert refusal(lambda role=role: grant(two, "acme", "g", "@4", two.caller("acme", role)))[0] is Denied
    assert refusal(lambda: grant(two, "acme", "g", "beta", what="pond"))[1] == "NoSuchBucket"
    assert refusal(lambda: grant(two, "acme", "g", "acme"))[0] is Invalid
    for wanted in ({"prefix": "\ud800"}, {"prefix": "é" * 513}, {"what": "\ud800" * 3}, {"what": "B" * 5_000}):
        assert refusal(lambda wanted=wanted: grant(two, "acme", "g", "beta", **wanted))[0] is Invalid
    grant(two, "acme", "g", "acme/lab")
    there = refusal(lambda: mount(two, "beta", "mine", "acme", "g", beta))
    assert there == (NotFound, "NoSuchGrant", there[2])
    assert refusal(lambda: mount(two, "beta", "mine", "acme", "h", beta))[:2] == there[:2]
    assert refusal(lambda: drive(two.grants.received(beta, "acme/lab")))[1] == "NoSuchTenant"


def test_a_name_is_a_buckets_or_an_aliases_and_whoever_comes_second_is_refused(two):
    bucket(two, "beta", "mine")
    assert refusal(lambda: grant(two, "acme", "g", "beta", alias="mine"))[:2] == (AlreadyExists, "BucketAlreadyExists")
    assert rows(two) == {letter: [] for letter in record.TABLES}, "nothing half-done"
    grant(two, "acme", "g", "beta", alias="theirs")
    assert refusal(lambda: bucket(two, "beta", "theirs"))[:2] == (AlreadyExists, "BucketAlreadyExists")
    assert refusal(lambda: grant(two, "acme", "h", "beta", alias="theirs"))[1] == "AliasTaken"
    assert refusal(lambda: grant(two, "acme", "h", "beta", alias="No Name"))[1] == "InvalidBucketName"
    drive(two.grants.revoke(OWNER, "acme", "g"))
    bucket(two, "beta", "theirs")
    assert rows(two) == {letter: [] for letter in record.TABLES}


def test_a_bucket_and_an_alias_that_race_for_a_name_get_it_once(two):
    for round_ in range(8):
        name = f"name-{round_}"
        grant(two, "acme", f"g{round_}", "beta")
        made = at_once([lambda n=name: _bucket(two, n), lambda n=name, g=f"g{round_}": _mount(two, n, g)])
        lost = [outcome for outcome in made if isinstance(outcome, IsothermError)]
        assert [type(error) for error in lost] == [AlreadyExists]


def test_a_mount_and_a_revocation_that_race_leave_no_mount_of_nothing(two):
    for _ in range(8):
        grant(two, "acme", "g", "beta")
        mounted, revoked = at_once([lambda: _mount(two, "mine", "g"), lambda: two.grants.revoke(OWNER, "acme", "g")])
        assert revoked is None
        assert isinstance(mounted, NotFound) or mounted[0].alias == "mine"
        assert rows(two) == {letter: [] for letter in record.TABLES}


def _bucket(forest, name):
    return buckets.create(Context(4, forest.meta, None, forest.clock, SeededIds(next(SEEDS))), name)


def _mount(forest, alias, name):
    return forest.grants.mount(OWNER, "beta", alias, "@2", name)


def test_nothing_is_granted_by_or_mounted_in_a_tenant_that_drains(two):
    grant(two, "acme", "g", "beta")
    drive(two.tenants.set_state(OWNER, "beta", TenantState.DRAINING))
    assert refusal(lambda: mount(two, "beta", "mine", "acme", "g"))[1] == "TenantNotActive"
    drive(two.tenants.set_state(OWNER, "acme", TenantState.DRAINING))
    assert refusal(lambda: grant(two, "acme", "h", "acme/lab"))[:2] == (Conflict, "TenantNotActive")


def test_a_deleted_tenant_takes_its_grants_along_and_frees_the_aliases(two):
    bucket(two, "beta", "pond")
    grant(two, "acme", "g", "beta", alias="mine")
    grant(two, "beta", "h", "acme", what="pond", alias="pond")
    unbucket(two, "beta", "pond")
    drive(two.tenants.delete(OWNER, "beta"))
    left = rows(two)
    assert left[b"m"] == []
    assert [record.unpack(stored).name for _, stored in left[b"g"]] == ["g"]
    assert drive(two.grants.given(OWNER, "acme"))[0][0].alias == ""
    bucket(two, "acme", "pond")


def test_pages_hold_every_grant_once(two):
    made = sorted(f"g{number}" for number in range(7))
    for name in made:
        grant(two, "acme", name, "beta")
    after, found = "", []
    while True:
        page, more = drive(two.grants.given(OWNER, "acme", after=after, limit=3))
        found += [one.name for one in page]
        if not more:
            break
        after = page[-1].name
    assert found == made
    first, more = drive(two.grants.received(OWNER, "beta", limit=3))
    assert more
    rest, more = drive(two.grants.received(OWNER, "beta", after=(first[-1].owner, first[-1].name)))
    assert not more
    assert [one.name for one in (*first, *rest)] == made


def test_a_record_is_read_back_and_another_version_or_a_damaged_one_is_refused():
    one = record.Grant(
        owner=2, name="g", bucket=7, bucket_name="lake", to=4, access=Access.WRITE, created_ms=5, prefix="a/", alias="b"
    )
    packed = record.pack(one)
    assert record.unpack(packed) == one
    assert packed == (
        b'\x01{"owner":2,"name":"g","bucket":7,"bucket_name":"lake","to":4,"access":"read-write","created_ms":5,'
        b'"prefix":"a/","alias":"b"}'
    ), "as written by the first version"
    for damaged in (b"", b"\x02{}", b"\x01{", b"\x01{}", packed[:-1]):
        with pytest.raises(IsothermError):
            record.unpack(damaged)
