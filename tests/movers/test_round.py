"""A round of background work does a bounded share of everything, and one task that fails holds up no other."""

import pytest

from isotherm.clock import VirtualClock
from isotherm.devices.waiting import drive
from isotherm.errors import Corrupt, NotFound
from isotherm.movers.compaction import CompactionSettings
from isotherm.movers.everyone import tenants
from isotherm.movers.round import Rounds
from isotherm.movers.settings import MoverSettings
from isotherm.movers.uploads import expire_uploads
from isotherm.objects.layout import FEED
from isotherm.store import Store
from tests.movers.stores import (
    change,
    checked,
    contents,
    files,
    killed,
    kinds,
    opened,
    space_of,
    upload,
)
from tests.objects.stores import payload, rows_of

EAGER = CompactionSettings(dead_fraction=0.05, settle_s=0)
RETAINED = 1_000_000
NEVER = 1 << 60


def rounds(engines, **options):
    options = {"feed_retained": RETAINED, "compaction": EAGER, **options}
    return Rounds(engines.meta, engines.segments, clock=engines.clock, **options)


def to_the_end(of):
    """The reports of rounds until one has no more to do."""
    reports = [drive(of.run())]
    while reports[-1].more:
        reports.append(drive(of.run()))
    assert not any(report.failed for report in reports)
    return reports


def test_rounds_leave_nothing_to_do(engines, held, tmp_path):
    reports = to_the_end(rounds(engines))
    assert sum(report.garbage for report in reports) > 0
    assert sum(len(report.compaction.unlinked) for report in reports) > 0
    assert rows_of(engines).get("X") is None
    assert contents(engines) == held
    assert kinds(checked(engines, tmp_path)) == {}
    (last,) = to_the_end(rounds(engines))
    assert (last.garbage, last.uploads, last.trimmed, last.compaction.moved) == (0, 0, 0, 0)


def test_a_share_of_garbage_is_bounded_and_more_is_said(engines):
    few = rounds(engines, settings=MoverSettings(garbage_a_round=1))
    left = len(rows_of(engines)["X"])
    assert left > 1
    report = drive(few.run())
    assert report.more
    assert len(rows_of(engines)["X"]) == left - 1


def test_the_feed_keeps_what_it_is_told_to(engines):
    reports = to_the_end(rounds(engines, feed_retained=10))
    assert sum(report.trimmed for report in reports) > 0
    assert len(drive(engines.meta.feed(FEED, None, 1_000)).records) == 10


def test_segments_of_dead_processes_are_sealed(tmp_path):
    engines = opened(tmp_path / "store")
    space = space_of(engines)
    drive(space.create_bucket("plain"))
    drive(space.put("plain", "key", b"written by a process that dies"))
    (one,) = [writer._open for writer in engines.segments._writers.values() if writer._open is not None]
    one.close()  # its lock goes, as with a process
    report = drive(rounds(engines).run())
    assert report.recovered.sealed == [one.segment]
    engines.close()


def test_uploads_are_aborted_by_age_only_where_an_operator_says_so(tmp_path):
    clock = VirtualClock()
    engines = opened(tmp_path / "store", clock=clock)
    space = space_of(engines)
    drive(space.create_bucket("plain"))
    old = drive(upload(space, "plain", "old", parts=2, complete=False))
    clock.advance(3_600)
    young = drive(upload(space, "plain", "young", parts=1, complete=False))
    assert to_the_end(rounds(engines))[0].uploads == 0
    expiring = MoverSettings(uploads_expire_s=1_800)
    assert to_the_end(rounds(engines, settings=expiring))[0].uploads == 1
    with pytest.raises(NotFound):
        drive(space.upload("plain", "old", old))
    assert drive(space.upload("plain", "young", young)).key == "young"
    assert len(rows_of(engines)["P"]) == 1, "the parts of the old one are dismantled"
    assert kinds(checked(engines, tmp_path)) == {}
    engines.close()


def test_expiry_goes_on_where_it_stopped(tmp_path):
    engines = opened(tmp_path / "store")
    space = space_of(engines)
    drive(space.create_bucket("plain"))
    for number in range(5):
        drive(upload(space, "plain", f"key {number}", parts=0, complete=False))
    later_ms = engines.clock.now_ms() + 1
    after, steps, aborted = b"", 0, 0
    while True:
        count, after = drive(expire_uploads(engines.meta, engines.quota, 1, before_ms=later_ms, after=after, limit=2))
        steps, aborted = steps + 1, aborted + count
        if not after:
            break
    assert (steps, aborted) == (3, 5)
    engines.close()


def test_a_task_that_fails_holds_up_no_other(engines, filled):
    """A row of a part that cannot be read stops the sweep; compaction and the feed go on."""
    rows = rows_of(engines)
    garbage = next(row[-16:] for row in rows["X"] if row[5:6] == b"m")
    part = next(row for row in rows["P"] if row[5:21] == garbage)
    change(engines, {part: b"\x01"})
    report = drive(rounds(engines, feed_retained=5).run())
    assert list(report.failed) == ["garbage"]
    assert isinstance(report.failed["garbage"], Corrupt)
    assert report.trimmed > 0


def test_a_round_stops_between_tasks_when_it_is_asked_to(engines):
    report = drive(rounds(engines, stopping=lambda: True).run())
    assert (report.garbage, report.trimmed, report.more) == (0, 0, False)


def test_two_movers_at_once_do_each_piece_once(filled, held, tmp_path):
    """The second process finds compaction leased, and dismantles beside the first without harm."""
    first = opened(filled, seed=2)
    lease = first.segments.lease("compaction")

    def beside(leased):
        second = opened(filled, seed=3)
        assert drive(rounds(second).run()).compaction.busy == leased
        to_the_end(rounds(second))
        second.close()

    assert not killed(lambda: beside(leased=True), at=NEVER)
    lease.close()
    to_the_end(rounds(first))
    assert not killed(lambda: beside(leased=False), at=NEVER)
    assert contents(first) == held
    assert kinds(checked(first, tmp_path)) == {}
    first.close()


def test_tenants_are_found_without_being_told(engines):
    change(engines, {(number).to_bytes(4, "big") + b"B": b"" for number in (7, 900, 2**31)})
    assert drive(tenants(engines.meta)) == [1, 7, 900, 2**31]


def test_a_program_maintains_its_own_store(filled, held, tmp_path):
    engines = opened(filled, seed=2)
    with Store(engines) as store:
        while store.maintain().more:
            continue
        assert store.get("plain", "key 0010") == payload(370, 10)
        assert rows_of(engines).get("X") is None
        assert files(filled)
