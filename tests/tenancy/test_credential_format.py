"""The format of credential records: a record written by the first version is read for ever (docs/formats/identity.md)."""

from isotherm.tenancy import credential_record as record

ROOT_KEY = bytes(range(32))
OLD = bytes.fromhex(
    "0100000000010000018bcfe568000000000000000000953dbe50ec5c24386465666768696a6b6c6d6e6f0038001d3b68ad15"
    "0a9a25ed4d112c9ba916198e31b17579f81f8001d4a2df3b88d0d63be79a33b33f61e877c7141ccb3854b1632bfd19d802de"
    "e1d8726f6f742c206d61646520627920746865206669727374207374617274"
)


def test_a_record_of_version_1_is_read():
    row = record.unpack(OLD)
    assert (row.state, row.tenant, row.created_ms, row.ends_ms) == (record.ACTIVE, 1, 1_700_000_000_000, 0)
    assert row.description == "root, made by the first start"
    assert record.unseal(ROOT_KEY, row, "ISOTABCDEFGHIJKLMNOP") == "s" * 40
    assert row.pack() == OLD
