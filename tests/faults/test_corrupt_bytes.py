"""Bytes that changed on the medium: an error that says so, for whatever touches them, and never wrong bytes."""

import random

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import Corrupt
from tests.objects.stores import MIB, get, open_engines, payload

FLIPS = 25


def extents_on_disk(engines, key):
    """(file, offset, length) of each extent of an object."""
    with drive(engines.space().open("box", key)) as reading:
        extents = reading.version.extents or reading._parts[0]
        files = dict(engines.opened().files().listed())
        return [(files[extent.segment], extent.offset, extent.length) for extent in extents]


def flip(path, offset, bit):
    with path.open("r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes((byte ^ 1 << bit,)))


@pytest.mark.parametrize("size", [1, 300, 65_536, 65_537, 200_000, 3 * MIB])
def test_a_flipped_bit_of_the_payload_is_found(tmp_path, size):
    data = payload(size)
    engines = open_engines(tmp_path)
    drive(engines.space().create_bucket("box"))
    drive(engines.space().put("box", "key", data))
    ((path, start, length),) = extents_on_disk(engines, "key")
    engines.close()
    choose = random.Random(size)
    places = {0, length - 1, *(choose.randrange(length) for _ in range(FLIPS))}
    for seed, place in enumerate(sorted(places), start=2):
        bit = choose.randrange(8)
        flip(path, start + place, bit)
        engines = open_engines(tmp_path, seed=seed)
        space = engines.space()
        with pytest.raises(Corrupt):
            get(space, "box", "key")
        with pytest.raises(Corrupt):
            get(space, "box", "key", offset=place, length=1)
        block = place // 65_536 * 65_536
        if block:
            assert get(space, "box", "key", offset=0, length=block) == data[:block]
        if drive(space.open("box", "key")).sendable(place, 1) is not None:
            raise AssertionError("bytes that were never verified would be sent")
        engines.close()
        flip(path, start + place, bit)
    engines = open_engines(tmp_path, seed=1_000)
    assert get(engines.space(), "box", "key") == data
    engines.close()


@pytest.mark.parametrize("size", [300, 200_000])
def test_a_flipped_bit_around_the_payload_never_makes_wrong_bytes(tmp_path, size):
    """Of headers, checksums and padding between extents."""
    engines = open_engines(tmp_path)
    drive(engines.space().create_bucket("box"))
    values = {key: payload(size, seed) for seed, key in enumerate("abc")}
    for key, data in values.items():
        drive(engines.space().put("box", key, data))
    spans = [span for key in values for span in extents_on_disk(engines, key)]
    engines.close()
    path = spans[0][0]
    payloads = {at for _, start, length in spans for at in range(start, start + length)}
    around = [at for at in range(path.stat().st_size) if at not in payloads]
    choose = random.Random(size)
    for seed, place in enumerate(choose.sample(around, 3 * FLIPS), start=2):
        bit = choose.randrange(8)
        flip(path, place, bit)
        engines = open_engines(tmp_path, seed=seed)
        for key, data in values.items():
            try:
                assert get(engines.space(), "box", key) == data
            except Corrupt:
                continue
        engines.close()
        flip(path, place, bit)


def test_damage_ends_a_copy_of_parts_and_leaves_the_target_alone(tmp_path):
    engines = open_engines(tmp_path)
    drive(engines.space().create_bucket("box"))
    drive(engines.space().put("box", "key", payload(3 * MIB)))
    ((path, start, _),) = extents_on_disk(engines, "key")
    engines.close()
    flip(path, start + 2 * MIB, 3)
    engines = open_engines(tmp_path, seed=2)
    space = engines.space()
    upload = drive(space.create_upload("box", "target")).id
    with pytest.raises(Corrupt):
        drive(space.copy_part("box", "key", "box", "target", upload, 1))
    assert drive(space.parts("box", "target", upload)) == ([], False)
    drive(space.copy_part("box", "key", "box", "target", upload, 1, source_range=(0, MIB)))
    engines.close()
