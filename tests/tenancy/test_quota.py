"""Quota: whoever writes at once, no node holds a byte or an object more than it may, and what is charged is what is there."""

import asyncio

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import Conflict, Invalid, NotFound, OverQuota
from isotherm.meta.recording import RecordedTransaction
from isotherm.objects.model import Body, Versioning
from isotherm.tenancy.quota import Quota
from isotherm.tenancy.roles import OWNER, Caller, Role
from isotherm.tenancy.tree_record import node_row
from isotherm.tenancy.usage import Tally, Usage, warned
from tests.objects.stores import body, open_engines, payload, sweep
from tests.tenancy.holders import Counting, Planted, taken


@pytest.fixture
def engines(tmp_path, metadata):
    opened = open_engines(tmp_path / "store")
    yield opened
    opened.close()


@pytest.fixture
def planted(engines):
    return Planted(engines)


def test_32_racing_writers_end_exactly_at_the_limit(planted):
    writers, size, most = 32, 1_000, 40 * 1_000 + 1
    planted.make("acme", capacity_bytes=most)
    lab = planted.make("acme/lab")

    async def write(number):
        return sum([await taken(lab.put("box", f"{number}-{n}", payload(size, n))) for n in range(3)])

    async def race():
        return sum(await asyncio.gather(*map(write, range(writers))))

    assert asyncio.run(race()) == 40
    assert planted.total("acme").bytes == 40_000 == planted.total("/").bytes
    assert len(drive(lab.list("box")).entries) == 40
    drive(lab.put("box", "the last byte", b"x"))
    with pytest.raises(OverQuota) as refused:
        drive(lab.put("box", "one more", b"x"))
    assert refused.value.code == "QuotaExceeded"
    planted.demand_right()


def test_racing_writers_of_two_processes_end_exactly_at_the_limit(planted):
    """As far as quota can tell: what each process knows of the tree is its own."""
    lab = planted.make("lab", objects=25)
    other = planted.space(2, Quota())

    async def race():
        calls = [taken((lab, other)[n % 2].put("box", f"{n}", payload(10, n))) for n in range(64)]
        return sum(await asyncio.gather(*calls))

    assert asyncio.run(race()) == 25
    assert planted.total("lab").versions == 25
    planted.demand_right()


def test_each_node_of_the_chain_is_a_hard_stop(planted):
    planted.update("/", capacity_bytes=300)
    planted.make("a", capacity_bytes=200)
    planted.make("a/b")
    deep = planted.make("a/b/c", capacity_bytes=100)
    beside = planted.make("a/d")
    drive(deep.put("box", "k", payload(100)))
    assert not drive(taken(deep.put("box", "l", b"x")))
    drive(beside.put("box", "k", payload(100)))
    assert not drive(taken(beside.put("box", "l", b"x")))
    root = planted.space(1)
    drive(root.create_bucket("box"))
    drive(root.put("box", "k", payload(100)))
    assert not drive(taken(root.put("box", "l", b"x")))
    assert planted.held("a/b").own == Usage()
    assert planted.held("/").own == Usage(100, 1, 1)
    assert (planted.total("a/b").bytes, planted.total("a").bytes, planted.total("/").bytes) == (100, 200, 300)
    planted.demand_right()


def test_what_is_refused_leaves_nothing_behind(planted, engines):
    space = planted.make("t", capacity_bytes=10)
    drive(space.put("box", "k", b"12345", tags={"a": "b"}))
    changes = drive(space.changes(None))[0]
    for size in (6, 11, 2 << 20):
        assert not drive(taken(space.put("box", "l", payload(size), tags={"a": "b"})))
        assert not drive(taken(space.put("box", "l", body(payload(size)), tags={"a": "b"})))
        assert not drive(taken(space.put("box", "l", body(payload(size), declared=False))))
    assert not drive(taken(space.put("box", "k", payload(11))))
    assert drive(space.read("box", "k")) == b"12345"
    assert drive(space.changes(None))[0] == changes
    with pytest.raises(NotFound):
        drive(space.head("box", "l"))
    assert [found.key for found in drive(space.find({"a": "b"}))] == ["k"]
    planted.demand_right()


def test_a_large_body_for_which_there_is_no_room_does_not_travel(planted):
    space = planted.make("t", capacity_bytes=3 << 20)
    travelled = []

    def long(size):
        async def pieces():
            for _ in range(size >> 20):
                travelled.append(size)
                yield payload(1 << 20, len(travelled))

        return Body(pieces(), size)

    upload = drive(space.create_upload("box", "u"))
    for call in (space.put("box", "k", long(4 << 20)), space.put_part("box", "u", upload.id, 1, long(4 << 20))):
        assert not drive(taken(call))
    assert travelled == []
    drive(space.put("box", "k", long(2 << 20)))
    drive(space.put("box", "k", long(3 << 20)))  # which replaces the former
    drive(space.put("box", "k", long(1 << 20)))
    drive(space.put_part("box", "u", upload.id, 1, long(2 << 20)))
    drive(space.put_part("box", "u", upload.id, 1, long(2 << 20)))
    assert planted.total("t").bytes == 3 << 20
    drive(space.set_versioning("box", Versioning.ENABLED))
    before = len(travelled)
    assert not drive(taken(space.put("box", "k", long(2 << 20))))
    assert len(travelled) == before
    planted.demand_right()


def test_overwriting_deleting_and_aborting_give_back(planted):
    space = planted.make("t", capacity_bytes=100, objects=2)
    drive(space.put("box", "k", payload(100)))
    drive(space.put("box", "k", payload(100, 1)))
    drive(space.put("box", "k", payload(1)))
    upload = drive(space.create_upload("box", "u"))
    assert not drive(taken(space.create_upload("box", "v")))
    drive(space.put_part("box", "u", upload.id, 1, payload(99)))
    assert not drive(taken(space.put_part("box", "u", upload.id, 2, b"x")))
    drive(space.put_part("box", "u", upload.id, 1, payload(98, 1)))
    assert planted.total("t") == Usage(99, 1, 1, 0, 1, 98)
    drive(space.abort_upload("box", "u", upload.id))
    assert planted.total("t") == Usage(1, 1, 1)
    drive(space.delete("box", "k"))
    assert planted.total("t") == Usage()
    drive(space.put("box", "k", payload(100)))
    planted.demand_right()


def test_completing_an_upload_is_never_refused_and_a_part_that_was_not_chosen_is_given_back(planted, engines):
    space = planted.make("t", capacity_bytes=100, objects=1)
    upload = drive(space.create_upload("box", "u"))
    parts = [drive(space.put_part("box", "u", upload.id, n, payload(n * 20, n))) for n in (1, 2)]
    drive(space.put_part("box", "u", upload.id, 3, payload(40, 3)))
    planted.update("t", capacity_bytes=10, objects=0)
    drive(space.complete_upload("box", "u", upload.id, [(part.number, part.etag, None) for part in parts]))
    assert planted.total("t") == Usage(60, 1, 1)
    drive(space.complete_upload("box", "u", upload.id, [(part.number, part.etag, None) for part in parts]))
    assert planted.total("t") == Usage(60, 1, 1)
    drive(space.delete("box", "u"))
    sweep(engines, 2)
    assert planted.total("t") == Usage()


def test_a_copy_counts_like_any_other(planted):
    space = planted.make("t", capacity_bytes=150)
    drive(space.put("box", "k", payload(60)))
    drive(space.copy("box", "k", "box", "l"))
    assert not drive(taken(space.copy("box", "k", "box", "m")))
    assert planted.total("t") == Usage(120, 2, 2)
    drive(space.delete("box", "k"))
    drive(space.copy("box", "l", "box", "m"))
    planted.demand_right()


def test_versions_count_and_delete_markers_are_never_refused(planted):
    space = planted.make("t", objects=2)
    drive(space.set_versioning("box", Versioning.ENABLED))
    first = drive(space.put("box", "k", b"1"))
    drive(space.put("box", "k", b"22"))
    assert not drive(taken(space.put("box", "k", b"333")))
    marker = drive(space.delete("box", "k"))
    assert planted.total("t") == Usage(3, 0, 2, 1)
    drive(space.delete("box", "k", first.version_id))
    drive(space.delete("box", "k", marker.version_id))
    assert planted.total("t") == Usage(2, 1, 1)
    drive(space.set_versioning("box", Versioning.SUSPENDED))
    drive(space.put("box", "k", b"null"))
    drive(space.put("box", "k", b"null again"))
    assert planted.total("t") == Usage(12, 1, 2)
    planted.demand_right()


def test_a_limit_below_what_is_used_lets_nothing_come_and_everything_go(planted):
    space = planted.make("t")
    for n in range(10):
        drive(space.put("box", f"{n}", payload(10, n)))
    planted.update("t", capacity_bytes=35)
    assert not drive(taken(space.put("box", "more", b"x")))
    drive(space.put("box", "0", payload(10, 99)))  # not more than was there
    for n in range(7):
        assert not drive(taken(space.put("box", "more", payload(6))))
        drive(space.delete("box", f"{n}"))
    drive(space.put("box", "more", payload(5)))
    planted.update("t", capacity_bytes=None)
    drive(space.put("box", "much more", payload(1_000)))
    planted.demand_right()


def test_a_bucket_that_goes_takes_its_uploads_along(planted, engines):
    space = planted.make("t")
    for n in range(3):
        upload = drive(space.create_upload("box", f"{n}"))
        drive(space.put_part("box", f"{n}", upload.id, 1, payload(10, n)))
    assert planted.total("t").upload_bytes == 30
    drive(space.delete_bucket("box"))
    assert planted.total("t") == Usage()
    sweep(engines, 2)
    assert planted.total("t") == Usage()


def test_a_tenant_that_moves_takes_what_it_holds_along(planted):
    for path in ("from", "to", "from/mid"):
        planted.make(path)
    moved = planted.make("from/mid/t")
    deep = planted.make("from/mid/t/u")
    drive(moved.put("box", "k", payload(10)))
    drive(deep.put("box", "k", payload(20)))
    planted.update("to", capacity_bytes=29)
    with pytest.raises(OverQuota):
        drive(planted.tenants.move(OWNER, "from/mid/t", "to/t"))
    planted.update("to", capacity_bytes=30)
    drive(planted.tenants.move(OWNER, "from/mid/t", "to/t"))
    assert (planted.total("from").bytes, planted.total("to").bytes, planted.total("/").bytes) == (0, 30, 30)
    assert planted.held("to").own == Usage()
    assert not drive(taken(deep.put("box", "l", b"x")))  # it knows at once where it lies now
    drive(deep.delete("box", "k"))
    assert planted.total("to").bytes == 10
    planted.demand_right()


def test_a_tenant_that_moves_while_it_is_written_to_is_charged_where_it_lies(planted):
    for path in ("a", "b"):
        planted.make(path)
    space = planted.make("a/t")

    async def write(number):
        for n in range(10):
            await space.put("box", f"{number}-{n}", payload(10, n))

    async def moves():
        done = 0
        for way in (("a/t", "b/t"), ("b/t", "a/t")) * 3:
            try:
                await planted.tenants.move(OWNER, *way)
                done += 1
            except (Conflict, NotFound):
                return done
        return done

    async def race():
        return (await asyncio.gather(moves(), *map(write, range(6))))[0]

    assert asyncio.run(race()) == 6
    assert (planted.total("a").bytes, planted.total("b").bytes, planted.total("/").bytes) == (600, 0, 600)
    planted.demand_right()


def test_a_warning_says_when_to_look_and_refuses_nothing(planted):
    space = planted.make("t", capacity_bytes=100, objects=4, warning_percent=80)

    def warnings():
        seen, held = drive(planted.tenants.usage(OWNER, "t"))
        return warned(seen.node.terms, held.total)

    drive(space.put("box", "k", payload(79)))
    assert warnings() == []
    drive(space.put("box", "l", payload(1)))
    assert warnings() == ["capacity_bytes"]
    for n in range(2):
        drive(space.put("box", f"{n}", b""))
    assert warnings() == ["capacity_bytes", "objects"]
    planted.update("t", warning_percent=None)
    assert warnings() == ["objects"]
    with pytest.raises(Invalid):
        planted.update("t", warning_percent=101)


def test_two_tenants_with_the_same_names_are_charged_apart(planted):
    one, two = planted.make("one", capacity_bytes=10), planted.make("two", capacity_bytes=20)
    drive(one.put("box", "k", payload(10)))
    drive(two.put("box", "k", payload(20)))
    drive(one.delete("box", "k"))
    assert (planted.total("one").bytes, planted.total("two").bytes) == (0, 20)
    planted.demand_right()


def test_usage_is_told_to_those_who_reach_the_tenant(planted):
    planted.make("one")
    planted.make("two")
    admin = Caller(2, frozenset({Role.ADMIN}))
    assert drive(planted.tenants.usage(admin, "one"))[0].path == "one"
    for out_of_reach in ("two", "/"):
        with pytest.raises(NotFound):
            drive(planted.tenants.usage(admin, out_of_reach))


def test_a_charge_reads_the_tree_once_and_then_never_again_while_it_stays_the_same(planted, engines):
    for path in ("a", "a/b"):
        planted.make(path, capacity_bytes=100)
    quota, tally = Quota(), Tally()
    tally.came(5, marker=False, older=False)

    def charged(losses=0):
        """How many rows were read, and the charges."""
        reader = Counting(engines.meta)
        txn = RecordedTransaction(reader, losses)
        drive(quota.charge(txn, 3, tally))
        return len(reader.read), txn.member()

    read, member = charged()
    assert read == 3
    assert sum(delta for delta, _ in member.charges.values()) == 5 * 6
    assert {most for _, most in member.charges.values()} == {100, None}
    assert charged()[0] == 0
    assert set(charged()[1].reads) == {node_row(id_) for id_ in (1, 2, 3)}, "and the commit compares it"
    planted.update("a", capacity_bytes=200)
    assert charged()[0] == 0, "which that commit will refuse"
    read, member = charged(losses=1)
    assert 200 in {most for _, most in member.charges.values()}
    assert charged()[0] == 0


def test_what_a_process_takes_the_tree_for_is_never_what_decides(planted):
    """Each process has seen the tree at another time; the one that is behind finds out at its commit."""
    space = planted.make("a")
    planted.make("b", capacity_bytes=5)
    behind = planted.space(2, Quota())
    drive(behind.put("box", "k", b"x"))
    planted.update("a", capacity_bytes=3)
    drive(space.put("box", "l", b"x"))
    assert not drive(taken(behind.put("box", "m", b"xx")))
    drive(planted.tenants.move(OWNER, "a", "b/a"))
    drive(behind.put("box", "m", b"x"))
    assert planted.total("b").bytes == 3
    planted.update("b", capacity_bytes=3)
    planted.update("b/a", capacity_bytes=None)
    assert not drive(taken(behind.put("box", "n", b"x")))
    planted.demand_right()
