"""Random damage: fsck and reading agree, object by object, on what cannot be read, and fsck never fails."""

import random
import shutil

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import IsothermError
from isotherm.movers.fsck.findings import Kind, Level
from isotherm.objects.layout import parse_object_owner
from tests.movers.stores import change, checked, checked_at, contents, files, kinds, opened, repaired_at
from tests.objects.stores import rows_of


def unreadable(read):
    return {place[:2] for place, data in read.items() if isinstance(data, type)}


def named(report):
    return {(one.bucket, one.key) for one in report.findings if one.kind is Kind.OBJECT_DAMAGED}


@pytest.mark.parametrize("seed", range(12))
def test_flipped_and_lost_bytes_of_segments(seed, filled, held, tmp_path):
    """Exactly what reading finds damaged is named, and no repair takes away what can be read."""
    choice = random.Random(seed)
    for file in choice.sample(sorted(files(filled).values()), 3):
        data = bytearray(file.read_bytes())
        for _ in range(choice.choice((1, 3))):
            data[choice.randrange(len(data))] ^= 1 << choice.randrange(8)
        if choice.random() < 0.3:
            del data[choice.randrange(len(data)) :]
        file.write_bytes(data)
    engines = opened(filled, seed=3)
    report, read = checked(engines, tmp_path), contents(engines)
    engines.close()
    assert named(report) == unreadable(read)
    assert all(data == held[place] for place, data in read.items() if not isinstance(data, type))
    assert bool(unreadable(read)) <= bool(report.number(Level.ERROR))
    repaired_at(filled, tmp_path)
    engines = opened(filled, seed=4)
    assert contents(engines) == read
    engines.close()


@pytest.mark.parametrize("seed", range(25))
def test_flipped_bytes_of_metadata_values(seed, filled, tmp_path):
    """Whatever a row says, the check comes to its end; what cannot be read is an error; a repair takes nothing away."""
    choice = random.Random(seed)
    engines = opened(filled, seed=3)
    rows = {**rows_of(engines, tenant=0)}
    rows.update(rows_of(engines))
    table = choice.choice(sorted(table for table, of in rows.items() if any(of.values())))
    for key in choice.sample(sorted(key for key, value in rows[table].items() if value), 1):
        value = bytearray(rows[table][key])
        value[choice.randrange(len(value))] ^= 1 << choice.randrange(8)
        change(engines, {key: bytes(value)})
    try:
        read = contents(engines)
    except (IsothermError, ValueError, LookupError):
        read = None  # not even a listing works
    report = checked(engines, tmp_path)
    engines.close()
    if read is None:
        assert report.exit_code == 2
        return
    assert bool(unreadable(read)) <= (report.exit_code == 2)
    repaired_at(filled, tmp_path)
    engines = opened(filled, seed=4)
    after = contents(engines)
    engines.close()
    assert {place: data for place, data in after.items() if not isinstance(data, type)}.items() >= {
        place: data for place, data in read.items() if not isinstance(data, type)
    }.items()


@pytest.mark.parametrize("seed", range(6))
def test_rows_that_vanish(seed, filled, tmp_path):
    """A row of any table goes: that is found, but for rows of which nothing else tells."""
    choice = random.Random(seed)
    engines = opened(filled, seed=3)
    rows = rows_of(engines)
    garbage = {row[-16:] for row in rows.pop("X")}
    rows.pop("U")
    rows["M"] = {row: value for row, value in rows["M"].items() if row[5:] not in garbage}
    table = choice.choice(sorted(rows))
    key = choice.choice(sorted(rows[table]))
    change(engines, {key: None})
    report = checked(engines, tmp_path)
    engines.close()
    assert report.number(Level.ERROR) + report.number(Level.WASTE), f"{table} {key.hex()}"


def test_a_directory_of_segments_that_vanishes(filled, held, tmp_path):
    shutil.rmtree(filled / "performance")
    report = checked_at(filled, tmp_path)
    assert named(report) | {place[:2] for place, data in held.items() if not data} == {place[:2] for place in held}
    assert kinds(report)["segment-missing"] > 3
    _, after = repaired_at(filled, tmp_path)
    assert kinds(after)["segment-missing"] == kinds(report)["segment-missing"], "rows of what may come back stay"


def test_owners_in_segments_name_what_refers_to_them(engines, filled):
    """What fsck names objects by, when their rows are all there is."""
    for name in files(filled):
        with engines.segments.scan(int(name[:16], 16)) as scan:
            for found in scan.walk():
                if found.owner[:1] == b"o":
                    tenant, bucket, _, key = parse_object_owner(found.owner)
                    assert tenant == 1
                    assert key.decode()
                    assert bucket in {one.id for one in drive(engines.space().buckets())}
