"""One LMDB environment: opened, created, checked, copied; and its errors in the platform's words.

LMDB's own limits stay here: the map is fixed (growing it closed live readers' transactions), 1,022 readers, one handle
per directory and process, stale readers cleared at open, no network file systems.

A new environment is made under another name and gets its own when it is whole and durable: LMDB by itself could leave a
file behind a power cut that it never opens again.

Reading is allowed from any thread. Only the committer's thread writes, but for the first moments of a new directory.
"""

from __future__ import annotations

import ctypes
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import lmdb
from lmdb import _envid

from isotherm.devices import drive, durable, filesystems
from isotherm.devices.fork import ForkGuard
from isotherm.errors import (
    Closed,
    Corrupt,
    Invalid,
    IsothermError,
    Misuse,
    NoSpace,
    NotPermitted,
    Unavailable,
    VersionMismatch,
)
from isotherm.ids import Ids
from isotherm.meta import rules
from isotherm.meta.lmdb import keys, rows

READERS_MOST = 1_022
_FIRST_EPOCH = 1
_EPOCH_STEP_BYTES = 2
_FILE = "data.mdb"

_INCREMENT = ctypes.pythonapi.Py_IncRef
_DECREMENT = ctypes.pythonapi.Py_DecRef

WriterTurn = Callable[[], AbstractContextManager[None]]
"""Entered around a write outside the committer; raises `Unavailable` when this process may not write now."""


@dataclass(frozen=True, slots=True)
class CopyInfo:
    """What a backup is a copy of: everything up to commit number `commit` of `epoch`."""

    epoch: int
    commit: int


@dataclass(frozen=True, slots=True)
class Statistics:
    """`entries` are rows of all kinds; `used_bytes` are the pages of the file, in use or to be used again."""

    entries: int
    used_bytes: int
    map_bytes: int
    last_commit: int


class Environment:
    """An open environment."""

    __slots__ = ("_closed", "_env", "guard", "path")

    def __init__(self, path: Path, env: lmdb.Environment) -> None:
        # A forked child must never close or free its copy: that would mark the parent's reader slots, which lie in
        # shared memory, as free. So it is kept alive by a reference that only `close` gives back.
        _INCREMENT(ctypes.py_object(env))
        self.path = path
        self.guard = ForkGuard(f"the metadata store {path}")
        self._env = env
        self._closed = False

    def reading(self) -> keys.Txn:
        """A read transaction of the newest committed state. It ends when it is dropped or aborted.

        Raises:
            ForkedHandle, Closed, Unavailable (too many readers).
        """
        self.guard.check()
        try:
            return self._env.begin()
        except lmdb.Error as error:
            raise explain(error, "cannot read") from error

    @contextmanager
    def writing(self) -> Iterator[keys.Txn]:
        """The write transaction: committed and synced at the end if something was written. Waits for the writer lock."""
        self.guard.check()
        txn = self._env.begin(write=True)
        try:
            yield txn
            txn.commit()
        except BaseException:
            with suppress(lmdb.Error):  # it has ended already where the commit failed
                txn.abort()
            raise

    def free_bytes(self) -> int:
        """Of the file system it lies on, for this user."""
        return drive.SystemDrive().free_bytes(self.path)

    def clear_stale_readers(self) -> int:
        """Free the reader slots of processes that have died; how many."""
        self.guard.check()
        return self._env.reader_check()

    def statistics(self) -> Statistics:
        """Figures for telemetry; costs microseconds."""
        self.guard.check()
        try:
            info, state = self._env.info(), self._env.stat()
        except lmdb.Error as error:
            raise explain(error, "cannot read") from error
        used = (info["last_pgno"] + 1) * state["psize"]
        return Statistics(state["entries"], used, info["map_size"], info["last_txnid"])

    def copy(self, target: Path) -> CopyInfo:
        """Copy one consistent state into `target`, a directory that does not exist yet. Blocks; does not stop writers."""
        txn = self.reading()
        info = CopyInfo(rows.epoch_of(txn), txn.id())
        try:
            target.mkdir(mode=0o700)
        except FileExistsError:
            raise Invalid(f"{target} exists already; a copy is made into a new directory") from None
        except OSError as error:
            raise Unavailable(f"cannot make {target}: {error.strerror}") from error
        try:
            self._env.copy(str(target), compact=True, txn=txn)
            txn.abort()
            _mark_copy(target, info, self._env.info()["map_size"])
        except lmdb.Error as error:
            shutil.rmtree(target, ignore_errors=True)
            raise explain(error, f"cannot copy to {target}") from error
        durable.sync_directory(target)
        durable.sync_directory(target.parent)
        return info

    def close(self) -> None:
        """Idempotent; does nothing in a forked child."""
        if self.guard.forked or self._closed:
            return
        self._closed = True
        self._env.close()
        _DECREMENT(ctypes.py_object(self._env))


def prepare_directory(path: Path) -> None:
    """Make the directory where there is none, and refuse one on which LMDB cannot work.

    Raises:
        Invalid: on a network file system.
        Unavailable: the operating system refuses.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        kind = filesystems.remote_kind(filesystems.magic_of(path))
    except OSError as error:
        raise Unavailable(f"cannot use {path}: {error.strerror}") from error
    if kind is not None:
        raise Invalid(
            f"{path} lies on a {kind} file system, where LMDB's locks and mapping fail; name a local directory"
        )


def open_environment(path: Path, *, ids: Ids, writer_turn: WriterTurn, map_bytes: int, sync: bool) -> Environment:
    """Open the environment in directory `path`, and make it where there is none.

    The caller has prepared the directory, and makes sure that this process has no other handle of it.

    Raises:
        VersionMismatch: written by another format.
        Corrupt: not an LMDB environment.
        Unavailable, NoSpace: the operating system refuses.
    """
    try:
        if not (path / _FILE).exists():
            with writer_turn():
                _make(path / _FILE, ids, map_bytes, sync)
        try:
            env = _open(path, map_bytes, sync)
        except lmdb.Error as error:
            if not _listed_as_open(error):
                raise
            with _unlisted():
                env = _open(path, map_bytes, sync)
    except lmdb.Error as error:
        raise _why_not_open(error, path) from error
    environment = Environment(path, env)
    try:
        env.reader_check()
        _check(environment, ids, writer_turn)
    except BaseException as error:
        environment.close()
        if isinstance(error, lmdb.Error):
            raise explain(error, f"cannot open {path}") from error
        raise
    return environment


def _make(file: Path, ids: Ids, map_bytes: int, sync: bool) -> None:
    """Of several processes that make it at once the first wins."""
    new = durable.temporary_name(file, ids)
    try:
        env = _open(new, map_bytes, sync, subdir=False, lock=False)
        try:
            with env.begin(write=True) as txn:
                txn.put(rows.VERSION_KEY, rows.U32.pack(rows.FORMAT))
                txn.put(rows.EPOCH_KEY, rows.U32.pack(_FIRST_EPOCH))
        finally:
            env.close()
        durable.place(new, file)
        durable.sync_directory(file.parent.parent)
    except OSError as error:
        raise drive.explain(error, f"cannot make {file}") from error
    finally:
        with suppress(OSError):
            new.unlink(missing_ok=True)


def _open(path: Path, map_bytes: int, sync: bool, *, subdir: bool = True, lock: bool = True) -> lmdb.Environment:
    return lmdb.open(
        os.fspath(path),
        subdir=subdir,
        create=False,  # of the directory, which is there; lmdb's own failure to make it would be no error of LMDB
        lock=lock,
        map_size=map_bytes,
        max_readers=READERS_MOST,
        max_spare_txns=1,
        mode=0o600,
        sync=sync,
        metasync=sync,
        lib_version=0,
    )


@contextmanager
def _unlisted() -> Iterator[None]:
    """Open what py-lmdb believes to be open in this process because a parent had it open when it forked.

    Its list of open environments survives the fork. LMDB itself allows a child to open what its parent has open, as
    long as the child leaves its copy of the parent's handle alone; two handles of one process are kept apart by
    `presence.claim_handle` before it comes to this.
    """
    listed = _envid.env_keys
    _envid.env_keys = lambda path, subdir: ()
    try:
        yield
    finally:
        _envid.env_keys = listed


def _check(environment: Environment, ids: Ids, writer_turn: WriterTurn) -> None:
    """Check the version, and make a store of its own of a copy that is opened for the first time."""
    txn = environment.reading()
    _check_version(environment.path, txn.get(rows.VERSION_KEY))
    copied = txn.get(rows.COPY_KEY) is not None
    txn.abort()
    if copied:
        with writer_turn(), environment.writing() as txn:
            if txn.get(rows.COPY_KEY) is not None:
                txn.put(rows.EPOCH_KEY, rows.U32.pack(rows.epoch_of(txn) + epoch_step(ids)))
                txn.delete(rows.COPY_KEY)


def epoch_step(ids: Ids) -> int:
    """By how much to raise an epoch: drawn, so that two copies of one store do not get the same."""
    return 1 + int.from_bytes(ids.token(_EPOCH_STEP_BYTES), "big")


def _check_version(path: Path, stored: bytes | None) -> None:
    found = rows.U32.unpack(stored)[0] if stored is not None and len(stored) == rows.U32.size else None
    if found == rows.FORMAT:
        return
    if found is None:
        raise VersionMismatch(f"{path} is an LMDB environment, but not one of Isotherm's metadata", format=found)
    raise VersionMismatch(
        f"the metadata in {path} has format {found}, this program writes format {rows.FORMAT}. "
        + (
            "Run: pip install --upgrade isotherm"
            if found > rows.FORMAT
            else "Run: isotherm backup with the older version"
        ),
        format=found,
    )


def _mark_copy(target: Path, info: CopyInfo, map_bytes: int) -> None:
    env = lmdb.open(os.fspath(target), map_size=map_bytes, create=False, mode=0o600)
    try:
        with env.begin(write=True) as txn:
            txn.put(rows.COPY_KEY, rules.STAMP.pack(info.epoch, info.commit, 0))
    finally:
        env.close()


def copy_info(path: Path) -> CopyInfo | None:
    """What the directory `path` is a copy of; None once it has been opened as a store of its own, or was never a copy.

    Raises:
        Corrupt, VersionMismatch, Misuse: as opening it would.
    """
    try:
        env = lmdb.open(os.fspath(path), create=False, readonly=True)
    except lmdb.Error as error:
        raise _why_not_open(error, path) from error
    try:
        with env.begin() as txn:
            stored = txn.get(rows.COPY_KEY)
    finally:
        env.close()
    if stored is None:
        return None
    epoch, commit, _ = rules.STAMP.unpack(stored)
    return CopyInfo(epoch, commit)


def _listed_as_open(error: lmdb.Error) -> bool:
    return "already open in this process" in str(error)


def _why_not_open(error: lmdb.Error, path: Path) -> IsothermError:
    if _listed_as_open(error):
        return Misuse(f"{path} is open in this process")
    if isinstance(error, lmdb.VersionMismatchError):
        return VersionMismatch(f"{path} was written by another version of LMDB: {error}")
    if isinstance(error, lmdb.InvalidError | lmdb.CorruptedError):
        return Corrupt(f"{path} is not an LMDB environment: {error}")
    if isinstance(error, lmdb.MemoryError):
        return NotPermitted(
            f"cannot open {path}: its map takes more address space than this process may have. Run without a limit on that: "
            "ulimit -v unlimited (systemd: LimitAS=infinity)"
        )
    return explain(error, f"cannot open {path}")


_FULL = (lmdb.MapFullError, lmdb.DiskError)


def explain(error: lmdb.Error, doing: str) -> IsothermError:
    """The error tree's word for what LMDB says."""
    code = getattr(error, "code", 0)
    if isinstance(error, _FULL) or code in drive.FULL:
        return NoSpace(f"{doing}: the medium or the map is full ({error})")
    if code in drive.BARRED or isinstance(error, lmdb.ReadonlyError):
        return NotPermitted(f"{doing}: {error}")
    if isinstance(error, lmdb.CorruptedError | lmdb.PageNotFoundError):
        return Corrupt(f"{doing}: {error}")
    if "closed/deleted/dropped" in str(error):
        return Closed(f"{doing}: the metadata store is closed")
    return Unavailable(f"{doing}: {error}")
