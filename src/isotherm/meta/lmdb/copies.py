"""Reading a copy of a metadata directory as a copy, without making a store of it: for backups and for fsck.

Whoever opens a copy with `LmdbMeta.open` gives it a new epoch; here it stays what it was, and nothing is written. Nobody
else may have it open. Any thread.
"""

from __future__ import annotations

import os
from pathlib import Path

import lmdb

from isotherm.errors import Invalid
from isotherm.meta import rules
from isotherm.meta.lmdb import keys
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
