"""The bytes of the current version without a `Reading`: the same as through one, whatever holds them."""

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import Corrupt, NotFound, Unsupported
from isotherm.objects.model import Versioning
from tests.objects.stores import MIB, get, payload, rows_of

SIZES = (0, 1, 4_096, 65_536, 65_537, 300_000, 3 * MIB)
RANGES = ((0, None), (0, 0), (1, None), (7, 100), (4_095, 2), (65_535, 2), (0, 1 << 40), (1 << 40, 1), (1 << 40, None))


@pytest.mark.parametrize("size", SIZES)
def test_it_gives_what_a_reading_gives(space, size):
    data = payload(size)
    drive(space.put("box", "key", data))
    for offset, length in RANGES:
        end = size if length is None else offset + length
        for _ in range(2):  # the second time the bytes are at hand
            assert drive(space.read("box", "key", offset, length)) == data[offset:end], (offset, length)
    assert get(space, "box", "key") == data


def test_it_follows_what_becomes_of_the_key(space):
    with pytest.raises(NotFound, match="key"):
        drive(space.read("box", "key"))
    with pytest.raises(NotFound, match="bucket"):
        drive(space.read("none", "key"))
    drive(space.set_versioning("box", Versioning.ENABLED))
    for data in (b"one", b"another"):
        drive(space.put("box", "key", data))
        assert drive(space.read("box", "key")) == data
    drive(space.delete("box", "key"))
    with pytest.raises(NotFound) as caught:
        drive(space.read("box", "key"))
    assert caught.value.detail["marker"]


def test_a_damaged_row_is_not_read_from(engines, space):
    drive(space.put("box", "key", payload(4_096)))
    assert drive(space.read("box", "key")) == payload(4_096)
    (row, value) = next(iter(rows_of(engines)["L"].items()))
    for at in range(16, len(value)):

        async def damage(txn, damaged=value[:at] + bytes((value[at] ^ 1,)) + value[at + 1 :]):
            txn.put(row, damaged)

        drive(engines.meta.transact(damage))
        with pytest.raises((Corrupt, Unsupported)):
            drive(space.read("box", "key"))
