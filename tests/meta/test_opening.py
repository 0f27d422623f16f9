"""What a metadata directory must be, who may open it, and what is said when it is not so."""

import gc
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import lmdb
import pytest

from isotherm.clock import SystemClock, VirtualClock
from isotherm.devices import filesystems
from isotherm.devices.waiting import drive
from isotherm.errors import Corrupt, Misuse, Unavailable, VersionMismatch
from isotherm.ids import SystemIds
from isotherm.meta import rules
from isotherm.meta.lmdb import LmdbMeta, ServerLock, rows
from isotherm.testing.meta_children import Child
from tests.meta.stores import open_foreign

CHECKED_IN = Path(__file__).parent / "formats"


def open_meta(directory, role="foreign", clock=None):
    return LmdbMeta.open(directory, clock=clock or SystemClock(), ids=SystemIds(), role=role, sync=False)


async def put(txn):
    txn.put(b"k", b"v")


def test_a_store_is_there_again_when_it_is_opened_again(tmp_path):
    with open_meta(tmp_path / "a" / "b") as meta:
        drive(meta.transact(put))
        epoch = meta.epoch
    with open_meta(tmp_path / "a" / "b") as meta:
        assert drive(meta.get(b"k")) == b"v"
        assert meta.epoch == epoch


def test_a_new_directory_is_for_its_user_alone(tmp_path):
    with open_meta(tmp_path / "meta"):
        assert stat.S_IMODE((tmp_path / "meta").stat().st_mode) == 0o700
        for name in ("data.mdb", "lock.mdb", "server.lock"):
            assert stat.S_IMODE((tmp_path / "meta" / name).stat().st_mode) == 0o600


def test_a_process_has_one_handle_of_a_directory(tmp_path):
    with open_meta(tmp_path):
        for path in (tmp_path, tmp_path / "." / "x" / ".."):
            with pytest.raises(Misuse, match="share that handle"):
                open_meta(path)
    open_meta(tmp_path).close()


def test_a_handle_that_could_not_be_opened_leaves_nothing_open(tmp_path):
    (tmp_path / "data.mdb").write_bytes(b"not a database" * 1000)
    for _ in range(2):
        with pytest.raises(Corrupt):
            open_meta(tmp_path)
    (tmp_path / "data.mdb").unlink()
    open_meta(tmp_path).close()


def test_closing_twice_does_nothing(tmp_path):
    meta = open_meta(tmp_path)
    meta.close()
    meta.close()


@pytest.mark.parametrize(("found", "advice"), [(rows.FORMAT + 1, "pip install --upgrade"), (0, "older version")])
def test_another_format_is_refused_with_what_to_run(tmp_path, found, advice):
    open_meta(tmp_path).close()
    with lmdb.open(str(tmp_path), map_size=1 << 30) as env, env.begin(write=True) as txn:
        txn.put(rows.VERSION_KEY, rows.U32.pack(found))
    with pytest.raises(VersionMismatch, match=advice):
        open_meta(tmp_path)


def test_another_programs_database_is_refused_and_left_as_it_was(tmp_path):
    with lmdb.open(str(tmp_path), map_size=1 << 30) as env, env.begin(write=True) as txn:
        txn.put(b"theirs", b"1")
    with pytest.raises(VersionMismatch, match="not one of Isotherm"):
        open_meta(tmp_path)
    with lmdb.open(str(tmp_path), map_size=1 << 30) as env, env.begin() as txn:
        assert list(txn.cursor()) == [(b"theirs", b"1")]


def test_a_checked_in_store_of_format_1_is_read(tmp_path):
    shutil.copy(CHECKED_IN / "format-1.mdb", tmp_path / "data.mdb")
    with open_meta(tmp_path) as meta:
        pairs = dict(drive(meta.range(b"", b"\xff", 100)))
        records = drive(meta.feed(b"feed", None, 10)).records
        assert meta.epoch == 1
        assert drive(meta.trim(b"feed", 1)) == 1
    stamp = records[0][0]
    assert rules.STAMP.unpack(stamp)[0] == 1
    assert pairs == {
        b"short": b"value",
        b"s" * 499: b"499",
        b"l" * 500: b"500",
        b"l" * 899: b"899",
        b"l" * 900: b"900",
        b"l" * 2560: b"2560",
        b"stamped": stamp + b"value",
        b"at/" + bytes(255 - byte for byte in stamp): stamp + b"value",
        b"counter": (-7).to_bytes(8, "little", signed=True),
    }
    assert [value for _, value in records] == [b"record 1", b"record 2"]


def test_file_systems_of_other_machines_are_told_from_local_ones():
    assert filesystems.magic_of(Path("/proc")) == 0x9FA0
    assert filesystems.remote_kind(0x9FA0) is None
    assert filesystems.remote_kind(0xEF53) is None
    assert [filesystems.remote_kind(magic) for magic in (0x6969, 0xFF534D42, 0x65735546)] == ["NFS", "CIFS", "FUSE"]


def test_a_path_that_cannot_be_a_directory_is_reported(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(Unavailable):
        open_meta(tmp_path / "file" / "meta")


def test_a_foreign_program_does_not_create_a_store_under_a_server_that_is_about_to(tmp_path):
    with ServerLock(tmp_path):
        with pytest.raises(Unavailable, match="try again"):
            open_meta(tmp_path)
        open_meta(tmp_path, "server").close()
        open_meta(tmp_path).close()


async def holds_a_snapshot(meta, pipe):
    with meta.snapshot() as snapshot:
        await snapshot.get(b"k")
        pipe.send("holding")
        pipe.poll(None)


def test_reader_slots_of_killed_processes_are_freed(tmp_path):
    with open_meta(tmp_path) as meta:
        child = Child(open_foreign, str(tmp_path), holds_a_snapshot)
        assert child.receive() == "holding"
        assert meta.clear_stale_readers() == 0
        child.kill()
        assert meta.clear_stale_readers() == 1


def test_a_forked_process_that_drops_its_copy_leaves_the_parents_snapshot_alone(tmp_path):
    """LMDB's reader table is shared memory: freeing the copy in the child would free the parent's slot."""
    meta = open_meta(tmp_path, clock=VirtualClock())  # on which no snapshot grows old
    drive(meta.transact(put))
    drive(meta.get(b"k"))
    snapshot = meta.snapshot()
    slots = meta._environment._env.readers()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            snapshot.close()
            meta.close()
            del meta, snapshot
            gc.collect()
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(pid, 0)[1] == 0
    assert meta._environment._env.readers() == slots
    for number in range(50):  # were the slot free, these would use the snapshot's pages again

        async def overwrite(txn, number=number):
            txn.put(b"k", b"%d" % number * 100)

        drive(meta.transact(overwrite))
    assert drive(snapshot.get(b"k")) == b"v"
    snapshot.close()
    meta.close()


def test_a_process_without_the_address_space_is_told_which_limit_is_in_the_way(tmp_path):
    """A server would start its processes again and again, and a command say that the same may work later."""
    with open_meta(tmp_path):
        pass
    opening = (
        "import resource, sys; from pathlib import Path; from tests.meta.test_opening import open_meta\n"
        "from isotherm.errors import NotPermitted\n"
        "resource.setrlimit(resource.RLIMIT_AS, (4 << 30, 4 << 30))\n"
        "for path in sys.argv[1:]:\n"
        "    try: open_meta(Path(path))\n"
        "    except NotPermitted as error: assert 'ulimit -v unlimited' in str(error)\n"
        "    else: raise SystemExit(1)"
    )
    subprocess.run(
        [sys.executable, "-c", opening, tmp_path, tmp_path / "new"], check=True, cwd=Path(__file__).parents[2]
    )
