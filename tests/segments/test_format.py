"""The bytes of segments: a checked-in old file must stay readable, and what is not understood is refused."""

import shutil
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotherm.devices.drive import SystemDrive
from isotherm.devices.waiting import drive
from isotherm.errors import Corrupt, Invalid, Unsupported, VersionMismatch
from isotherm.segments import format as codec
from isotherm.segments.accounting import SegmentRow, State, unpack_row
from isotherm.segments.port import Extent, Media, unpack_extents
from isotherm.segments.scan import FileSource, Gap, SegmentScan
from tests.segments import rigs

DATA = Path(__file__).parent / "data"
APPENDED = 0xFD3FEB3C9250B797
STREAMED = 0x4A9B528B69636321
OLD = {
    Extent(APPENDED, 71, 1, 1383945041): b"xname 1",
    Extent(APPENDED, 114, 4_096, 2951515563): b"xname 4096",
    Extent(APPENDED, 4_253, 65_536, 2355973374): b"xname 65536",
    Extent(APPENDED, 69_832, 65_537, 2000620157): b"xname 65537",
    Extent(STREAMED, 4_096, 70_000, 170793930): b"xstream",
}


def pattern(size):
    return bytes(number * 7 % 251 for number in range(size))


def scan(path, segment):
    device = SystemDrive()
    return SegmentScan(FileSource(device.open(path, 0), path, device), segment)


@pytest.mark.parametrize("segment", [APPENDED, STREAMED])
def test_a_file_of_version_1_walks_as_it_was_written(segment):
    with scan(DATA / f"{segment:016x}.seg", segment) as old:
        found = list(old.walk())
        assert {header.extent(segment): header.owner for header in found} == {
            extent: owner for extent, owner in OLD.items() if extent.segment == segment
        }
        for header in found:
            read = bytearray()
            old.verified(header.extent(segment), read.extend)
            assert read == pattern(header.length)
        assert found[-1].end == old.size


def test_a_file_of_version_1_reads_as_it_was_written(tmp_path):
    (tmp_path / "fast").mkdir()
    for path in DATA.glob("*.seg"):
        shutil.copy(path, tmp_path / "fast")
    with rigs.opened(tmp_path) as rig:
        for extent in OLD:
            assert drive(rig.segments.read(extent, 0, extent.length)) == pattern(extent.length)


def test_a_reference_is_28_bytes():
    assert next(iter(OLD)).pack() == bytes.fromhex("fd3feb3c9250b79700000000000000470000000000000001527d5351")
    assert unpack_extents(b"".join(extent.pack() for extent in OLD)) == list(OLD)


ROW = bytes.fromhex("0102020000000000000100010000000000000003000000000002000000000000000201000000018bcfe56800")


def test_a_row_of_version_1_reads_as_it_was_written():
    row = SegmentRow(Media.CAPACITY, State.SEALED, 65_537, 3, 131_072, 131_328, 1_700_000_000_000)
    assert unpack_row(ROW) == row
    assert row.pack() == ROW


def test_rows_of_another_version_are_refused_and_damaged_ones_are_damage():
    with pytest.raises(VersionMismatch):
        unpack_row(b"\x02" + ROW[1:])
    for damaged in (ROW[:-1], ROW[:1] + b"\x07" + ROW[2:], ROW[:2] + b"\x07" + ROW[3:]):
        with pytest.raises(Corrupt):
            unpack_row(damaged)


def test_the_checksum_is_castagnolis():
    assert codec.crc32c(b"123456789") == 0xE3069283
    assert codec.crc32c(b"6789", codec.crc32c(b"12345")) == 0xE3069283


@given(
    owner=st.binary(min_size=1, max_size=codec.OWNER_BYTES_MOST),
    length=st.integers(1, 256 << 20),
    check=st.integers(0, 2**32 - 1),
    at=st.integers(32, 2**40),
    aligned=st.booleans(),
    behind=st.binary(max_size=20),
)
def test_a_header_comes_back_as_it_was(owner, length, check, at, aligned, behind):
    padding = codec.padding_for(at, owner) if aligned else 0
    head = codec.encode_extent_header(owner, length, check, padding)
    header = codec.decode_extent_header(head + behind, at)
    assert (header.owner, header.length, header.check) == (owner, length, check)
    assert header.payload_at == at + len(head)
    assert not aligned or header.payload_at % 4_096 == 0


@given(owner=st.binary(min_size=1, max_size=50), place=st.integers(0, 10_000), change=st.integers(1, 255))
def test_a_changed_header_is_none(owner, place, change):
    head = bytearray(codec.encode_extent_header(owner, 1_000, 7))
    head[place % len(head)] ^= change
    assert codec.decode_extent_header(bytes(head), 32) is None


@given(st.binary(max_size=5_000))
def test_any_bytes_are_a_header_or_none(data):
    assert codec.decode_extent_header(data, 32) is None
    assert codec.decode_extent_header(codec.EXTENT_MAGIC + data, 32) is None
    with pytest.raises(Corrupt):
        codec.decode_file_header(data, 7)


def resealed(head, place, value):
    """A header with other contents, and a checksum that fits them."""
    changed = bytearray(head)
    changed[place : place + len(value)] = value
    crc = codec.crc32c(bytes(changed[codec.EXTENT_HEADER_BYTES :]), codec.crc32c(bytes(changed[:28])))
    changed[28:32] = struct.pack(">I", crc)
    return bytes(changed)


@pytest.mark.parametrize(("place", "value"), [(4, b"\x02"), (6, b"\x00\x02"), (6, b"\x80\x00")])
def test_extents_of_another_format_are_refused(place, value):
    head = codec.encode_extent_header(b"owner", 1_000, 7)
    with pytest.raises(Unsupported):
        codec.decode_extent_header(resealed(head, place, value), 32)


@pytest.mark.parametrize(("place", "value"), [(12, bytes(8)), (12, b"\xff" * 8), (12, (2**28 + 1).to_bytes(8, "big"))])
def test_impossible_lengths_are_no_header(place, value):
    head = codec.encode_extent_header(b"owner", 1_000, 7)
    assert codec.decode_extent_header(resealed(head, place, value), 32) is None


@pytest.mark.parametrize(("place", "value"), [(8, b"\x02"), (9, b"\x03"), (10, b"\x00\x01")])
def test_segments_of_another_format_are_refused(place, value):
    head = bytearray(codec.encode_file_header(7, Media.CAPACITY))
    head[place : place + len(value)] = value
    head[28:] = struct.pack(">I", codec.crc32c(bytes(head[:28])))
    with pytest.raises(Unsupported):
        codec.decode_file_header(bytes(head), 7)


def test_a_segment_under_anothers_name_is_refused(tmp_path):
    (tmp_path / "fast").mkdir()
    shutil.copy(DATA / f"{APPENDED:016x}.seg", tmp_path / "fast" / f"{7:016x}.seg")
    with rigs.opened(tmp_path) as rig, pytest.raises(Corrupt):
        drive(rig.segments.read(Extent(7, 71, 1, 1383945041), 0, 1))


@pytest.mark.parametrize("owner", [b"", bytes(2_501)])
def test_owners_have_a_length(owner):
    with pytest.raises(Invalid):
        codec.check_owner(owner)


def test_a_walk_passes_over_damage_and_forgeries(tmp_path):
    """A damaged header, and behind it payload that imitates headers: some with wrong payload, some of unknown format."""
    forged = codec.encode_extent_header(b"xforged", 20, 12345) * 3
    unknown = resealed(codec.encode_extent_header(b"xunknown", 5, 1), 4, b"\x09") + b"IsoX" * 10
    whole = codec.encode_extent_header(b"xinner", 5, codec.crc32c(b"inner")) + b"inner"
    hidden = forged + unknown + whole + b"IsoX"
    parts = [codec.encode_file_header(7, Media.CAPACITY)]
    for owner, data in ((b"xfirst", b"1" * 100), (b"xhidden", hidden), (b"xlast", b"3" * 100)):
        parts += [codec.encode_extent_header(owner, len(data), codec.crc32c(data)), data]
    content = bytearray(b"".join(parts) + b"IsoX torn tail")
    damaged_at = len(parts[0]) + len(parts[1]) + len(parts[2])
    content[damaged_at + 9] ^= 1
    path = tmp_path / "0000000000000007.seg"
    path.write_bytes(content)
    with scan(path, 7) as damaged:
        found = list(damaged.walk())
        assert [part.owner for part in found if not isinstance(part, Gap)] == [b"xfirst", b"xinner", b"xlast"]
        gaps = [part for part in found if isinstance(part, Gap)]
        assert [gap.length for gap in gaps] == [len(parts[3]) + len(hidden) - len(whole) - 4, 4, len(b"IsoX torn tail")]
        totals = damaged.totals()
        assert (totals.payload, totals.extents, totals.gaps) == (205, 3, sum(gap.length for gap in gaps))
        assert totals.end == len(content) - len(b"IsoX torn tail")


@pytest.mark.parametrize("kept", [1, 99])
def test_an_extent_that_the_file_does_not_hold_whole_is_a_gap(tmp_path, kept):
    head = codec.encode_extent_header(b"xowner", 100, codec.crc32c(bytes(100)))
    path = tmp_path / "0000000000000007.seg"
    path.write_bytes(codec.encode_file_header(7, Media.CAPACITY) + (head + bytes(100)) * 2)
    whole = path.stat().st_size
    with path.open("r+b") as file:
        file.truncate(whole - 100 + kept)
    with scan(path, 7) as torn:
        first, gap = torn.walk()
        assert (first.end, gap) == (32 + len(head) + 100, Gap(32 + len(head) + 100, len(head) + kept))


@given(st.lists(st.tuples(st.binary(max_size=40), st.booleans()), max_size=6))
def test_every_byte_of_any_file_is_in_an_extent_or_a_gap(tmp_path_factory, parts):
    content = codec.encode_file_header(7, Media.CAPACITY)
    for data, whole in parts:
        head = codec.encode_extent_header(b"xo", max(len(data), 1), codec.crc32c(data or b"?"))
        content += head + (data or b"?") if whole else data
    path = tmp_path_factory.mktemp("any") / "0000000000000007.seg"
    path.write_bytes(content)
    with scan(path, 7) as any_file:
        at = codec.FILE_HEADER_BYTES
        for part in any_file.walk():
            assert part.at == at
            at = part.at + part.length if isinstance(part, Gap) else part.end
        assert at == len(content)
