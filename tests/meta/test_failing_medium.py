"""A failed write or sync is never acknowledged, and the process that saw it writes no more."""

import shutil
import subprocess
import sys

import pytest

from isotherm.clock import SystemClock
from isotherm.devices.waiting import drive
from isotherm.ids import SystemIds
from isotherm.meta.lmdb import LmdbMeta

STRACE = shutil.which("strace")

_WRITES_UNTIL_IT_FAILS = """
import sys
from pathlib import Path
from isotherm.clock import SystemClock
from isotherm.devices.waiting import drive
from isotherm.errors import NoSpace, Unavailable
from isotherm.ids import SystemIds
from isotherm.meta.lmdb import LmdbMeta
meta = LmdbMeta.open(Path(sys.argv[1]), clock=SystemClock(), ids=SystemIds(), role="foreign")
for number in range(100):
    async def put(txn, key=b"%03d" % number):
        txn.put(key, b"v" * 1000)
    try:
        drive(meta.transact(put))
    except (Unavailable, NoSpace) as error:
        print("refused", number, type(error).__name__, meta.write_failure is not None, flush=True)
    else:
        print("acknowledged", number, flush=True)
try:
    print("read", len(drive(meta.range(b"", b"\\xff", 1000))))
except Unavailable:
    print("read nothing")
meta.close()
"""


def _run_with_fault(directory, fault):
    ran = subprocess.run(
        [STRACE, "-f", "-o", "/dev/null", "-e", f"inject={fault}", sys.executable, "-c", _WRITES_UNTIL_IT_FAILS, directory],
        check=False, capture_output=True, text=True, timeout=100,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    lines = [line.split() for line in ran.stdout.splitlines()]
    acknowledged = [int(line[1]) for line in lines if line[0] == "acknowledged"]
    refused = [line[1:] for line in lines if line[0] == "refused"]
    read = next(line[1] for line in lines if line[0] == "read")
    with LmdbMeta.open(directory, clock=SystemClock(), ids=SystemIds(), role="foreign") as meta:
        present = [int(key) for key, _ in drive(meta.range(b"", b"\xff", 1000))]
    return acknowledged, refused, present, read


@pytest.mark.skipif(STRACE is None, reason="needs strace to inject faults")
@pytest.mark.parametrize(
    "fault",
    [
        "fdatasync:error=EIO:when=20",  # the pages
        "pwrite64:error=EIO:when=60",  # a page, or the meta page
        "pwrite64:error=EIO:when=61",
        "pwrite64:error=EIO:when=62",
        "pwrite64:error=EIO:when=63",
        "writev,pwritev:error=EIO:when=5",
    ],
)
def test_after_a_failed_write_or_sync_nothing_more_is_acknowledged(tmp_path, fault):
    acknowledged, refused, present, read = _run_with_fault(tmp_path, fault)
    assert acknowledged, "the fault came before anything could be written"
    assert refused, "the fault never came"
    assert acknowledged == list(range(len(acknowledged)))
    assert {tuple(line[1:]) for line in refused} == {("Unavailable", "True")}
    # Where the meta page itself was not written LMDB lets nothing be read any more; else reading goes on.
    assert read in (str(len(acknowledged)), "nothing")
    assert read != "nothing" or not fault.startswith("fdatasync")
    assert present[: len(acknowledged)] == acknowledged
    # The one under way when the medium failed may be there or not; those after it were never tried.
    assert present[len(acknowledged) :] in ([], [len(acknowledged)])


@pytest.mark.skipif(STRACE is None, reason="needs strace to inject faults")
def test_a_medium_that_was_full_for_a_while_is_written_again(tmp_path):
    acknowledged, refused, present, read = _run_with_fault(tmp_path, "pwrite64,writev,pwritev:error=ENOSPC:when=40..48")
    assert refused
    assert {tuple(line[1:]) for line in refused} == {("NoSpace", "False")}
    assert acknowledged[-1] == 99
    assert present == acknowledged
    assert int(read) == len(present)
