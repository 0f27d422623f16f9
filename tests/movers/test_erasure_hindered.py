"""What an erasure meets on its way: damage, key stores that are away, others at the same work; and what it must not certify."""

from dataclasses import replace

import pytest

from isotherm.clock import VirtualClock
from isotherm.devices.waiting import drive
from isotherm.errors import Corrupt, Unavailable
from isotherm.ids import SeededIds
from isotherm.objects.layout import live_row, table
from isotherm.objects.records import decode_record
from isotherm.segments import accounting
from isotherm.segments.remote import inline
from isotherm.settings import Settings
from isotherm.store import compose
from isotherm.tenancy.erasure import record
from isotherm.tenancy.erasure.certificate import verify
from isotherm.tenancy.erasure.record import Erasure, Issued
from isotherm.tenancy.roles import OWNER
from isotherm.tenancy.tree import TenantState
from tests.movers.erasing import GRACE, Estate, to_the_end, work_off
from tests.movers.stores import change, checked, kinds


@pytest.fixture
def estate(tmp_path):
    made = Estate(tmp_path / "store", VirtualClock())
    made.plant()
    yield made
    made.close()


def statement(estate, tenant):
    issued = estate.show(f"@{tenant}")
    assert isinstance(issued, Issued)
    verify(issued.certificate, drive(estate.erasures.public_key()))
    return issued.certificate.statement


def test_nothing_is_certified_before_the_grace_is_over_whatever_the_wall_clock_does(estate):
    estate.fill(2)
    estate.erase("acme")
    rounds = estate.rounds()
    work_off(rounds)
    for step_ms in (10**9, -(10**10), 0):
        estate.clock.step_wall(step_ms)
        work_off(rounds)
        assert isinstance(estate.show("acme"), Erasure)
    estate.clock.advance(GRACE)
    work_off(estate.rounds())
    assert isinstance(estate.show("acme"), Erasure), "another process has not seen it empty for so long"
    work_off(rounds)
    assert isinstance(estate.show("@2"), Issued)


class Stubborn:
    """A key store that is away until it is told otherwise."""

    def __init__(self, keys):
        self._keys = keys
        self.away = True

    def __getattr__(self, name):
        return getattr(self._keys, name)

    async def destroy(self, tenant):
        if self.away:
            raise Unavailable("the key store does not answer")
        return await self._keys.destroy(tenant)


def test_no_certificate_before_the_secret_is_destroyed(tmp_path):
    estate = Estate(tmp_path / "store", VirtualClock())
    estate.plant()
    estate.fill(2)
    drive(estate.keys.make(2))
    stubborn = Stubborn(estate.keys)
    estate.erasures._keys = stubborn
    assert not estate.erase("acme").key_destroyed_ms
    rounds = estate.rounds(keys=stubborn)
    for _ in range(3):
        assert any("erasure" in report.failed for report in work_off(rounds))
        estate.clock.advance(GRACE)
    assert estate.rows(2) == {}, "the rows go all the same"
    told = estate.show("acme")
    assert isinstance(told, Erasure)
    assert (told.sealed, told.key_destroyed_ms) == (True, 0)
    stubborn.away = False
    to_the_end(estate, rounds)
    assert statement(estate, 2)["key"]["sealed"] is True
    estate.close()


def test_a_secret_that_somebody_made_meanwhile_is_destroyed_as_well(estate):
    estate.erase("acme")
    rounds = estate.rounds()
    work_off(rounds)
    drive(estate.keys.make(2))
    to_the_end(estate, rounds)
    assert drive(estate.keys.secret(2)) is None
    assert isinstance(estate.show("@2"), Issued)


def test_damaged_rows_go_and_the_certificate_says_that_their_bytes_are_not_known(estate, tmp_path):
    estate.fill(2)
    space = estate.space(2)
    bucket = drive(space.bucket("plain")).id
    row = live_row(2, bucket, b"key 0009")  # which has been copied: other rows say who shares its bytes
    stored = drive(estate.meta.get(row))
    (shared,) = decode_record(stored).extents
    lost = live_row(2, bucket, b"key 0010")
    (unshared,) = decode_record(drive(estate.meta.get(lost))).extents
    part = drive(estate.meta.range(*_range(table(2, b"P")), 1))[0][0]
    change(estate.engines, {row: stored[:-1], lost: b"", part: b"\x01"})
    estate.erase("acme")
    to_the_end(estate, estate.rounds())
    told = statement(estate, 2)
    assert told["unreadable"] == 3
    assert "unreadable rows" in told["remains"]
    assert drive(accounting.sharers(estate.meta, shared, 5)) == []
    assert drive(accounting.live_bytes(estate.meta, unshared.segment)) >= unshared.length
    assert set(kinds(checked(estate.engines, tmp_path))) == {"live-too-high"}


def test_a_table_that_nobody_knows_is_not_certified_away(estate):
    change(estate.engines, {table(2, b"?") + b"row": b"of a newer program"})
    estate.erase("acme")
    to_the_end(estate, estate.rounds())
    assert isinstance(estate.show("acme"), Erasure)
    change(estate.engines, {table(2, b"?") + b"row": None})
    to_the_end(estate, estate.rounds())
    assert isinstance(estate.show("@2"), Issued)


def test_of_many_tenants_each_has_its_turn(estate):
    for number in range(7):
        estate.make(f"acme/t{number}")
    estate.erase("acme")
    rounds = estate.rounds(rows_a_round=40)
    reports = to_the_end(estate, rounds)
    assert len(reports) > 4
    assert {estate.state(tenant) for tenant in (2, 3, *range(5, 12))} == {TenantState.ERASED}


def test_two_that_do_it_at_once_count_nothing_twice(estate):
    estate.fill(2)
    counted = sum(estate.rows(2).values())
    estate.erase("acme")
    both = [estate.rounds(rows_a_round=200)._erasing for _ in range(2)]
    for _ in range(2):
        while sum(drive(one.run()).more for one in both):  # each of them
            continue
        estate.clock.advance(GRACE)
    assert estate.rows(2) == {}
    assert statement(estate, 2)["removed"]["rows"] == counted + 1
    assert [one.tenant for one in drive(estate.erasures.page(OWNER, None))[0]] == [2, 3]


def test_what_is_damaged_holds_up_no_other_and_is_told(estate):
    estate.fill(4)
    estate.erase("acme")
    estate.erase("beta")
    share = drive(accounting.shared(estate.meta))
    rows = {record.erasure_row(2): b"\x01{", record.DEAD + b"short": b"", share[0][0]: b"short"}
    change(estate.engines, rows)
    reports = to_the_end(estate, estate.rounds())
    assert all(isinstance(report.failed["erasure"], Corrupt) for report in reports if report.failed)
    assert "erasure" in reports[-1].failed
    for _ in range(3):
        estate.clock.advance(GRACE)
        work_off(rounds := estate.rounds())
        estate.clock.advance(GRACE)
        drive(rounds.run())
    assert [one.tenant for one in drive(estate.erasures.page(OWNER, None))[0]] == [4]
    assert isinstance(estate.show("@4"), Issued)
    assert drive(accounting.shared(estate.meta)) == []


def test_small_payloads_in_the_metadata_beside_a_bucket_go_as_well(tmp_path):
    settings = replace(Settings(tmp_path / "store"), bucket=(tmp_path / "bucket").as_uri())
    clock = VirtualClock()
    engines = compose(settings, role="foreign", clock=clock, ids=SeededIds(1))
    estate = Estate(tmp_path / "store", clock, engines=engines)
    estate.plant()
    for tenant in (2, 4):
        estate.fill(tenant)
    held = estate.held(4)
    estate.erase("acme")
    to_the_end(estate, estate.rounds())
    assert isinstance(estate.show("@2"), Issued)
    assert (estate.rows(2), estate.held(4)) == ({}, held)
    report = checked(engines, tmp_path)
    assert kinds(report) == {}
    waiting = {place for _, _, place in drive(inline.dropped(estate.meta, 10_000))}
    values = {row for row, _ in drive(estate.meta.range(*_range(inline.VALUES), 10_000))}
    assert sum(len(drive(estate.meta.get(row))) for row in values - waiting) == report.space.inline_bytes
    estate.close()


def _range(prefix):
    return prefix, prefix[:-1] + bytes((prefix[-1] + 1,))
