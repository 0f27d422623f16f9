"""What compaction asks of objects: whether an owner refers to extents, and to refer to others instead."""

from types import SimpleNamespace

import pytest

from isotherm.devices.waiting import drive
from isotherm.objects.layout import part_row
from isotherm.objects.model import Versioning
from isotherm.objects.records import decode_part, decode_record
from isotherm.objects.referrer import PartReferrer, VersionReferrer
from isotherm.segments import accounting
from isotherm.segments.port import Extent
from tests.objects.stores import MIB, TENANT, compact, get, live_bytes, open_engines, payload, rows_of

NOWHERE = Extent(1, 2, 3, 4)


def owner_of(engines, extent):
    """The owner an extent's header names."""
    with engines.segments.scan(extent.segment) as scan:
        return next(header.owner for header in scan.walk() if header.extent(extent.segment) == extent)


def relocate(engines, referrer, owner, moves):
    async def move(txn):
        return await referrer.relocate(txn, owner, moves)

    return drive(engines.meta.transact(move))[0]


def extents_of(engines, kind):
    tables = rows_of(engines)
    if kind == "o":
        records = [decode_record(row) for table in "LV" for row in tables.get(table, {}).values()]
        return [extent for record in records for extent in record.extents]
    return [extent for row in tables.get("P", {}).values() for extent in decode_part(row, 1).extents]


@pytest.mark.parametrize(("kind", "size"), [("o", 1_000), ("p", 2 * MIB)])
def test_an_owner_refers_to_its_extents_until_they_are_replaced(space, engines, kind, size):
    drive(space.put("box", "key", payload(size), tags={"a": "1"}))
    before = drive(space.head("box", "key"))
    (extent,) = extents_of(engines, kind)
    owner = owner_of(engines, extent)
    referrer = VersionReferrer() if kind == "o" else PartReferrer()
    other = Extent(extent.segment, extent.offset + 1, extent.length, extent.check)
    assert drive(referrer.referenced(engines.meta, {owner: [extent, NOWHERE]}))[owner] == {extent}
    assert relocate(engines, referrer, owner, {NOWHERE: other}) == set()
    assert relocate(engines, referrer, owner, {extent: other, NOWHERE: extent}) == {extent}
    assert drive(referrer.referenced(engines.meta, {owner: [extent, other]}))[owner] == {other}
    assert relocate(engines, referrer, owner, {extent: other}) == set()
    assert relocate(engines, referrer, owner, {other: extent}) == {other}
    after = drive(space.head("box", "key"))
    assert (after.stamp, after.etag, after.modified_ms, after.tag_count) == (
        *(before.stamp, before.etag, before.modified_ms, before.tag_count),
    )
    assert get(space, "box", "key") == payload(size)
    drive(space.put("box", "key", b""))
    if kind == "o":
        assert drive(referrer.referenced(engines.meta, {owner: [extent]}))[owner] == set()
        assert relocate(engines, referrer, owner, {extent: other}) == set()


def test_versions_that_are_not_live_are_found(space, engines):
    drive(space.set_versioning("box", Versioning.ENABLED))
    for number in range(300):
        drive(space.put("box", "key", f"{number}".encode()))
    drive(space.delete("box", "key"))
    extents = extents_of(engines, "o")
    assert len(extents) == 300
    for extent in extents[::37]:
        owner = owner_of(engines, extent)
        assert drive(VersionReferrer().referenced(engines.meta, {owner: [extent]}))[owner] == {extent}


def test_owners_of_what_never_was(engines, space):
    for referrer, owner in ((VersionReferrer(), b"o" + bytes(20) + b"key"), (PartReferrer(), b"p" + bytes(22))):
        assert drive(referrer.referenced(engines.meta, {owner: [NOWHERE]}))[owner] == set()
        assert relocate(engines, referrer, owner, {NOWHERE: NOWHERE}) == set()


def test_a_part_keeps_what_it_says_of_itself(space, engines):
    upload = drive(space.create_upload("box", "key")).id
    drive(space.put_part("box", "key", upload, 3, payload(9 * MIB)))
    (before,), _ = drive(space.parts("box", "key", upload))
    (extent,) = before.extents
    other = Extent(extent.segment, extent.offset, extent.length, extent.check ^ 1)
    relocate(engines, PartReferrer(), owner_of(engines, extent), {extent: other})
    row = drive(engines.meta.get(part_row(TENANT, bytes.fromhex(upload), 3)))
    after = decode_part(row, 3)
    assert (after.etag, after.size, after.modified_ms) == (before.etag, before.size, before.modified_ms)
    assert after.extents == [other]


def test_everything_moves_and_stays_readable(metadata, tmp_path):
    """Copies, old versions, parts of open uploads, manifests: compacted into new segments, with the accounts unchanged."""
    engines = open_engines(tmp_path)
    space = engines.space()
    drive(space.create_bucket("box"))
    drive(space.set_versioning("box", Versioning.ENABLED))
    expected = {}
    for key, size in {"small": 500, "two": 70_000, "large": 3 * MIB}.items():
        for seed in (1, 2):
            version = drive(space.put("box", key, payload(size, seed))).version_id
            expected[key, version] = payload(size, seed)
        version = drive(space.copy("box", key, "box", f"{key}-copy")).version_id
        expected[f"{key}-copy", version] = payload(size, 2)
    upload = drive(space.create_upload("box", "open")).id
    part = drive(space.put_part("box", "open", upload, 1, payload(2 * MIB, 9)))
    before, segments = live_bytes(engines), {row[0] for row in drive(accounting.segment_rows(engines.meta))}
    engines.close()

    engines = open_engines(tmp_path, seed=2)
    drive(compact(engines))
    assert live_bytes(engines) == before
    assert not segments & {row[0] for row in drive(accounting.segment_rows(engines.meta))}
    space = engines.space()
    for (key, version), data in expected.items():
        assert get(space, "box", key, version) == data
    drive(space.complete_upload("box", "open", upload, [(1, part.etag, None)]))
    assert get(space, "box", "open") == payload(2 * MIB, 9)
    engines.close()


class Counted:
    """A reader as it is, but that counts in `rows` what is read through it in ranges, within transactions too."""

    def __init__(self, reader, rows):
        self.reader = reader
        self.rows = rows

    def __getattr__(self, name):
        return getattr(self.reader, name)

    async def range(self, start, end, limit, *, reverse=False):
        found = await self.reader.range(start, end, limit, reverse=reverse)
        self.rows.extend(key for key, _ in found)
        return found

    async def transact(self, fn):
        return await self.reader.transact(lambda txn: fn(Counted(txn, self.rows)))


def test_a_key_of_many_versions_is_not_walked_for_each_of_them(metadata, tmp_path):
    engines = open_engines(tmp_path)
    space = engines.space()
    drive(space.create_bucket("box"))
    drive(space.set_versioning("box", Versioning.ENABLED))
    versions = [drive(space.put("box", "key", f"{number}".encode())).version_id for number in range(400)]
    for version in versions[::2]:
        drive(space.delete("box", "key", version))
    engines.close()

    engines = open_engines(tmp_path, seed=2)
    rows = []
    drive(compact(SimpleNamespace(segments=engines.segments, meta=Counted(engines.meta, rows), clock=engines.clock)))
    assert len(rows) < 8 * len(versions)
    for number, version in list(enumerate(versions))[1::2]:
        assert get(engines.space(), "box", "key", version) == f"{number}".encode()
    engines.close()
