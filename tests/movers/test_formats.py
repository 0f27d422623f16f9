"""Rows and backups that version 1 wrote, checked in: they are read as docs/formats/ says, and written the same again."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from awscrt.checksums import crc32c

from isotherm.devices.waiting import drive
from isotherm.errors import Corrupt, Unsupported
from isotherm.movers.backup import layout as backup_layout
from isotherm.objects import layout, records
from isotherm.objects.events import decode_event
from isotherm.objects.model import Versioning
from tests.movers.stores import change, checked_at, kinds, opened, space_of
from tests.movers.test_backup import backed_up, put, read, restored
from tests.objects.stores import payload, rows_of

DATA = Path(__file__).parent / "data"
STORED = json.loads((DATA / "rows-1.json").read_text())
TABLES = {
    letter: {bytes.fromhex(key): bytes.fromhex(value) for key, value in rows}
    for letter, rows in STORED["tables"].items()
}
VERSIONS = [*TABLES["L"].values(), *TABLES["V"].values()]
BUCKET_2 = "02fc7cd00c954d050181a161a162c4036b6579"
HELD = {("plain", "many tags"): b"tagged", ("plain", "copy"): b"second"}


def by_the_page(row):
    """A version's record taken apart by docs/formats/object-records.md alone."""
    number = int.from_bytes
    assert number(row[17:21], "big") == crc32c(row[21:])
    extents, at = row[71], 72 + 28 * row[71]
    manifest, at = (row[at : at + 16], at + 16) if row[21] & 8 else (b"", at)
    tag_set, at = (row[at : at + 16], at + 16) if row[21] & 16 else (b"", at)
    headers, metadata, tags, checksum, checksum_parts = msgspec.msgpack.decode(row[at:])
    return {
        "stamp": row[:16],
        "flags": row[21],
        "size": number(row[22:30], "big"),
        "modified_ms": number(row[30:38], "big"),
        "etag": row[38:54],
        "etag_parts": number(row[54:56], "big"),
        "parts": number(row[56:58], "big"),
        "reference": row[58:66],
        "tag_count": number(row[66:70], "big"),
        "algorithm": row[70],
        "extents": [row[72 + 28 * n : 72 + 28 * (n + 1)] for n in range(extents)],
        "manifest": manifest,
        "tag_set": tag_set,
        "headers": headers,
        "metadata": metadata,
        "tags": tags,
        "checksum": (checksum, checksum_parts),
    }


@pytest.mark.parametrize("row", VERSIONS, ids=range(len(VERSIONS)))
def test_versions(row):
    page, record = by_the_page(row), records.decode_record(row)
    assert row[16] == records.VERSION == 1
    for field in ("stamp", "flags", "size", "modified_ms", "etag", "etag_parts", "parts", "reference", "tag_count"):
        assert page[field] == getattr(record, field), field
    assert (page["manifest"], page["tag_set"], page["tags"]) == (record.manifest, record.tag_set, record.tags)
    assert page["extents"] == [extent.pack() for extent in record.extents]
    assert (page["headers"], page["metadata"]) == (record.attributes.headers, record.attributes.metadata)
    if record.checksum is not None:
        assert page["checksum"] == (record.checksum.value, record.checksum.parts)
    assert row == record.stamp + records.encode_record(record)


def test_every_kind_of_version_is_among_them():
    flags = {row[21] for row in VERSIONS}
    assert {1, 2, 4, 8, 16} <= {bit for mask in flags for bit in (1, 2, 4, 8, 16) if mask & bit}
    assert {row[70] for row in VERSIONS} >= {0, 2, 5 + 128}


def test_buckets_uploads_parts_and_manifests():
    for key, row in TABLES["B"].items():
        bucket = records.decode_bucket(row, key[5:].decode())
        assert (row[0], bucket.counted) == (1, b""), "usage of a bucket of version 1 is not counted"
        again = records.encode_bucket(replace(bucket, counted=b"k"))
        assert (again[0], msgspec.msgpack.decode(again[5:])) == (2, [*msgspec.msgpack.decode(row[5:]), b"k"])
        assert TABLES["b"][layout.bucket_name_row(1, bucket.id)] == bucket.name.encode()
    assert records.decode_bucket(TABLES["B"][layout.bucket_row(1, "kept")], "kept").versioning is Versioning.ENABLED
    for row in TABLES["U"].values():
        assert records.encode_upload(records.decode_upload(row, "", "")) == row
    for key, row in TABLES["P"].items():
        part = records.decode_part(row, int.from_bytes(key[-2:], "big"))
        digest, _, number = part.etag.partition("-")
        assert records.encode_part(part, bytes.fromhex(digest), int(number or 0)) == row
    for row in TABLES["M"].values():
        index = records.decode_index(row)
        assert index == [(1, 900), (2, 900)]
        assert records.encode_index(index) == row


def test_a_bucket_of_version_2():
    row = bytes.fromhex(BUCKET_2)
    bucket = records.decode_bucket(row, "name")
    assert (bucket.id, bucket.created_ms, bucket.versioning) == (77, 5, Versioning.ENABLED)
    assert (dict(bucket.tags), bucket.counted) == ({"a": "b"}, b"key")
    assert records.encode_bucket(bucket) == row
    assert records.decode_bucket(records.encode_bucket(replace(bucket, counted=None)), "name").counted is None


def test_keys_of_versions_lead_to_their_stamps():
    for key, row in TABLES["V"].items():
        bucket, raw_key = int.from_bytes(key[5:13], "big"), layout.unescape(key[13:])[0]
        assert layout.version_row(1, bucket, raw_key, row[:16]) == key
    for key, stamp in TABLES["I"].items():
        assert key[-16:] == bytes(255 - byte for byte in stamp)


def test_tags_in_rows_of_their_own():
    for key, row in TABLES["G"].items():
        name, value = msgspec.msgpack.decode(row[5:])
        assert key == layout.tag_set(1, key[5:21]) + layout.tag_component(name)
        assert row == records.encode_tag(name, value)


def test_the_feed():
    told = [msgspec.msgpack.decode(bytes.fromhex(value)) for _, value in STORED["feed"]]
    assert [record[:2] for record in told] == [[1, 1]] * len(told)
    assert {record[2] for record in told} == {"put", "marker", "versioning", "bucket-created", "bucket-tags"}
    for cursor, value in STORED["feed"]:
        event = decode_event(bytes.fromhex(value))
        if event.kind == "put" and event.bucket == "kept" and event.key == "a":
            assert bytes.fromhex(cursor) in {row[:16] for row in VERSIONS}


@pytest.mark.parametrize("table", "LBUPMG")
def test_rows_of_a_later_format_are_refused_and_broken_ones_are_corrupt(table):
    decode = {
        "L": records.decode_record,
        "B": lambda row: records.decode_bucket(row, "name"),
        "U": lambda row: records.decode_upload(row, "", ""),
        "P": lambda row: records.decode_part(row, 1),
        "M": records.decode_index,
        "G": records.decode_tag,
    }[table]
    row = next(iter(TABLES[table].values()))
    at = 16 if table == "L" else 0
    assert row[at] == 1
    with pytest.raises(Unsupported):
        decode(row[:at] + b"\x03" + row[at + 1 :])
    flipped = [row[:n] + bytes((row[n] ^ 16,)) + row[n + 1 :] for n in range(at + 1, len(row))]
    for broken in (b"", row[: len(row) // 2], *flipped):
        with pytest.raises(Corrupt):
            decode(broken)


@pytest.fixture
def old_backup(tmp_path):
    with zipfile.ZipFile(DATA / "backup-1.zip") as archive:
        archive.extractall(tmp_path / "old")
    return tmp_path / "old"


def test_a_backup_of_format_1_is_restored(old_backup, tmp_path):
    assert backup_layout.generations(old_backup) == [1, 2]
    for generation, more in ((1, {}), (2, {("plain", "second generation"): b"2"})):
        place = tmp_path / f"of {generation}"
        report = restored(old_backup, place, generation=generation)
        assert kinds(report.checked) == {}
        there = {name[:2]: data for name, data in read(place).items() if name[0] == "plain"}
        assert there == {**HELD, ("plain", "parts"): payload(900, 1) + payload(900, 2), **more}
        assert kinds(checked_at(place, tmp_path)) == {}


def test_the_rows_of_a_restored_old_store_are_those_that_were_written(old_backup, tmp_path):
    restored(old_backup, tmp_path / "again", generation=1)
    engines = opened(tmp_path / "again", seed=3)
    assert rows_of(engines) == TABLES
    engines.close()


def test_an_old_backup_directory_takes_new_generations(old_backup, tmp_path):
    restored(old_backup, tmp_path / "again")
    put(tmp_path / "again", "third generation", b"3")
    made = backed_up(tmp_path / "again", old_backup)
    assert made.manifest.generation == 3
    assert kinds(restored(old_backup, tmp_path / "third").checked) == {}


def test_a_row_of_a_later_format_is_no_reason_to_drop_anything(old_backup, tmp_path):
    """What this program cannot read, it leaves alone, and says so."""
    restored(old_backup, tmp_path / "again")
    engines = opened(tmp_path / "again", seed=3)
    bucket = drive(space_of(engines).bucket("plain")).id
    row = layout.live_row(1, bucket, b"copy")
    value = drive(engines.meta.get(row))
    change(engines, {row: value[:16] + b"\x03" + value[17:]})
    engines.close()
    report = checked_at(tmp_path / "again", tmp_path)
    assert report.exit_code == 2
    assert "row-damaged" in kinds(report)
