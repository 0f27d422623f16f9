"""The format of tenant records: a record written by the first version is read for ever (docs/formats/tenants.md)."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotherm.errors import Corrupt, Unsupported
from isotherm.tenancy import tree_record as record
from isotherm.tenancy.terms import AMOUNT_MOST, Terms
from isotherm.tenancy.tree import Node, TenantState

OLD = (
    b'\x01{"id":17,"parent":2,"name":"research","state":"draining","created_ms":1700000000000,'
    b'"labels":{"plan":"gold"},"terms":{"capacity_bytes":1000000000000,"iops_reservation":500,"iops_limit":2000,'
    b'"bandwidth_share":250,"latency_p99_ms":0.8},"promised":{"capacity_bytes":600,"iops_reservation":70}}'
)


def test_a_record_of_version_1_is_read():
    node = record.unpack(OLD)
    assert node == Node(
        id=17,
        parent=2,
        name="research",
        state=TenantState.DRAINING,
        created_ms=1_700_000_000_000,
        labels={"plan": "gold"},
        terms=Terms(
            capacity_bytes=10**12, iops_reservation=500, iops_limit=2_000, bandwidth_share=250, latency_p99_ms=0.8
        ),
        promised={"capacity_bytes": 600, "iops_reservation": 70},
    )
    assert json.loads(record.pack(node)[1:]) == json.loads(OLD[1:])


def test_rows_lie_where_they_always_lay():
    assert record.node_row(17) == b"\0\0\0\0N\0\0\0\x11"
    assert record.child_row(2, "research") == b"\0\0\0\0C\0\0\0\x02research"
    assert record.LAST_ID == b"\0\0\0\0O"
    assert record.credential_of(17, "ISOTA") == b"\0\0\0\0W\0\0\0\x11ISOTA"
    assert record.unpack_id(b"\0\0\0\x11") == 17
    assert record.child_name(record.child_row(2, "research")) == "research"
    assert record.access_key_of(record.credential_of(17, "ISOTA")) == "ISOTA"


@given(
    st.builds(
        Node,
        id=st.integers(1, 2**32 - 1),
        parent=st.integers(0, 2**32 - 1),
        name=st.text("abc", max_size=5),
        state=st.sampled_from(TenantState),
        labels=st.dictionaries(st.text("abc.", min_size=1), st.text(st.characters(codec="utf-8"))),
        terms=st.builds(
            Terms, objects=st.none() | st.integers(0, AMOUNT_MOST), latency_p99_ms=st.floats(0.001, 3_600_000)
        ),
        promised=st.dictionaries(st.sampled_from(["capacity_bytes", "iops_reservation"]), st.integers(1, AMOUNT_MOST)),
    )
)
def test_what_is_written_is_read(node):
    assert record.unpack(record.pack(node)) == node


@pytest.mark.parametrize("stored", [b"", b"\x02" + OLD[1:], b"\x00"])
def test_another_version_is_told_as_such(stored):
    with pytest.raises(Unsupported):
        record.unpack(stored)


@given(st.binary())
def test_damage_is_told_as_damage(data):
    with pytest.raises(Corrupt):
        record.unpack(b"\x01" + data)


@pytest.mark.parametrize("stored", [b"", b"\0\0\0", b"\0\0\0\0\1"])
def test_an_id_has_four_bytes(stored):
    with pytest.raises(Corrupt):
        record.unpack_id(stored)
