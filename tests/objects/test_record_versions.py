"""Records as they were written: version 1, and version 2, which refers to sealed extents; a later one is refused."""

import pytest

from isotherm.errors import Unsupported
from isotherm.objects.entries import as_entries, as_entry
from isotherm.objects.model import Algorithm, Attributes, Checksum
from isotherm.objects.records import decode_part, decode_record, encode_part, encode_record, sole_extent
from isotherm.segments.port import Extent

VERSION_1 = bytes.fromhex(
    "6465666768696a6b6c6d6e6f70717273011f45331a0200000000000000050000018bcfe56800000102030405060708090a0b"
    "0c0d0e0f000000007265666572656e630000000102010000010000000000000000000000005d000000000000000500000007"
    "9581ac636f6e74656e742d74797065aa746578742f706c61696e81a161a16281a3746167a576616c7565c4043132333400"
)
PART_1 = bytes.fromhex(
    "01b02197c69705cf0000018bcfe56800c410000102030405060708090a0b0c0d0e0f0000c400c41c00000100000000000000"
    "00000000005d000000000000000500000007"
)
VERSION_2 = bytes.fromhex(
    "6465666768696a6b6c6d6e6f7071727302a76eda4f0200000000000000050000018bcfe56800000102030405060708090a0b"
    "0c0d0e0f000000007265666572656e630000000102010000010000000000000000000000005d800000000000000500000007"
    "9581ac636f6e74656e742d74797065aa746578742f706c61696e81a161a16281a3746167a576616c7565c4043132333400"
)
PART_2 = bytes.fromhex(
    "02796f575e9705cf0000018bcfe56800c410000102030405060708090a0b0c0d0e0f0000c400c41c00000100000000000000"
    "00000000005d800000000000000500000007"
)
PLAIN = Extent(1 << 40, 93, 5, 7)
SEALED = Extent(1 << 40, 93, 5, 7, True)
CASES = [(VERSION_1, PART_1, PLAIN, 1), (VERSION_2, PART_2, SEALED, 2)]


@pytest.mark.parametrize(("row", "part", "extent", "version"), CASES)
def test_a_record_reads_as_it_was_written(row, part, extent, version):
    assert row[16] == part[0] == version
    record = decode_record(row)
    assert record.extents == (extent,)
    assert record.size == 5
    assert record.etag == bytes(range(16))
    assert record.attributes == Attributes({"content-type": "text/plain"}, {"a": "b"})
    assert record.checksum == Checksum(Algorithm.CRC32C, b"1234")
    assert row[:16] + encode_record(record) == row
    assert sole_extent(row) == extent
    stored = decode_part(part, 3)
    assert list(stored.extents) == [extent]
    assert encode_part(stored, bytes(range(16)), 0) == part


def test_records_of_both_versions_are_listed_together():
    rows = [VERSION_1, VERSION_2, VERSION_1]
    listed = as_entries(rows, [b"a", b"b", b"c"])
    assert [entry.key for entry in listed] == ["a", "b", "c"]
    assert {entry.size for entry in listed} == {5}
    assert listed == [as_entry(row, key, True) for row, key in zip(rows, (b"a", b"b", b"c"), strict=True)]


def test_a_record_of_a_later_version_is_refused():
    with pytest.raises(Unsupported):
        decode_record(VERSION_2[:16] + b"\x03" + VERSION_2[17:])
    assert sole_extent(VERSION_2[:16] + b"\x03" + VERSION_2[17:]) is None
