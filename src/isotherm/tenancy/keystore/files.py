"""Keys as files, each replaced atomically, readable by their owner alone: the key store of one node.

    <directory>/root.key            the root key; or the file that several nodes share
    <directory>/tenants/17.key      the secret of tenant 17

A file that was removed may still be found on its medium: this engine cannot claim that the medium forgot.

Any thread and process. Reading takes microseconds and happens on the caller's thread; making and destroying wait for the
medium, and do so off the event loop.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from isotherm.devices import durable
from isotherm.devices.drive import explain
from isotherm.devices.waiting import offload
from isotherm.errors import Denied, Misuse
from isotherm.ids import Ids
from isotherm.tenancy.keystore.port import KEY_BYTES, ROOT

_REMAINS = (
    "The file of the secret has been removed. What its medium, a snapshot of its file system or a copy that somebody made of "
    "the key directory still holds, this store cannot tell."
)


class FileKeys:
    """See the module and `KeyStore`.

    Args:
        root: the root key's file, where it is another one: several nodes share it, and none of them makes it.
        tenants: the directory of tenants' secrets, where it is another one: on a file system that several nodes share.
        refusal: why no tenant's secret may be made here, where that is so.
    """

    __slots__ = ("_directory", "_ids", "_refusal", "_root", "_tenants")

    def __init__(
        self, directory: Path, ids: Ids, root: Path | None = None, tenants: Path | None = None, refusal: str = ""
    ) -> None:
        self._refusal = refusal
        self._directory = directory
        self._ids = ids
        self._root = root
        self._tenants = tenants or directory / "tenants"

    @property
    def remains(self) -> str:
        return _REMAINS

    def key(self, name: str) -> bytes:
        path = self._own(name)
        data = _read(path)
        if data is None and name == ROOT and self._root is not None:
            raise Misuse(f"there is no root key at {path}")
        return data if data is not None else self._made(path)

    def present(self, name: str) -> bytes | None:
        return _read(self._own(name))

    def remedy(self, of: int | str) -> str:
        if isinstance(of, str):
            return f"copy {self._own(of)} back from your copy of keys/"
        return f"copy {self._path(of)} back from your copy of {self._tenants.parent.name}/{self._tenants.name}/"

    async def secret(self, tenant: int) -> bytes | None:
        return _read_secret(self._path(tenant))

    async def make(self, tenant: int) -> bytes:
        if self._refusal:
            raise Denied(self._refusal, code="KeyStoreNotShared")
        return await offload(self._make, tenant)

    async def destroy(self, tenant: int) -> bool:
        return await offload(self._destroy, tenant)

    def _own(self, name: str) -> Path:
        return (self._root if name == ROOT else None) or self._directory / f"{name}.key"

    def _path(self, tenant: int) -> Path:
        return self._tenants / f"{tenant}.key"

    def _make(self, tenant: int) -> bytes:
        try:
            durable.make_directory(self._tenants.parent)  # of a directory that was named
            durable.make_directory(self._tenants)
        except OSError as error:
            raise explain(error, f"cannot make the key directory {self._tenants}") from error
        return _read_secret(self._path(tenant)) or self._made(self._path(tenant))

    def _made(self, path: Path) -> bytes:
        try:
            durable.create(path, self._ids.token(KEY_BYTES), self._ids)
        except OSError as error:
            raise explain(error, f"cannot make the key {path}") from error
        return _read(path) or b""

    def _destroy(self, tenant: int) -> bool:
        path = self._path(tenant)
        try:
            there = path.exists()
            path.unlink(missing_ok=True)
            if self._tenants.exists():  # also where somebody else removed it and died before that was durable
                durable.sync_directory(self._tenants)
        except OSError as error:
            raise explain(error, f"cannot destroy the key {path}") from error
        return there


def _read_secret(path: Path) -> bytes | None:
    """A tenant's. Raises Denied for what is no key: it concerns that tenant alone."""
    try:
        return _read(path)
    except Misuse as error:
        raise Denied(str(error), code="TenantKeyWrong") from error


def _read(path: Path) -> bytes | None:
    """A key; None where there is no file. Errors as `KeyStore`."""
    try:
        data = durable.read_small(path)
        if data is None:
            return None
        mode = stat.S_IMODE(os.stat(path).st_mode)
    except FileNotFoundError:  # destroyed since it was read
        return None
    except OSError as error:
        raise explain(error, f"cannot read the key {path}") from error
    if mode & 0o027:
        raise Denied(f"others can read or change the key {path} (mode {mode:03o}). Run: chmod 600 {path}")
    if len(data) != KEY_BYTES:
        raise Misuse(f"{path} holds {len(data)} bytes; a key has {KEY_BYTES}")
    return data
