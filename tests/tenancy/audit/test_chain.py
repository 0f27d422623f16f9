"""Chains of hashes, as pure functions: whatever is done to the rows of one, the walk finds it, and says where."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotherm.errors import Invalid
from isotherm.tenancy.audit import rows
from isotherm.tenancy.audit.chain import Checking, Head, How, genesis, linked, read_head
from isotherm.tenancy.audit.verify import add_link

TENANT = 7
RECORDS = st.lists(st.binary(max_size=40), min_size=1, max_size=8)


def chain(records, tenant=TENANT):
    """(rows by key, head)."""
    head, made = genesis(tenant), {}
    for number, record in enumerate(records, 1):
        entry = number.to_bytes(16, "big") + record
        head = linked(head, entry)
        made[rows.link_row(tenant, head.sequence)] = rows.pack_link(rows.Link(head.hash, entry))
    return made, head


def breaks(made, head, *expected, tenant=TENANT):
    checking = Checking(tenant, expected)
    for row in sorted(made):
        add_link(checking, row, made[row])
    checking.end(head)
    return [(one.how, one.first, one.last) for one in checking.breaks]


@given(RECORDS)
def test_a_chain_as_it_was_written_is_whole(records):
    made, head = chain(records)
    assert breaks(made, head, head, genesis(TENANT)) == []
    assert breaks({}, None) == []


@given(RECORDS, st.data())
def test_any_change_of_any_byte_of_any_row_is_found_where_it_is(records, data):
    made, head = chain(records)
    number = data.draw(st.integers(1, len(records)))
    row = rows.link_row(TENANT, number)
    at = data.draw(st.integers(0, len(made[row]) - 1))
    bit = 1 << data.draw(st.integers(0, 7))
    made[row] = made[row][:at] + bytes((made[row][at] ^ bit,)) + made[row][at + 1 :]
    found = breaks(made, head)
    assert found
    assert number in {first for _, first, _ in found}
    assert {how for how, _, _ in found} <= {How.CHANGED, How.REORDERED}


@given(RECORDS, st.data())
def test_a_row_that_grows_or_shrinks_is_found(records, data):
    made, head = chain(records)
    row = rows.link_row(TENANT, data.draw(st.integers(1, len(records))))
    length = data.draw(st.integers(0, len(made[row]) - 1))
    for other in (made[row][:length], made[row] + b"\0"):
        assert breaks({**made, row: other}, head)


@given(RECORDS, st.data())
def test_what_is_missing_is_named(records, data):
    made, head = chain(records)
    first = data.draw(st.integers(1, len(records)))
    last = data.draw(st.integers(first, len(records)))
    for number in range(first, last + 1):
        del made[rows.link_row(TENANT, number)]
    how = How.CUT if last == len(records) else How.MISSING
    assert breaks(made, head) == [(how, first, last)]


@given(st.lists(st.binary(max_size=40), min_size=2, max_size=8), st.data())
def test_two_records_that_change_places_are_found(records, data):
    made, head = chain(records)
    one = data.draw(st.integers(1, len(records) - 1))
    other = data.draw(st.integers(one + 1, len(records)))
    at, to = rows.link_row(TENANT, one), rows.link_row(TENANT, other)
    made[at], made[to] = made[to], made[at]
    found = breaks(made, head)
    assert (How.CHANGED, one, one) in found
    assert (How.REORDERED, other, other) in found


@given(RECORDS, st.data())
def test_an_end_cut_off_with_its_head_put_back_is_found_by_a_head_kept_elsewhere(records, data):
    _, kept = chain(records)
    left = data.draw(st.integers(0, len(records) - 1))
    shorter, head = chain(records[:left])
    assert breaks(shorter, head if left else None) == [], "nothing in the store tells"
    assert breaks(shorter, head if left else None, kept) == [(How.CUT, left + 1, len(records))]


@given(RECORDS, st.data())
def test_a_chain_written_anew_is_found_by_a_head_kept_elsewhere(records, data):
    _, kept = chain(records)
    number = data.draw(st.integers(1, len(records)))
    forged = [*records[: number - 1], records[number - 1] + b"!", *records[number:]]
    made, head = chain([*forged, b"and more"])
    assert breaks(made, head, kept) == [(How.UNEXPECTED, len(records), len(records))]


@given(RECORDS)
def test_anothers_chain_is_not_ones_own(records):
    made, _ = chain(records, tenant=8)
    moved = {rows.link_row(TENANT, number): made[rows.link_row(8, number)] for number in range(1, len(records) + 1)}
    assert (How.CHANGED, 1, 1) in breaks(moved, None)


def test_a_head_that_is_not_the_last_records_is_found():
    made, head = chain([b"a", b"b"])
    assert breaks(made, None) == [(How.MISSING, 0, 0)]
    assert breaks(made, Head(2, bytes(32))) == [(How.CHANGED, 2, 2)]
    assert breaks(made, Head(1, head.hash)) == [(How.CHANGED, 1, 1)]


@pytest.mark.parametrize("text", ["", "1", "1:", ":" + "0" * 64, "-1:" + "0" * 64, "1:" + "0" * 63, "1:" + "G" * 64])
def test_what_is_no_head_is_refused(text):
    with pytest.raises(Invalid):
        read_head(text)


def test_a_head_is_read_as_it_is_printed():
    head = linked(genesis(1), b"x")
    assert read_head(f"{head.sequence}:{head.hash.hex()}") == head
