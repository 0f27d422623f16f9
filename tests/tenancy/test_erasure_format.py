"""The formats of erasures and certificates: what version 1 wrote is read, and verified, for ever (docs/formats/erasure.md)."""

import json
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from isotherm.errors import Corrupt, Invalid, Unsupported
from isotherm.tenancy.erasure import record
from isotherm.tenancy.erasure.certificate import Signed, Signer, canonical, moment, verify
from isotherm.tenancy.erasure.record import Erasure, Issued

OLD = (
    b'\x01{"tenant":17,"path":"acme/research","above":[1,2],"began_ms":1700000000000,"within":2,"access_key":"ISOTA",'
    b'"by":2,"roles":["admin"],"request":"0011","remote":"192.0.2.7","sealed":true,"key_destroyed_ms":1700000000001,'
    b'"cleared_ms":1700000000002,"counts":{"rows":3,"versions":2}}'
)
OLD_ISSUED = b'\x01{"tenant":17,"above":[1,2],"certificate":%s}'
PUBLIC_KEY = "3e74f434ea1308200101cf2725249006c67ccc42cd8f981988acb34d3cbad776"
SIGNATURE = (
    "3803c9e2f80025a786ee46f26d4cdb80ddaa758fa8f9fe3923704876fc42c475"
    "1286965dbfa6f23aa0a5ee62eb641b4a56d6f295f3d01d24dc33a3d16c916e0d"
)
STATEMENT = {"type": "isotherm.erasure", "format": 1, "tenant": {"id": 17, "path": "acme/é"}, "counts": [1, None, True]}


def test_a_record_of_version_1_is_read():
    erasure = record.unpack_erasure(OLD)
    assert erasure == Erasure(
        tenant=17,
        path="acme/research",
        above=(1, 2),
        began_ms=1_700_000_000_000,
        within=2,
        access_key="ISOTA",
        by=2,
        roles=["admin"],
        request="0011",
        remote="192.0.2.7",
        sealed=True,
        key_destroyed_ms=1_700_000_000_001,
        cleared_ms=1_700_000_000_002,
        counts={"rows": 3, "versions": 2},
    )
    assert json.loads(record.pack(erasure)[1:]) == json.loads(OLD[1:])


def test_a_certificate_of_version_1_is_read_and_verified():
    signed = {"statement": STATEMENT, "public_key": PUBLIC_KEY, "signature": SIGNATURE}
    issued = record.unpack_issued(OLD_ISSUED % json.dumps(signed).encode())
    assert (issued.tenant, issued.above, issued.purge) == (17, (1, 2), None)
    verify(issued.certificate, bytes.fromhex(PUBLIC_KEY))
    assert Signer(bytes(range(32))).sign(STATEMENT) == issued.certificate, "and signed the same again"


def test_a_stranger_verifies_it_by_other_means():
    said = json.dumps(STATEMENT, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    key = Ed25519PublicKey.from_public_bytes(bytes.fromhex(PUBLIC_KEY))
    key.verify(bytes.fromhex(SIGNATURE), said)
    assert sha256(said).digest() == sha256(canonical(STATEMENT)).digest()


def test_rows_lie_where_they_always_lay():
    assert record.erasure_row(17) == b"\0\0\0\0x\0\0\0\x11"
    assert record.certificate_row(17) == b"\0\0\0\0z\0\0\0\x11"
    assert record.dead_row(17, 5) == b"\0\0\0\0d\0\0\0\x11\0\0\0\0\0\0\0\x05"
    assert record.dead_place(record.dead_row(17, 5)) == (17, 5)
    assert record.rows_of(17) == (b"\0\0\0\x11", b"\0\0\0\x12")


@pytest.mark.parametrize("read", [record.unpack_erasure, record.unpack_issued])
def test_what_is_no_record_is_refused(read):
    with pytest.raises(Unsupported):
        read(b"\x02{}")
    for damaged in (b"\x01", b"\x01{", b"\x01{}", b"\x01[]", b'\x01{"tenant":"x"}', b"\x01\xff"):
        with pytest.raises(Corrupt):
            read(damaged)
    with pytest.raises(Corrupt):
        record.dead_place(record.dead_row(1, 1) + b"x")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
)


@given(st.dictionaries(st.text("abc", min_size=1), VALUES, min_size=1), st.data())
def test_any_statement_survives_printing_and_no_change_does(statement, data):
    signer = Signer(bytes(32))
    signed = signer.sign(statement)
    printed = json.loads(json.dumps(statement, indent=3))
    verify(Signed(statement=printed, public_key=signed.public_key, signature=signed.signature), signer.public_key)
    name = data.draw(st.sampled_from(sorted(statement)))
    changed = {**statement, name: [statement[name], "changed"]}
    with pytest.raises(Corrupt):
        verify(Signed(statement=changed, public_key=signed.public_key, signature=signed.signature), signer.public_key)


def test_another_store_cannot_sign_for_this_one():
    ours, theirs = Signer(bytes(32)), Signer(bytes(31) + b"\1")
    forged = theirs.sign(STATEMENT)
    with pytest.raises(Corrupt):
        verify(forged, ours.public_key)
    with pytest.raises(Corrupt):
        verify(
            Signed(statement=STATEMENT, public_key=ours.public_key.hex(), signature=forged.signature), ours.public_key
        )
    with pytest.raises(Corrupt):
        verify(Signed(statement=STATEMENT, public_key=ours.public_key.hex(), signature="no hex"), ours.public_key)
    with pytest.raises(Invalid):
        verify(forged, b"short")


def test_times_are_told_in_utc_with_milliseconds():
    assert moment(1_700_000_000_007) == "2023-11-14T22:13:20.007Z"
    assert isinstance(
        record.unpack_issued(record.pack(Issued(tenant=1, above=(), certificate=Signer(bytes(32)).sign({})))), Issued
    )
