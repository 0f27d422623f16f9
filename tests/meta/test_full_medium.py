"""A full map or file system refuses what does not fit, keeps reading, and goes on when there is space again."""

import asyncio
import os
import subprocess
import sys

import pytest

from isotherm.clock import SystemClock
from isotherm.devices.waiting import drive
from isotherm.errors import NoSpace
from isotherm.ids import SystemIds
from isotherm.meta.lmdb import LmdbMeta

MAP_BYTES = 1 << 20


def open_small(directory, map_bytes=MAP_BYTES):
    return LmdbMeta.open(
        directory, clock=SystemClock(), ids=SystemIds(), role="foreign", sync=False, map_bytes=map_bytes
    )


def put(key, value):
    async def fn(txn):
        txn.put(key, value)

    return fn


def delete(key):
    async def fn(txn):
        txn.delete(key)

    return fn


def fill(meta):
    """Write until it refuses; the keys that were acknowledged."""
    written = []
    while True:
        key = b"%06d" % len(written)
        try:
            drive(meta.transact(put(key, b"v" * 3_000)))
        except NoSpace:
            return written
        written.append(key)


def test_a_full_map_refuses_reads_on_and_writes_again_once_rows_are_deleted(tmp_path):
    with open_small(tmp_path) as meta:
        written = fill(meta)
        assert [key for key, _ in drive(meta.range(b"", b"\xff", 10_000))] == written
        for key in written[:20]:
            drive(meta.transact(delete(key)))
        drive(meta.transact(put(b"again", b"v" * 3_000)))
        assert drive(meta.get(b"again")) == b"v" * 3_000


def test_a_full_map_writes_again_when_it_is_opened_larger(tmp_path):
    with open_small(tmp_path) as meta:
        written = fill(meta)
    with open_small(tmp_path, 2 * MAP_BYTES) as meta:
        drive(meta.transact(put(b"again", b"v" * 3_000)))
        assert [key for key, _ in drive(meta.range(b"", b"\xff", 10_000))] == [*written, b"again"]


def test_of_a_batch_only_those_fail_that_do_not_fit(tmp_path):
    async def large(txn):
        for number in range(20):
            txn.put(b"large/%d" % number, bytes(90_000))

    async def race(meta):
        calls = [meta.transact(put(b"small/%d" % number, b"v")) for number in range(5)]
        calls.insert(2, meta.transact(large))
        return await asyncio.gather(*calls, return_exceptions=True)

    with open_small(tmp_path) as meta:
        outcomes = asyncio.run(race(meta))
        assert [type(outcome) for outcome in outcomes] == [tuple, tuple, NoSpace, tuple, tuple, tuple]
        assert [key for key, _ in drive(meta.range(b"", b"\xff", 100))] == [b"small/%d" % number for number in range(5)]
        assert meta.write_failure is None


_ON_A_SMALL_FILE_SYSTEM = """
import os, sys
from pathlib import Path
from tests.meta.test_full_medium import delete, drive, fill, open_small, put
place, ballast = Path(sys.argv[1]) / "meta", Path(sys.argv[1]) / "ballast"
ballast.write_bytes(bytes(256 << 10))
meta = open_small(place, 1 << 40)
written = fill(meta)
assert [key for key, _ in drive(meta.range(b"", b"\\xff", 10_000))] == written
assert meta.write_failure is None
ballast.unlink()
drive(meta.transact(put(b"again", b"v" * 3000)))
meta.close()
meta = open_small(place, 1 << 40)
assert [key for key, _ in drive(meta.range(b"", b"\\xff", 10_000))] == [*written, b"again"]
meta.close()
print("went on after", len(written))
"""


def test_a_full_file_system_refuses_and_goes_on_when_there_is_space(tmp_path):
    """In a mount namespace of its own, so that it needs no privileges where unprivileged ones are allowed."""
    mount = ["unshare", "--mount", "--map-root-user", "sh", "-c"]
    script = 'mount -t tmpfs -o size=2m none "$1" && exec "$2" -c "$3" "$1"'
    probe = subprocess.run(
        [*mount, 'mount -t tmpfs -o size=1m none "$1"', "sh", tmp_path], check=False, capture_output=True
    )
    if probe.returncode:
        pytest.skip(f"cannot mount a small file system here: {probe.stderr.decode().strip()}")
    ran = subprocess.run(
        [*mount, script, "sh", tmp_path, sys.executable, _ON_A_SMALL_FILE_SYSTEM],
        check=False, capture_output=True, text=True, cwd=os.getcwd(), timeout=60,
    )  # fmt: skip
    assert "went on after" in ran.stdout, ran.stderr
