"""Copies of metadata as directories of LMDB's, whatever engine they are of: for backups and for fsck.

`CopiedMeta` reads one without making a store of it. Whoever opens a copy with `LmdbMeta.open` gives it a new epoch; here it
stays what it was, and nothing is written. `WrittenCopy` makes one of the rows of another engine. Nobody else may have it
open. Any thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import lmdb

from isotherm.devices import durable
from isotherm.errors import Invalid, Unavailable
from isotherm.meta import rules
from isotherm.meta.lmdb import keys, rows
from isotherm.meta.lmdb.environment import CopyInfo, copy_info, explain
from isotherm.meta.port import Pairs


class CopiedMeta:
    """A `port.Reader` of one copy; close it. `info` says of what it is a copy.

    Raises:
        Invalid: it is no copy, or has been opened as a store.
        Corrupt, VersionMismatch, Misuse: it cannot be read.
    """

    def __init__(self, directory: Path) -> None:
        info = copy_info(directory)
        if info is None:
            raise Invalid(f"{directory} is no copy of a metadata directory")
        self.info: CopyInfo = info
        try:
            self._env = lmdb.open(os.fspath(directory), create=False, readonly=True, lock=False)
            self._txn = self._env.begin()
        except lmdb.Error as error:
            raise explain(error, f"cannot open {directory}") from error

    async def get(self, key: bytes) -> bytes | None:
        try:
            return keys.get(self._txn, key)
        except lmdb.Error as error:
            raise explain(error, "cannot read") from error

    async def range(self, start: bytes, end: bytes, limit: int, *, reverse: bool = False) -> Pairs:
        try:
            return keys.scan(self._txn, start, min(end, rules.RESERVED), limit, reverse)
        except lmdb.Error as error:
            raise explain(error, "cannot read") from error

    def close(self) -> None:
        """Idempotent."""
        self._txn.abort()
        self._env.close()

    def __enter__(self) -> CopiedMeta:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class WrittenCopy:
    """A copy being made in `directory`, which must not exist. `put` rows, then `finish`; durable then. Blocks.

    Raises (all its methods):
        Invalid: the directory exists.
        NoSpace, Unavailable.
    """

    def __init__(self, directory: Path, map_bytes: int) -> None:
        try:
            directory.mkdir(mode=0o700)
        except FileExistsError:
            raise Invalid(f"{directory} exists already; a copy is made into a new directory") from None
        except OSError as error:
            raise Unavailable(f"cannot make {directory}: {error.strerror}") from error
        self._directory = directory
        try:
            self._env = lmdb.open(os.fspath(directory), map_size=map_bytes, mode=0o600, sync=False, lib_version=0)
        except lmdb.Error as error:
            raise explain(error, f"cannot make {directory}") from error

    def put(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Rows of the port, and feed records under `rows.feed_prefix(feed) ‖ stamp`; in any order."""
        try:
            with self._env.begin(write=True) as txn:
                for key, value in pairs:
                    if key >= rules.RESERVED:
                        txn.put(key, value)
                    else:
                        keys.put(txn, key, value)
        except lmdb.Error as error:
            raise explain(error, f"cannot write to {self._directory}") from error

    def finish(self, info: CopyInfo, floors: Mapping[bytes, bytes], counts: Mapping[bytes, int]) -> None:
        """`floors`: feed → the stamp of its last trimmed record. `counts`: feed → how many records it holds."""
        own = [
            (rows.VERSION_KEY, rows.U32.pack(rows.FORMAT)),
            (rows.EPOCH_KEY, rows.U32.pack(info.epoch)),
            (rows.COPY_KEY, rules.STAMP.pack(info.epoch, info.commit, 0)),
            *((rows.floor_key(feed), stamp) for feed, stamp in floors.items()),
            *((rows.count_key(feed), rows.U64.pack(count)) for feed, count in counts.items()),
        ]
        self.put(own)
        try:
            self._env.sync(True)
        except lmdb.Error as error:
            raise explain(error, f"cannot write to {self._directory}") from error
        self.close()
        durable.sync_directory(self._directory)
        durable.sync_directory(self._directory.parent)

    def close(self) -> None:
        """Idempotent."""
        self._env.close()
