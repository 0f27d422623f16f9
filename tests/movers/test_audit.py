"""The follower of the audit log: whatever happens to it, every record stands in its chain once, in the feed's order."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import CursorExpired
from isotherm.ids import SeededIds
from isotherm.meta.lmdb import LmdbMeta
from isotherm.movers.audit import follow
from isotherm.tenancy.audit import rows
from isotherm.tenancy.audit.chain import How
from isotherm.tenancy.audit.log import AuditLog
from isotherm.tenancy.audit.record import FEED, read
from isotherm.tenancy.audit.recorder import Recorder
from isotherm.tenancy.audit.verify import verify, waiting
from isotherm.tenancy.roles import OWNER
from isotherm.tenancy.tenants import Tenants
from isotherm.tenancy.terms import Terms
from tests.segments.mortal import Death, Life, MortalMeta
from tests.tenancy.forest import Forest, planted


@pytest.fixture
def forest(tmp_path, metadata):
    with planted(tmp_path) as made:
        yield made


class MortalFollower(MortalMeta):
    """Dies around the trimming of a feed as well."""

    async def trim(self, feed, keep, *, upto=None):
        self._life.step()
        done = await self._meta.trim(feed, keep, upto=upto)
        self._life.step()
        return done


def deeds(forest, *labels, path="acme"):
    recorder = Recorder(forest.meta, forest.clock, SeededIds(9))
    for label in labels:
        deed = recorder.begin("tenant.update", OWNER)
        drive(forest.tenants.update(OWNER, path, {"labels": {"n": label}}, deed))


def chained(forest):
    while drive(follow(forest.meta, forest.clock)).more:
        continue


def labels_of(forest, tenant):
    """What the records of a chain say, in its order."""
    found = drive(forest.meta.range(*rows.links_of(tenant), 100_000))
    assert [rows.place_of(row)[1] for row, _ in found] == list(range(1, len(found) + 1))
    return [read(rows.unpack_link(stored).record).changed["labels.n"][1] for _, stored in found]


def assert_whole(forest, *tenants):
    for tenant in tenants:
        assert drive(verify(forest.meta, tenant)).breaks == []
    assert drive(waiting(forest.meta)) == 0


def test_a_follower_killed_at_every_step_loses_and_doubles_nothing(forest):
    forest.make("acme")
    expected, died = [], 0
    for steps in range(6):
        new = [f"{steps}-{number}" for number in range(3)]
        deeds(forest, *new)
        expected += new
        try:
            drive(follow(MortalFollower(forest.meta, Life(steps)), forest.clock))
        except Death:
            died += 1
    assert died == 4, "before and after the commit, before and after the trim"
    chained(forest)
    assert labels_of(forest, 2) == expected
    assert_whole(forest, 2)
    assert drive(forest.meta.feed_records(FEED, bytes(16), 10)) == [], "what is chained leaves the feed"


def test_writers_and_followers_that_race_leave_whole_chains(forest):
    for path in ("a", "b", "c"):
        forest.make(path)
    with ThreadPoolExecutor(6) as pool:
        writers = [pool.submit(deeds, forest, *map(str, range(20)), path=path) for path in ("a", "b", "c")]
        followers = [pool.submit(lambda: [drive(follow(forest.meta, forest.clock)) for _ in range(15)]) for _ in "xy"]
        for one in (*writers, *followers):
            one.result()
    chained(forest)
    for tenant in (2, 3, 4):
        assert labels_of(forest, tenant) == list(map(str, range(20)))
    assert_whole(forest, 2, 3, 4)


def test_a_clock_that_steps_back_reorders_nothing(forest):
    forest.make("acme")
    for label in "abcd":
        deeds(forest, label)
        forest.clock.step_wall(-60_000)
    chained(forest)
    assert labels_of(forest, 2) == list("abcd")
    page, _ = drive(AuditLog(forest.meta).page(OWNER, "/"))
    times = [one.record.time_ms for one in page]
    assert times == sorted(times, reverse=True)
    some, _ = drive(AuditLog(forest.meta).page(OWNER, "/", since_ms=times[2], until_ms=times[0]))
    assert [one.record.changed["labels.n"][1] for one in some] == ["b", "c"]


def test_the_feed_is_trimmed_by_nobody_before_it_is_chained(forest):
    forest.make("acme")
    deeds(forest, "a")
    chained(forest)
    deeds(forest, "b", "c")
    cursor = drive(forest.meta.get(rows.CURSOR))
    assert drive(forest.meta.trim(FEED, 0, upto=cursor)) == 0
    assert drive(waiting(forest.meta)) == 2
    chained(forest)
    assert labels_of(forest, 2) == list("abc")


@pytest.mark.parametrize("left", [0, 1])
def test_records_trimmed_by_force_are_told_for_ever(forest, left):
    forest.make("acme")
    deeds(forest, "a")
    chained(forest)
    deeds(forest, "b", "c")
    drive(forest.meta.trim(FEED, left))
    with pytest.raises(CursorExpired):
        drive(forest.meta.feed(FEED, drive(forest.meta.get(rows.CURSOR)), 1))
    assert drive(follow(forest.meta, forest.clock)).lost
    assert not drive(follow(forest.meta, forest.clock)).lost
    deeds(forest, "d")
    chained(forest)
    assert labels_of(forest, 2) == ["a", *"c"[:left], "d"]
    page, _ = drive(AuditLog(forest.meta).page(OWNER, "/"))
    assert [(one.record.operation, one.record.outcome) for one in page if one.tenant == 1] == [
        ("audit.lost", "CursorExpired")
    ]
    assert_whole(forest, 1, 2)


def test_records_of_an_earlier_epoch_are_chained_before_later_ones(forest):
    forest.make("acme")
    deeds(forest, "a")
    chained(forest)
    deeds(forest, "b")
    drive(forest.meta.bump_epoch())
    deeds(forest, "c")
    chained(forest)
    assert labels_of(forest, 2) == list("abc")
    assert_whole(forest, 2)


def test_a_damaged_record_holds_up_no_other(forest):
    forest.make("acme")

    async def damage(txn):
        txn.append(FEED, b"\x01{")

    drive(forest.meta.transact(damage))
    deeds(forest, "a")
    chained(forest)
    assert labels_of(forest, 2) == ["a"]
    page, _ = drive(AuditLog(forest.meta).page(OWNER, "/"))
    assert [one.record.operation for one in page] == ["unreadable", "tenant.update"]
    assert_whole(forest, 1, 2)


def test_a_head_that_was_set_back_makes_the_follower_overwrite_nothing(forest):
    forest.make("acme")
    deeds(forest, "a")
    chained(forest)
    old = drive(forest.meta.get(rows.head_row(2)))
    deeds(forest, "b")
    chained(forest)

    async def back(txn):
        txn.put(rows.head_row(2), old)

    drive(forest.meta.transact(back))
    deeds(forest, "c")
    chained(forest)
    assert labels_of(forest, 2) == list("abc")


def test_ten_thousand_records_are_paged_in_order(forest):
    forest.make("acme")
    recorder = Recorder(forest.meta, forest.clock, SeededIds(9))
    deed = recorder.begin("tenant.update", OWNER)

    async def many(txn):
        chain = [forest.show("/").node, forest.show("acme").node]
        for number in range(1_000):
            deed.done(txn, chain, {"labels.n": (None, str(number))})

    for _ in range(10):
        drive(forest.meta.transact(many))
    chained(forest)
    log, found, after = AuditLog(forest.meta), [], ""
    while after is not None:
        page, after = drive(log.page(OWNER, "acme", after=after, limit=999))
        found += page
    assert [one.sequence for one in found] == list(range(1, 10_001))
    assert [one.record.changed["labels.n"][1] for one in found] == [str(n) for n in range(1_000)] * 10
    none, following = drive(log.page(OWNER, "acme", until_ms=0))
    assert (none, following) == ([], None)
    assert_whole(forest, 2)


def test_a_damaged_end_stops_no_follower_and_stays_broken(forest):
    forest.make("acme")
    deeds(forest, "a")
    chained(forest)

    async def damage(txn):
        txn.put(rows.link_row(2, 1), b"?")
        txn.delete(rows.head_row(2))

    drive(forest.meta.transact(damage))
    deeds(forest, "b", "c")
    chained(forest)
    verdict = drive(verify(forest.meta, 2))
    assert (verdict.at.sequence, [(one.how, one.first) for one in verdict.breaks]) == (3, [(How.CHANGED, 1)])


def test_a_change_and_its_record_are_one(forest):
    """Killed before the commit there is neither; killed right after it, both."""
    forest.make("acme")
    for steps, there in ((0, 0), (1, 1)):
        tenants = Tenants(MortalMeta(forest.meta, Life(steps)), forest.clock, forest.vault)
        recorder = Recorder(forest.meta, forest.clock, SeededIds(9))
        with pytest.raises(Death):
            drive(tenants.create(OWNER, f"acme/{steps}", {}, Terms(), recorder.begin("tenant.create", OWNER)))
        assert len(drive(forest.tenants.page(OWNER, "acme"))[0]) == drive(waiting(forest.meta)) == there


def test_a_change_that_runs_again_is_recorded_once(forest):
    forest.make("acme")
    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(deeds, forest, *(f"{writer}-{n}" for n in range(8))) for writer in range(6)]:
            done.result()
    chained(forest)
    assert sorted(labels_of(forest, 2)) == sorted(f"{writer}-{n}" for writer in range(6) for n in range(8))
    page, _ = drive(AuditLog(forest.meta).page(OWNER, "/"))
    changes = [one.record.changed["labels.n"] for one in page]
    assert [before for before, _ in changes[1:]] == [after for _, after in changes[:-1]], "in the order of commits"


def test_a_copy_of_the_store_goes_on_where_its_chains_were(forest, tmp_path):
    forest.make("acme")
    deeds(forest, "a")
    chained(forest)
    deeds(forest, "b")
    drive(forest.meta.backup(tmp_path / "copy"))
    deeds(forest, "lost with the original")
    with LmdbMeta.open(tmp_path / "copy", clock=forest.clock, ids=SeededIds(8), role="server", sync=False) as meta:
        copy = Forest(meta, tmp_path / "keys", forest.clock)
        deeds(copy, "c")
        chained(copy)
        assert labels_of(copy, 2) == list("abc")
        assert_whole(copy, 2)
