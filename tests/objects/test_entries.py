"""A page of a listing is decoded at once, and says the same as its rows one by one."""

import pytest

from isotherm.errors import Corrupt, Unsupported
from isotherm.objects.entries import as_entries, as_entry
from isotherm.objects.model import Algorithm, Attributes, Checksum
from isotherm.objects.records import MARKER, NO_ID, NO_REFERENCE, NULL, Record, encode_record

ETAG = bytes(range(16))


def row(number, *, flags=NULL, etag_parts=0, checksum=None):
    record = Record(
        *(flags, number, 1_700_000_000_000 + number, ETAG, etag_parts, etag_parts, NO_REFERENCE, 0, (), NO_ID, NO_ID),
        *(Attributes({"content-type": "text/plain"}), {}, checksum),
    )
    return number.to_bytes(16, "big") + encode_record(record)


KINDS = [
    row(1),
    row(2, flags=0),
    row(3, etag_parts=7),
    row(4, checksum=Checksum(Algorithm.SHA256, bytes(32))),
    row(5, checksum=Checksum(Algorithm.CRC32, b"1234", 3)),
]


@pytest.mark.parametrize("rows", [[], KINDS, KINDS[::-1], [*KINDS, row(6, flags=MARKER)]])
def test_a_page_is_its_rows(rows):
    keys = [f"k/{number}é".encode() for number in range(len(rows))]
    assert as_entries(rows, keys) == [as_entry(each, key, True) for each, key in zip(rows, keys, strict=True)]


def test_what_cannot_be_read_is_named():
    with pytest.raises(Corrupt, match="k1"):
        as_entries([KINDS[0], KINDS[1][:40], KINDS[2]], [b"k0", b"k1", b"k2"])


def test_a_row_of_tomorrow_is_not_guessed_at():
    tomorrow = KINDS[1][:16] + b"\x03" + KINDS[1][17:]
    with pytest.raises(Unsupported):
        as_entries([KINDS[0], tomorrow], [b"k0", b"k1"])
