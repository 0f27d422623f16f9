"""Each kind of damage is found and named; what can be mended is, and nothing that can be reached ever goes."""

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import Corrupt
from isotherm.movers.fsck.findings import Kind, Level, level_of
from isotherm.objects.layout import garbage_row, table
from tests.movers import audit_damages, damages, grant_damages, tenant_damages
from tests.movers.stores import change, checked_at, contents, kinds, opened, repaired_at, space_of
from tests.objects.stores import rows_of

MENDED = {**damages.MENDED, **tenant_damages.MENDED, **audit_damages.MENDED, **grant_damages.MENDED}
UNMENDED = {**damages.UNMENDED, **tenant_damages.UNMENDED, **audit_damages.UNMENDED, **grant_damages.UNMENDED}
CONSEQUENCES = {Kind.OBJECT_DAMAGED.value, Kind.UPLOAD_DAMAGED.value, Kind.SEGMENT_CRASHED.value}


def damage(path, how):
    engines = opened(path, seed=2)
    later = how(engines, path)
    engines.close()
    if later is not None:
        later()


def read(path):
    engines = opened(path, seed=3)
    try:
        return contents(engines)
    finally:
        engines.close()


def test_every_kind_has_a_damage_that_leads_to_it():
    assert {*MENDED, *UNMENDED} | CONSEQUENCES == {kind.value for kind in Kind}


@pytest.mark.parametrize("kind", MENDED)
def test_what_can_be_mended_is_found_and_mended(kind, filled, held, tmp_path):
    damage(filled, MENDED[kind])
    found = checked_at(filled, tmp_path)
    assert kind in kinds(found)
    assert found.exit_code == {Level.ERROR: 2, Level.WASTE: 1, Level.NOTE: 0}[level_of(Kind(kind))]
    assert all(finding.repairable for finding in found.findings if finding.level is not Level.NOTE)
    before, after = repaired_at(filled, tmp_path)
    if kind != Kind.LEFTOVER:  # recovery, which comes first, removes that by itself
        assert kind in kinds(before)
        assert after.repaired > 0
    assert kinds(after) == {}
    assert read(filled) == held
    again, same = repaired_at(filled, tmp_path)
    assert again is same, "a second repair has nothing to do"


@pytest.mark.parametrize("kind", UNMENDED)
def test_what_cannot_be_mended_is_found_and_stays(kind, filled, tmp_path):
    damage(filled, UNMENDED[kind])
    readable = read(filled)
    found = checked_at(filled, tmp_path)
    assert kind in kinds(found)
    if level_of(Kind(kind)) is Level.ERROR:
        assert found.exit_code == 2
        assert any(not one.repairable for one in found.findings if one.kind == kind)
    _, after = repaired_at(filled, tmp_path)
    assert kind in kinds(after)
    assert read(filled) == readable, "a repair changes nothing that can be read"


def test_where_damage_leaves_open_what_refers_to_what_nothing_is_dropped(filled, tmp_path):
    damage(filled, damages.row_damaged)
    damage(filled, damages.manifest_orphan)
    damage(filled, damages.tag_unindexed)
    before, after = repaired_at(filled, tmp_path)
    assert {"row-damaged", "manifest-orphan", "tag-unindexed"} <= set(kinds(before))
    assert {"row-damaged", "manifest-orphan"} <= set(kinds(after)), "what may be referred to stays"
    assert kinds(before)["tag-unindexed"] > kinds(after).get("tag-unindexed", 0), "what is derived is put back"


def test_garbage_that_cannot_be_read_stops_no_repair(filled, tmp_path):
    engines = opened(filled, seed=2)
    rows = rows_of(engines)
    garbage = next(row[-16:] for row in rows["X"] if row[5:6] == b"m")
    change(engines, {next(row for row in rows["P"] if row[5:21] == garbage): b"\x01"})
    engines.close()
    damage(filled, damages.tag_unindexed)
    before, after = repaired_at(filled, tmp_path)
    assert kinds(before)["tag-unindexed"] > kinds(after).get("tag-unindexed", 0)
    assert kinds(after)["row-damaged"] == 1


def test_orphaned_parts_give_their_bytes_back(filled, tmp_path):
    damage(filled, damages.manifest_orphan)
    found = checked_at(filled, tmp_path)
    (orphan,) = [one for one in found.findings if one.kind is Kind.MANIFEST_ORPHAN]
    assert orphan.size > 400_000
    _, after = repaired_at(filled, tmp_path)
    assert after.space.live_bytes == found.space.live_bytes - orphan.size - after_sweep(found, after)


def after_sweep(before, after):
    """Payload of the garbage that a repair sweeps beside: what the parts' number fell by, without the two orphans."""
    return before.space.live_bytes - after.space.live_bytes - 400_003 if before.objects.garbage else 0


def test_garbage_is_no_finding_and_a_repair_sweeps_it(filled, tmp_path):
    assert checked_at(filled, tmp_path).objects.garbage >= 2
    repaired_at(filled, tmp_path)
    after = checked_at(filled, tmp_path)
    assert after.objects.garbage == 0
    assert kinds(after) == {}


def test_a_damaged_object_is_named(filled, tmp_path):
    damage(filled, damages.extent_damaged)
    (named,) = [one for one in checked_at(filled, tmp_path).findings if one.kind is Kind.OBJECT_DAMAGED]
    assert (named.bucket, named.key) == ("plain", "key 0010")


def test_every_version_that_shares_a_damaged_manifest_is_named(filled, tmp_path):
    damage(filled, damages.part_missing)
    named = {(one.bucket, one.key) for one in checked_at(filled, tmp_path).findings if one.kind is Kind.OBJECT_DAMAGED}
    assert named == {("plain", "whole"), ("kept", "whole copy")}


def test_findings_are_counted_beyond_those_that_are_kept(filled, tmp_path):
    engines = opened(filled, seed=2)
    change(engines, dict.fromkeys(rows_of(engines)["I"]))
    engines.close()
    found = checked_at(filled, tmp_path)
    assert kinds(found)["tag-unindexed"] > 100
    assert len([one for one in found.findings if one.kind is Kind.TAG_UNINDEXED]) == 100
    _, after = repaired_at(filled, tmp_path)
    assert kinds(after) == {}


def test_a_garbage_row_of_an_unknown_kind_of_table_is_left_alone(filled, tmp_path):
    engines = opened(filled, seed=2)
    unknown = table(1, b"Y") + b"row"
    change(engines, {unknown: b"value", garbage_row(1, b"m", b"nothing is there"): bytes(16)})
    engines.close()
    repaired_at(filled, tmp_path)
    engines = opened(filled, seed=3)
    assert rows_of(engines)["Y"] == {unknown: b"value"}
    engines.close()


def flipped_record(bucket, key, at):
    """A bit of a live version's record turns over, beyond what a listing looks at."""

    def how(engines, path):
        row, _ = damages.live(engines, bucket, key)
        value = drive(engines.meta.get(row))
        change(engines, {row: value[:at] + bytes((value[at] ^ 1,)) + value[at + 1 :]})

    return how


@pytest.mark.parametrize("name", ["key 0010", "key 0014", "large", "whole", "key 0009"])
@pytest.mark.parametrize("how", ["replaced", "deleted"])
def test_what_has_a_damaged_record_can_be_replaced_or_deleted_and_a_repair_frees_the_rest(filled, tmp_path, name, how):
    damage(filled, flipped_record("plain", name, 66))
    engines = opened(filled, seed=4)
    space = space_of(engines)
    with pytest.raises(Corrupt):
        drive(space.head("plain", name))
    assert name in {entry.key for entry in drive(space.list("plain")).entries}
    if how == "replaced":
        drive(space.put("plain", name, b"again"))
    else:
        drive(space.delete("plain", name))
    engines.close()
    after = read(filled)
    _, report = repaired_at(filled, tmp_path)
    assert kinds(report) == {}
    assert read(filled) == after
