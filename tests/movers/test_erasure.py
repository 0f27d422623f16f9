"""A tenant that is erased is gone, and the certificate says no more than what is so."""

import json
from hashlib import sha256

import pytest

from isotherm.clock import VirtualClock
from isotherm.devices.waiting import drive
from isotherm.errors import Conflict, Denied, Invalid, NotEmpty, NotFound
from isotherm.movers.audit import follow
from isotherm.objects.layout import TABLES
from isotherm.tenancy import tree_record
from isotherm.tenancy.audit.log import AuditLog
from isotherm.tenancy.erasure import record
from isotherm.tenancy.erasure.certificate import canonical, verify
from isotherm.tenancy.erasure.record import Erasure, Issued
from isotherm.tenancy.roles import ALL_ROLES, OWNER, Caller
from isotherm.tenancy.tree import TenantState
from tests.movers.erasing import EAGER, Estate, to_the_end, work_off
from tests.movers.stores import checked, kinds
from tests.objects.stores import live_bytes, payload


@pytest.fixture
def estate(tmp_path):
    made = Estate(tmp_path / "store", VirtualClock())
    made.plant()
    yield made
    made.close()


@pytest.fixture
def on_each(tmp_path, metadata):
    made = Estate(tmp_path / "store", VirtualClock())
    made.plant()
    yield made
    made.close()


def node(estate, tenant):
    return tree_record.unpack(drive(estate.meta.get(tree_record.node_row(tenant))))


def statement(estate, tenant):
    issued = estate.show(f"@{tenant}")
    assert isinstance(issued, Issued)
    verify(issued.certificate, drive(estate.erasures.public_key()))
    return issued.certificate.statement


def test_everything_of_a_tenant_goes_and_nothing_of_others(on_each, tmp_path):
    estate = on_each
    for tenant in (1, 2, 4):
        estate.fill(tenant)
    assert set(estate.rows(2)) == {letter.decode() for letter in TABLES}, "or this test tries too little"
    kept = {tenant: estate.held(tenant) for tenant in (1, 4)}
    counted = estate.rows(2)
    live = live_bytes(estate.engines)
    drive(estate.keys.make(2))
    begun = estate.erase("acme")
    assert begun.key_destroyed_ms
    assert drive(estate.keys.secret(2)) is None
    to_the_end(estate, estate.rounds())
    assert estate.rows(2) == {}
    removed = statement(estate, 2)["removed"]
    assert removed["rows"] == sum(counted.values()) + 1, "and its credential"
    assert (removed["buckets"], removed["uploads"], removed["parts"]) == (counted["B"], counted["U"], counted["P"])
    assert removed["versions"] + removed["markers"] == counted["L"] + counted["V"]
    assert "unreadable" not in removed
    assert removed["freed_bytes"] == live // 3
    assert {tenant: estate.held(tenant) for tenant in (1, 4)} == kept
    assert node(estate, 2).state is TenantState.ERASED
    assert (node(estate, 2).labels, drive(estate.meta.get(tree_record.child_row(1, "acme")))) == ({}, None)
    assert [one.tenant for one in drive(estate.credentials.list())] == [4]
    assert kinds(checked(estate.engines, tmp_path)) == {}


def test_at_once_nobody_is_served_and_nothing_takes_it_back(estate):
    key, below = estate.key("acme"), estate.key("acme/lab")
    admin = Caller(2, ALL_ROLES)
    estate.erase("acme")
    for credential in (key, below):
        with pytest.raises(Denied):
            drive(estate.credentials.look_up(credential.access_key)).demand_served()
    tenants = estate.tenants
    for attempt in (
        lambda: tenants.set_state(OWNER, "acme", TenantState.ACTIVE),
        lambda: tenants.set_state(OWNER, "acme/lab", TenantState.ACTIVE),
        lambda: tenants.move(OWNER, "acme/lab", "lab"),
        lambda: tenants.move(OWNER, "acme", "other"),
        lambda: tenants.move(OWNER, "beta", "acme/beta"),
        lambda: tenants.update(OWNER, "acme", {"capacity_bytes": 1}),
        lambda: tenants.delete(OWNER, "acme/lab"),
        lambda: tenants.create(OWNER, "acme/new", {}, node(estate, 2).terms),
        lambda: tenants.create(OWNER, "acme", {}, node(estate, 2).terms.__class__(objects=1)),
        lambda: estate.credentials.create(tenant=tenants.place(OWNER, "acme/lab")),
        lambda: estate.credentials.rotate(below.access_key),
        lambda: estate.space(3).create_bucket("bucket"),
        lambda: estate.erasures.begin(OWNER, "acme/lab", "acme/lab", below=True),
        lambda: estate.erasures.begin(admin, "acme/lab", "acme/lab", below=True),
    ):
        with pytest.raises(Conflict):
            drive(attempt())
    again = estate.erase("acme")
    assert again == estate.show("acme")
    assert isinstance(again, Erasure)


def test_it_must_be_meant(estate):
    begin = estate.erasures.begin
    with pytest.raises(Invalid, match="acme"):
        drive(begin(OWNER, "acme", "acme ", below=True))
    with pytest.raises(NotEmpty):
        drive(begin(OWNER, "acme", "acme", below=False))
    with pytest.raises(Conflict):
        drive(begin(OWNER, "/", "/", below=True))
    with pytest.raises(Denied):
        drive(begin(Caller(2, ALL_ROLES), "acme", "acme", below=True))
    with pytest.raises(NotFound):
        drive(begin(Caller(4, ALL_ROLES), "acme", "acme", below=True))
    assert node(estate, 2).state is TenantState.ACTIVE
    with pytest.raises(NotFound):
        estate.show("acme")


def test_all_below_is_erased_too_each_with_its_own_certificate(estate):
    deep = estate.make("acme/lab/deep")
    for tenant in (2, 3, deep):
        estate.fill(tenant)
    estate.erase("acme")
    to_the_end(estate, estate.rounds())
    assert [estate.rows(tenant) for tenant in (2, 3, deep)] == [{}] * 3
    told = {tenant: statement(estate, tenant)["tenant"] for tenant in (2, 3, deep)}
    assert [one["within"] for one in told.values()] == [None, 2, 2]
    assert [one["path"] for one in told.values()] == ["acme", "acme/lab", "acme/lab/deep"]


def test_one_below_that_was_asked_for_before_keeps_its_own(estate):
    estate.fill(3)
    estate.erase("acme/lab")
    rounds = estate.rounds()
    work_off(rounds)
    estate.erase("acme")
    to_the_end(estate, rounds)
    assert statement(estate, 3)["tenant"]["within"] is None
    assert statement(estate, 2)["tenant"]["path"] == "acme"


def test_the_name_is_free_when_it_has_ended_and_leads_to_nothing_of_the_old(estate):
    estate.fill(2)
    old = estate.key("acme")
    estate.erase("acme")
    to_the_end(estate, estate.rounds())
    new = estate.make("acme")
    assert new == 5
    assert (estate.rows(new), drive(estate.space(new).buckets())) == ({}, [])
    assert drive(estate.credentials.look_up(old.access_key)) is None
    assert drive(estate.credentials.page(new)) == ([], False)
    with pytest.raises(NotFound):
        estate.show("acme")
    estate.fill(new)
    assert estate.held(new)
    assert statement(estate, 2)["tenant"]["id"] == 2


def test_promises_are_given_back_when_it_has_ended(estate):
    drive(estate.tenants.update(OWNER, "acme/lab", {"capacity_bytes": 7}))
    assert node(estate, 1).promised == {"capacity_bytes": 7}
    estate.erase("acme")
    work_off(estate.rounds())
    assert node(estate, 1).promised == {"capacity_bytes": 7}
    to_the_end(estate, estate.rounds())
    assert node(estate, 1).promised == {}


def test_a_rounds_share_is_bounded(estate):
    estate.fill(2)
    estate.erase("acme")
    rounds = estate.rounds(rows_a_round=150)
    left = [sum(estate.rows(2).values())]
    while left[-1]:
        report = drive(rounds.run())
        assert report.erased.rows < 150 + 500
        left.append(sum(estate.rows(2).values()))
        assert report.more or not left[-1]
    assert len(left) > 4
    assert left == sorted(left, reverse=True)
    to_the_end(estate, rounds)
    assert isinstance(estate.show("@2"), Issued)


def test_credentials_that_were_revoked_before_go_too(estate):
    for _ in range(3):
        drive(estate.credentials.revoke(estate.key("acme").access_key))
    drive(estate.credentials.revoke((kept := estate.key("beta")).access_key))
    estate.erase("acme")
    to_the_end(estate, estate.rounds())
    assert {one.tenant for one in drive(estate.credentials.list())} == {4}
    assert kept.access_key in {one.access_key for one in drive(estate.credentials.list())}
    assert statement(estate, 2)["removed"]["credentials"] == 4


def test_dead_bytes_are_told_and_their_end_is_certified_as_well(estate):
    estate.fill(2)
    drive(estate.space(1).create_bucket("bucket"))
    drive(estate.space(1).put("bucket", "key", payload(9_000)))
    estate.erase("acme")
    to_the_end(estate, estate.rounds())
    issued = estate.show("@2")
    dead = issued.certificate.statement["remains"]["dead bytes"]
    assert dead["bytes"] == issued.certificate.statement["removed"]["freed_bytes"] > 0
    assert issued.purge is None
    estate.close()  # which seals what was open
    estate = Estate(estate.path, estate.clock, seed=2)
    reports = [report for _ in range(3) for report in work_off(estate.rounds(compaction=EAGER))]
    assert sum(len(report.compaction.unlinked) for report in reports) >= dead["segments"]
    assert drive(estate.space(1).read("bucket", "key")) == payload(9_000)
    purge = estate.show("@2").purge
    verify(purge, drive(estate.erasures.public_key()))
    assert purge.statement["type"] == "isotherm.purge"
    assert drive(estate.meta.range(*record.table_range(record.DEAD), 1)) == []
    estate.close()


def test_the_audit_log_names_the_certificate(estate):
    estate.erase("acme/lab")
    to_the_end(estate, estate.rounds())
    while drive(follow(estate.meta, estate.clock)).chained:
        continue
    told, _ = drive(AuditLog(estate.meta).page(Caller(2, ALL_ROLES), "@3"))
    signed = canonical(estate.show("@3").certificate.statement)
    (last,) = [one for one in told if one.record.operation == "tenant.erased"]
    assert last.record.changed["certificate"] == (None, sha256(signed).hexdigest())


def test_what_is_signed_is_what_a_stranger_would_compute(estate):
    estate.erase("acme")
    to_the_end(estate, estate.rounds())
    said = dict(statement(estate, 2))
    strangers = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert strangers == canonical(said)


def test_who_may_see_it_lies_above(estate):
    estate.erase("acme/lab")
    estate.erase("beta")
    to_the_end(estate, estate.rounds())
    page = estate.erasures.page
    assert [one.tenant for one in drive(page(OWNER, None))[0]] == [3, 4]
    assert [one.tenant for one in drive(page(Caller(2, ALL_ROLES), None))[0]] == [3]
    assert [one.tenant for one in drive(page(OWNER, "acme"))[0]] == [3]
    first, following = drive(page(OWNER, None, limit=1))
    assert ([one.tenant for one in first], following) == ([3], 3)
    assert [one.tenant for one in drive(page(OWNER, None, after=3))[0]] == [4]
    with pytest.raises(NotFound):
        drive(estate.erasures.show(Caller(2, ALL_ROLES), "@4"))
