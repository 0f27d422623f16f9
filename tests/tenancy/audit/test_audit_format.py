"""The format of the audit log: rows of the first version are read, and verified, for ever (docs/formats/audit.md)."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotherm.errors import Corrupt, Unsupported
from isotherm.tenancy.audit import rows
from isotherm.tenancy.audit.chain import Checking, Head
from isotherm.tenancy.audit.record import Record, pack, read, shown_key, shown_tenant, unpack
from isotherm.tenancy.audit.verify import add_link

OLD = Path(__file__).parent / "data" / "audit-1.json"


@pytest.fixture
def old():
    return {bytes.fromhex(key): bytes.fromhex(value) for key, value in json.loads(OLD.read_text()).items()}


def test_rows_of_version_1_are_read_and_their_chain_is_whole(old):
    links = {row: stored for row, stored in old.items() if row.startswith(b"\0\0\0\0J\0\0\0\x02")}
    assert list(links) == [b"\0\0\0\0J\0\0\0\x02" + n.to_bytes(8, "big") for n in (1, 2)]
    checking = Checking(2)
    for row, stored in links.items():
        add_link(checking, row, stored)
    checking.end(rows.unpack_head(old[b"\0\0\0\0Y\0\0\0\x02"]))
    assert checking.breaks == []
    assert checking.at == Head(2, bytes.fromhex("445fbb8bdcf0eaed614e70ca8b22dbebf1cbb3dae3f92888c851676810ae95c4"))
    made, changed = (unpack(rows.unpack_link(stored).record) for stored in links.values())
    assert (made.operation, made.path, made.access_key, made.above) == ("tenant.create", "acme", "", (1, 2))
    assert made.changed == {"state": (None, "active"), "capacity_bytes": (None, 10), "labels.plan": (None, "gold")}
    assert changed.changed == {"capacity_bytes": (10, None)}
    seen = {rows.node_and_stamp(row)[0]: rows.unpack_entry(stored) for row, stored in old.items() if row[4:5] == b"Q"}
    assert seen[1] == seen[2] == rows.Entry(2, 2, 1_700_000_000_000)
    assert len(old[rows.CURSOR]) == 16


def test_other_versions_and_damage_are_told_apart():
    with pytest.raises(Unsupported):
        unpack(b"\x02{}")
    with pytest.raises(Unsupported):
        rows.unpack_link(b"\x02" + bytes(60))
    for stored in (b"\x01", b"\x01{", b"\x01[]", b'\x01{"time_ms":1,"operation":"x","above":[]}'):
        with pytest.raises(Corrupt):
            unpack(stored)
        assert read(stored).above == (1,)
    for stored in (b"\x01" + bytes(40), b"\x01" + bytes(47)):
        with pytest.raises(Corrupt):
            rows.unpack_link(stored)


@given(st.text(max_size=20), st.text(max_size=20), st.dictionaries(st.text(max_size=5), st.text(max_size=9)))
def test_whatever_is_in_a_record_comes_back(path, key, labels):
    changed = {f"labels.{name}": (None, value) for name, value in labels.items()}
    record = Record(time_ms=-5, operation="tenant.update", path=path, key=key, changed=changed, above=(1, 2**32 - 1))
    assert unpack(pack(record)) == record


@given(st.binary(max_size=80))
def test_no_bytes_keep_the_follower_from_going_on(stored):
    assert read(stored).above


def test_what_was_asked_for_is_kept_only_where_it_names_something():
    assert (shown_tenant("acme/lab"), shown_tenant("@17"), shown_key("ISOTABCDEFGHIJKLMNOP")) == (
        "acme/lab",
        "@17",
        "ISOTABCDEFGHIJKLMNOP",
    )
    for hostile in ("", "../x", "a\nb", "Ä", "<script>", "A" * 40, "\ud800", "x" * 5_000):
        assert shown_tenant(hostile) == ""
        assert shown_key(hostile) == ""
