"""Rows that are not what they should be are told as such by whatever meets them; nothing else of the store suffers."""

import random

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import IsothermError
from isotherm.objects.model import Algorithm, Digests, Versioning
from tests.objects.stores import MIB, fetch, payload, rows_of

KINDS = "BLVNPMUG"


@pytest.fixture
def filled(space):
    """Something in every table; the calls that meet its rows."""
    drive(space.put("box", "large", payload(2 * MIB), digests=Digests(algorithm=Algorithm.CRC32C)))
    drive(space.put("box", "nulled", b"null"))
    drive(space.set_versioning("box", Versioning.ENABLED))
    drive(space.put("box", "nulled", b"newer"))
    for data in (b"one", b"two"):
        drive(space.put("box", "small", data, tags={f"{n:03}": "x" for n in range(60)}))
    upload = drive(space.create_upload("box", "upload", tags={"a": "1"})).id
    drive(space.put_part("box", "upload", upload, 1, b"x"))
    return [
        lambda: space.head("box", "small"),
        lambda: space.read("box", "small"),
        lambda: space.tags("box", "small"),
        lambda: fetch(space, "box", "large"),
        lambda: fetch(space, "box", "nulled", "null"),
        lambda: space.list("box"),
        lambda: space.list_versions("box"),
        lambda: space.uploads("box"),
        lambda: space.parts("box", "upload", upload),
        lambda: space.buckets(),
        lambda: space.copy("box", "large", "box", "copy"),
        lambda: space.set_tags("box", "small", {"b": "2"}),
        lambda: space.find({"001": "x"}),
        lambda: space.delete_many("box", [("small", None), ("large", None)]),
        lambda: space.complete_upload("box", "upload", upload, [(1, "0" * 32, None)]),
    ]


def damages(value, choose):
    """The value cut short, emptied, with a flipped byte, of another format version, or replaced by noise."""
    at = choose.randrange(len(value)) if value else 0
    yield b""
    yield value[:at]
    yield value[:at] + choose.randbytes(1) + value[at + 1 :]
    yield choose.randbytes(len(value))
    yield value[:16] + bytes((99,)) + value[17:]
    yield value + b"\0"


@pytest.mark.parametrize("table", KINDS)
def test_only_errors_of_ours_are_raised(engines, filled, table):
    choose = random.Random(table)
    rows = list(rows_of(engines)[table].items())
    for key, value in rows[:2] + rows[-1:]:
        for damaged in damages(value, choose):
            for call in filled:
                rewrite(engines, key, damaged)
                try:
                    drive(call())
                except IsothermError:
                    continue
        rewrite(engines, key, value)


def rewrite(engines, key, value):
    async def put(txn):
        txn.put(key, value)

    drive(engines.meta.transact(put))
