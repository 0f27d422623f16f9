"""Which transactions may be judged together, and what a batch locks."""

from isotherm.meta.member import Member, RangeRead
from isotherm.meta.port import ACCOUNTS, account_rows
from isotherm.meta.postgresql.batch import KEYS_LOCKED_MOST, arguments, together

TABLE = b"\x00\x00\x00\x01L\x00\x00\x00\x00\x00\x00\x00\x07"  # a granule: tenant, table, bucket


def member(*, reads=(), ranges=(), writes=(), adds=(), placed=()):
    return Member(
        dict.fromkeys(reads),
        [RangeRead(start, end, 10, False, []) for start, end in ranges],
        dict.fromkeys(writes, b"v"),
        {},
        [(prefix, 0, b"") for prefix in placed],
        dict.fromkeys(adds, 1),
        [],
        1 if placed else 0,
        100,
    )


def locked(*members):
    (ids, exclusive, *_), _ = arguments(members, 0)
    return dict(zip(ids, exclusive, strict=True))


def test_members_that_do_not_meet_go_together():
    assert together([member(reads=[b"a"], writes=[b"b"]), member(reads=[b"a"], writes=[b"c"])], 10_000) == 2
    assert together([member(adds=[b"n"]), member(adds=[b"n"])], 10_000) == 2


def test_a_member_that_meets_an_earlier_ones_writes_waits():
    first = member(writes=[b"k"], adds=[b"n"], placed=[b"p/"])
    for second in (
        member(reads=[b"k"]),
        member(writes=[b"k"]),
        member(adds=[b"k"]),
        member(ranges=[(b"j", b"l")]),
        member(reads=[b"n"]),
        member(writes=[b"n"]),
        member(ranges=[(b"m", b"o")]),
        member(ranges=[(b"p", b"q")]),
    ):
        assert together([first, second], 10_000) == 1
    assert together([first, member(ranges=[(b"a", b"b")])], 10_000) == 2


def test_a_batch_is_bounded_but_never_empty():
    assert together([member(), member(), member()], 200) == 2
    assert together([member()], 1) == 1


def test_locks_are_ascending_and_a_key_written_is_locked_exclusively():
    (ids, exclusive, *_), _ = arguments([member(reads=[TABLE + b"a"], writes=[TABLE + b"b"])], 0)
    assert ids == sorted(set(ids))
    assert sum(exclusive) == 1


def test_a_range_keeps_writers_of_its_granule_out_and_no_others():
    reader = locked(member(ranges=[(TABLE, TABLE + b"\xff")], writes=[TABLE + b"z"]))
    inside, outside = locked(member(writes=[TABLE + b"a"])), locked(member(writes=[TABLE[:-1] + b"\x08a"]))
    exclusive = {identity for identity, alone in reader.items() if alone}
    assert exclusive & set(inside)
    assert not exclusive & set(outside)


def test_a_range_over_granules_keeps_everybody_out():
    reader = locked(member(ranges=[(b"a", b"z")], writes=[b"a"]))
    assert any(reader[identity] for identity in locked(member(writes=[TABLE + b"x"])) if identity in reader)


def test_very_many_keys_are_locked_by_their_granules():
    many = locked(member(writes=[TABLE + b"%d" % number for number in range(KEYS_LOCKED_MOST + 1)]))
    assert len(many) == 2
    assert all(many.values())


def test_rows_of_the_tree_make_no_batch_a_large_one():
    """Keys that are shorter than a granule."""
    tree = [b"N%d" % number for number in range(2 * KEYS_LOCKED_MOST)]
    many = locked(member(reads=tree, writes=[TABLE + b"a"]))
    assert sum(many.values()) == 1
    for key in (tree[0], tree[-1]):
        writer = locked(member(writes=[key]))
        assert [identity for identity, alone in writer.items() if alone and identity in many], "its writer waits"


def test_who_charges_an_account_shares_it_and_who_sums_it_up_has_it_alone():
    one, two = (ACCOUNTS + b"test" + kind for kind in (b"1", b"2"))
    charging = Member({}, [], {}, {}, [], {}, [], 0, 0, 0, {one: (1, 5), two: (1, None)})
    (ids, exclusive, *_), _ = arguments([charging], 0)
    assert not any(exclusive)
    (ids_exact, exact, *rest), _ = arguments([charging], 0, frozenset((one,)))
    assert ids_exact == ids
    assert sum(exact) == 1
    assert rest[-5:] == [[0, 0], [one, two], [1, 1], [5, None], [True, False]]
    reader = member(ranges=[account_rows(one)])
    assert together([charging, reader], 10_000) == 1
    assert together([charging, charging], 10_000) == 2
    assert any(locked(reader)[identity] for identity in ids if identity in locked(reader))
