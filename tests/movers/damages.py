"""Ways to damage a store, each named by the finding it must lead to.

A damage is a function of (engines, path): it changes rows of the metadata through `engines`, or returns a function that
changes files once the engines are closed.
"""

from __future__ import annotations

from msgspec.structs import replace

from isotherm.devices.waiting import drive
from isotherm.meta.port import invert
from isotherm.movers.counting import parts_bytes
from isotherm.objects import layout
from isotherm.objects.layout import FEED
from isotherm.objects.records import decode_index, decode_part, decode_record, encode_index, encode_record, encode_tag
from isotherm.segments.accounting import (
    SegmentRow,
    State,
    emptied_key,
    live_key,
    reference_key,
    row_key,
    unpack_row,
)
from isotherm.segments.format import (
    FILE_HEADER_BYTES,
    crc32c,
    encode_extent_header,
    encode_file_header,
)
from isotherm.segments.port import Extent, Media
from isotherm.segments.scan import Gap
from isotherm.tenancy.quota import Quota
from isotherm.tenancy.usage import Tally
from tests.movers.stores import change, files, flip, space_of
from tests.objects.stores import rows_of

NOWHERE = 0x1234
MENDED, UNMENDED = {}, {}
"""Kind → damage: what `--repair` mends, and what it cannot."""


def mended(damage):
    MENDED[damage.__name__.replace("_", "-")] = damage
    return damage


def unmended(damage):
    UNMENDED[damage.__name__.replace("_", "-")] = damage
    return damage


def bucket_of(engines, name):
    return drive(space_of(engines).bucket(name)).id


def live(engines, bucket, key):
    """(row, record) of a live version."""
    row = layout.live_row(1, bucket_of(engines, bucket), key.encode())
    return row, decode_record(drive(engines.meta.get(row)))


def rewrite(engines, bucket, key, **fields):
    row, record = live(engines, bucket, key)
    change(engines, {row: record.stamp + encode_record(replace(record, **fields))})


def first(table):
    return min(table.items())


def segment_with(engines, bucket="plain", key="key 0010"):
    """The extent of an object that lies with others in a segment."""
    return live(engines, bucket, key)[1].extents[0]


def file_of(path, segment):
    return files(path)[f"{segment:016x}.seg"]


# metadata


@mended
def bucket_name_missing(engines, path):
    change(engines, {first(rows_of(engines)["b"])[0]: None})


@mended
def bucket_name_stale(engines, path):
    change(engines, {layout.bucket_name_row(1, 77): b"nobody"})


@unmended
def bucket_missing(engines, path):
    change(engines, {layout.bucket_row(1, "paused"): None})


@unmended
def history_broken(engines, path):
    """The live row of a key goes: its newest version is not current."""
    bucket = bucket_of(engines, "kept")
    versions = layout.versions_of(1, bucket, b"key 0")
    pairs = drive(engines.meta.range(versions, layout.successor(versions), 1))
    change(engines, {layout.live_row(1, bucket, b"key 0"): pairs[0][1]})


@mended
def null_missing(engines, path):
    change(engines, {first(rows_of(engines)["N"])[0]: None})


@mended
def null_stale(engines, path):
    change(engines, {layout.null_row(1, bucket_of(engines, "plain"), b"key 0010"): bytes(16)})


@unmended
def stamp_ahead(engines, path):
    row, record = live(engines, "paused", "key 3")
    change(engines, {row: b"\xfe" * 16 + encode_record(record)})


@unmended
def size_differs(engines, path):
    rewrite(engines, "plain", "key 0010", size=371)


@unmended
def row_damaged(engines, path):
    row, _ = live(engines, "plain", "key 0010")
    change(engines, {row: drive(engines.meta.get(row))[:-9]})


@unmended
def row_unknown(engines, path):
    change(engines, {layout.table(1, b"Z") + b"from the future": b"?"})


# manifests


@unmended
def manifest_missing(engines, path):
    change(engines, {layout.manifest_row(1, live(engines, "plain", "whole")[1].manifest): None})


@unmended
def part_missing(engines, path):
    change(engines, {layout.part_row(1, live(engines, "plain", "whole")[1].manifest, 2): None})


@unmended
def manifest_differs(engines, path):
    row = layout.manifest_row(1, live(engines, "plain", "whole")[1].manifest)
    (one, size), (two, other), last = decode_index(drive(engines.meta.get(row)))
    change(engines, {row: encode_index([(one, size + 1), (two, other - 1), last])})


@mended
def manifest_condemned(engines, path):
    manifest = live(engines, "plain", "whole")[1].manifest
    change(engines, {layout.garbage_row(1, b"m", manifest): bytes(16)})


@mended
def manifest_unprotected(engines, path):
    _, record = live(engines, "kept", "whole copy")
    change(engines, {layout.manifest_references(1, record.manifest) + record.reference: None})


@mended
def manifest_orphan(engines, path):
    """An upload forgets its row, and nobody is charged for it any longer; the parts stay."""
    row = first(rows_of(engines)["U"])[0]

    async def forget(txn):
        prefix, tally = layout.parts_of(1, row[-16:]), Tally()
        tally.ended(parts_bytes(await txn.range(prefix, layout.successor(prefix), 100)))
        await Quota().charge(txn, 1, tally)
        txn.delete(row)

    drive(engines.meta.transact(forget))


@mended
def reference_stale(engines, path):
    _, record = live(engines, "kept", "whole copy")
    change(engines, {layout.manifest_references(1, record.manifest) + b"somebody": b""})


# tags


@unmended
def tags_differ(engines, path):
    rewrite(engines, "plain", "key 0010", tag_count=3)


@mended
def tag_unindexed(engines, path):
    change(engines, {first(rows_of(engines)["I"])[0]: None})


@mended
def tag_index_stale(engines, path):
    stamp = live(engines, "plain", "key 0010")[1].stamp
    position = layout.tag_position(bucket_of(engines, "plain"), b"key 0010", stamp)
    change(engines, {layout.tag_index(1, "never", "set") + position: stamp})


@mended
def tag_set_orphan(engines, path):
    prefix = layout.tag_set(1, b"a set of nobody!")
    change(engines, {prefix + layout.tag_component(name): encode_tag(name, "v") for name in "abc"})


# segments


@unmended
def segment_missing(engines, path):
    segment = segment_with(engines).segment
    return lambda: file_of(path, segment).unlink()


@unmended
def segment_unreadable(engines, path):
    segment = segment_with(engines).segment
    return lambda: flip(file_of(path, segment), 3)


@mended
def segment_unknown(engines, path):
    change(engines, {row_key(segment_with(engines).segment): None})


@unmended
def segment_short(engines, path):
    manifest = live(engines, "plain", "large")[1].manifest
    extent = decode_part(drive(engines.meta.get(layout.part_row(1, manifest, 1))), 1).extents[0]

    def cut():
        file = file_of(path, extent.segment)
        file.write_bytes(file.read_bytes()[: extent.offset + 10])

    return cut


@unmended
def extent_damaged(engines, path):
    extent = segment_with(engines)
    return lambda: flip(file_of(path, extent.segment), extent.offset + extent.length // 2)


@unmended
def extent_unmarked(engines, path):
    """The header's check of itself: what it says is true, but nothing proves it."""
    _, record = live(engines, "plain", "key 0010")
    extent = record.extents[0]
    owner = layout.object_owner(1, bucket_of(engines, "plain"), record.reference, b"key 0010")
    return lambda: flip(file_of(path, extent.segment), extent.offset - len(owner) - 1)


@unmended
def extent_overlaps(engines, path):
    extent = segment_with(engines)
    other = Extent(extent.segment, extent.offset + 5, extent.length, extent.check)
    rewrite(engines, "plain", "key 0011", extents=(other,), size=extent.length)


@mended
def extent_unprotected(engines, path):
    change(engines, {first(rows_of(engines, tenant=0)["R"])[0]: None})


@unmended
def digest_differs(engines, path):
    rewrite(engines, "plain", "key 0010", etag=bytes(16))


@mended
def live_too_low(engines, path):
    add(engines, -100)


@mended
def live_too_high(engines, path):
    add(engines, 100)


def add(engines, count):
    async def commit(txn):
        txn.add(live_key(segment_with(engines).segment), count)

    drive(engines.meta.transact(commit))


@mended
def share_stale(engines, path):
    change(engines, {reference_key(segment_with(engines, "plain", "key 0009"), b"o nobody"): bytes(12)})


@mended
def segment_row_stale(engines, path):
    row = SegmentRow(Media.CAPACITY, State.SEALED, 5, 1, 90, 90, 1)
    change(engines, {row_key(NOWHERE): row.pack(), live_key(NOWHERE): (5).to_bytes(8, "little")})


@mended
def emptied_referred(engines, path):
    segment = segment_with(engines).segment
    row = unpack_row(drive(engines.meta.get(row_key(segment))))
    change(engines, {row_key(segment): row.emptied().pack(), emptied_key(segment): bytes(16)})


@mended
def segment_stranger(engines, path):
    payload = b"of nobody"
    data = encode_file_header(NOWHERE, Media.CAPACITY)
    data += encode_extent_header(b"o nobody", len(payload), crc32c(payload)) + payload
    return lambda: (path / "capacity" / f"{NOWHERE:016x}.seg").write_bytes(data)


@mended
def leftover(engines, path):
    return lambda: (path / "capacity" / f"{NOWHERE:016x}.seg").write_bytes(b"")


@mended
def segment_counts(engines, path):
    """A note. What a segment was sealed with is what compaction goes by: a repair puts it right."""
    segment = segment_with(engines).segment
    row = unpack_row(drive(engines.meta.get(row_key(segment))))
    counts = (row.payload + 7, row.extents + 1, row.end, row.size, row.sealed_ms)
    change(engines, {row_key(segment): SegmentRow(row.media, row.state, *counts).pack()})


@unmended
def segment_gap(engines, path):
    """Damage in the header of a dead extent: a note, as nothing refers to it."""
    referred = {extent for table in "LV" for row in rows_of(engines)[table].values() for extent in extents(row)}
    for name in files(path):
        with engines.segments.scan(int(name[:16], 16)) as scan:
            walk = [found for found in scan.walk() if not isinstance(found, Gap)]
            for header in walk[:-1]:
                if (
                    header.at > FILE_HEADER_BYTES
                    and header.extent(scan.segment) not in referred
                    and header.owner[:1] == b"o"
                ):
                    return lambda at=header.at: flip(files(path)[name], at)
    raise AssertionError("nothing is dead in the middle")


def extents(row):
    return decode_record(row).extents


# the rest


@unmended
def feed_damaged(engines, path):
    async def commit(txn):
        txn.append(FEED, b"\xc1 no record")

    drive(engines.meta.transact(commit))


@unmended
def credential_damaged(engines, path):
    change(engines, {bytes(4) + b"K" + b"ISOTNOBODY": b"\x01short"})


def stamp_of(position):
    return invert(position[-16:])
