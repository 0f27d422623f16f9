"""The key-store port: secrets that lie outside `meta` and outside every backup.

On one node the store is a directory of small files, each replaced atomically. A file that was replaced or removed may
still be found on its medium: this engine cannot claim that the medium forgot. With several nodes a KMS takes its place.

Safe from any thread and process. Secrets never appear in errors or logs.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Protocol

from isotherm.devices import durable
from isotherm.devices.drive import explain
from isotherm.errors import Denied, Misuse
from isotherm.ids import Ids

KEY_BYTES = 32
ROOT = "root"


class KeyStore(Protocol):
    def key(self, name: str) -> bytes:
        """The 32 bytes of the key `name`, made when first asked for.

        Raises:
            Denied: the key is there, but others than its owner could read it.
            Misuse: what is there is not a key.
            Unavailable: the store cannot be read.
        """
        ...


class FileKeys:
    """Keys as files `<name>.key`, readable by their owner alone.

    Args:
        root: the root key's file, where it is another one: several nodes share it, and none of them makes it.
    """

    __slots__ = ("_directory", "_ids", "_root")

    def __init__(self, directory: Path, ids: Ids, root: Path | None = None) -> None:
        self._directory = directory
        self._ids = ids
        self._root = root

    def key(self, name: str) -> bytes:
        shared = self._root if name == ROOT else None
        path = shared or self._directory / f"{name}.key"
        try:
            data = durable.read_small(path)
            if data is None and shared is not None:
                raise Misuse(f"there is no root key at {path}")
            if data is None:
                durable.create(path, self._ids.token(KEY_BYTES), self._ids)
                data = durable.read_small(path) or b""
            mode = stat.S_IMODE(os.stat(path).st_mode)
        except OSError as error:
            raise explain(error, f"cannot read the key {path}") from error
        if mode & 0o027:
            raise Denied(f"others can read or change the key {path} (mode {mode:03o}). Run: chmod 600 {path}")
        if len(data) != KEY_BYTES:
            raise Misuse(f"{path} holds {len(data)} bytes; a key has {KEY_BYTES}")
        return data
