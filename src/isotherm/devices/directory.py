"""The data directory of a store: what lies where in it, and which versions of its format this program opens.

`isotherm.json` marks a directory as ours and is written before anything else; docs/formats/data-directory.md is the
specification. Nothing here locks: who may write is decided by the locks in `run/`. Safe from any process; of two that
create a store at once, one makes it and both open it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from isotherm.clock import Clock
from isotherm.devices import durable
from isotherm.devices.drive import explain
from isotherm.errors import Invalid, NotFound, VersionMismatch
from isotherm.ids import Ids

FORMAT = 1
MARK = "isotherm.json"
STORE_ID_BYTES = 16

MetaKind = Literal["lmdb", "postgresql"]
"""Where the metadata lies: in the directory itself, or in a database."""

_ROOMS = ("meta", "performance", "capacity", "run", "keys", "log")
_HARMLESS = {"lost+found", ".snapshot", ".zfs"}  # what file systems themselves put into an empty one


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """An opened data directory.

    Args:
        store_id: 32 hexadecimal digits, drawn when the store was made.
        meta_kind: where its metadata lies.
        claimed: False while it is not known yet whether the database is this store's (`claim_directory`).
    """

    path: Path
    store_id: str
    created_ms: int
    meta_kind: MetaKind = "lmdb"
    claimed: bool = True

    @property
    def meta(self) -> Path:
        return self.path / "meta"

    @property
    def performance(self) -> Path:
        return self.path / "performance"

    @property
    def capacity(self) -> Path:
        return self.path / "capacity"

    @property
    def run(self) -> Path:
        """Locks, sockets and addresses of running processes; worth nothing when none runs."""
        return self.path / "run"

    @property
    def keys(self) -> Path:
        """Secrets; no part of any backup."""
        return self.path / "keys"

    @property
    def root_credentials(self) -> Path:
        """The first pair of keys, in the format of AWS's shared credentials file."""
        return self.keys / "root-credentials"

    @property
    def log(self) -> Path:
        return self.path / "log"

    @property
    def access_log(self) -> Path:
        return self.log / "access.log"


def open_directory(
    path: Path, *, program: str, clock: Clock, ids: Ids, create: bool = True, meta_kind: MetaKind = "lmdb"
) -> DataDirectory:
    """Open the data directory at `path`, and make it where there is none and `create` is set.

    Args:
        program: the running version of Isotherm, recorded in a directory that is made here.
        meta_kind: where the caller means to find the metadata.

    Raises:
        NotFound: there is no store and `create` is not set.
        Invalid: something else lies there, the mark is not readable as one, or its metadata lies elsewhere.
        VersionMismatch: another version of the format; the message holds the command that helps.
        NoSpace, Unavailable: the operating system refuses.
    """
    path = path.absolute()
    try:
        mark = _read_mark(path)
        if mark is None:
            if not create:
                raise NotFound(f"{path} holds no Isotherm store", code="NoSuchStore")
            _refuse_foreign(path)
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            store_id = ids.token(STORE_ID_BYTES).hex()
            made = DataDirectory(path, store_id, clock.now_ms(), meta_kind, claimed=meta_kind == "lmdb")
            durable.create(path / MARK, _encode(made, program), ids, mode=0o644)
            durable.sync_directory(path.parent)
            mark = _read_mark(path)
        opened = _check(path, program, mark)
        if opened.meta_kind != meta_kind:
            raise Invalid(_elsewhere(opened))
        for room in _ROOMS:
            durable.make_directory(path / room)
    except OSError as error:
        raise explain(error, f"cannot open the data directory {path}") from error
    return opened


def is_data_directory(path: Path) -> bool:
    """Whether a store has been made there, readable or not."""
    return os.path.lexists(path / MARK)


def claim_directory(
    directory: DataDirectory, store_id: str, created_ms: int, *, program: str, ids: Ids
) -> DataDirectory:
    """Record that the directory and its database are of one store, whose id the database decides. Raises Unavailable, NoSpace."""
    claimed = replace(directory, store_id=store_id, created_ms=created_ms, claimed=True)
    try:
        durable.replace(directory.path / MARK, _encode(claimed, program), ids, mode=0o644)
    except OSError as error:
        raise explain(error, f"cannot write {directory.path / MARK}") from error
    return claimed


def mark_directory(path: Path, *, program: str, store_id: str, created_ms: int, ids: Ids) -> None:
    """Make `path` a data directory: the first step of a new store, the last of one that is put back from a backup.

    Nothing happens where it is one already. Raises OSError.
    """
    durable.create(path / MARK, _encode(DataDirectory(path, store_id, created_ms), program), ids, mode=0o644)
    durable.sync_directory(path.parent)


def _encode(directory: DataDirectory, program: str) -> bytes:
    mark: dict[str, object] = {
        "format": FORMAT,
        "store": directory.store_id,
        "created_ms": directory.created_ms,
        "written_by": program,
    }
    if directory.meta_kind != "lmdb":
        mark |= {"meta": directory.meta_kind, "claimed": directory.claimed}
    return (json.dumps(mark, indent=2) + "\n").encode()


def _elsewhere(directory: DataDirectory) -> str:
    if directory.meta_kind == "lmdb":
        return (
            f"{directory.path} holds its metadata itself, and no database does. Run without --meta and ISOTHERM_META, "
            "or name another directory with --data"
        )
    return (
        f"the metadata of {directory.path} lies in PostgreSQL. Name its database: --meta postgresql://…, or ISOTHERM_META, "
        "or in a program isotherm.open(path, settings=Settings(path, meta=…))"
    )


def _read_mark(path: Path) -> object:
    try:
        data = durable.read_small(path / MARK)
    except NotADirectoryError as error:
        raise Invalid(f"{path} is not a directory") from error
    if data is None:
        return None
    try:
        return json.loads(data)
    except ValueError as error:
        raise Invalid(f"{path / MARK} is not readable as the mark of an Isotherm store") from error


def _refuse_foreign(path: Path) -> None:
    try:
        names = os.listdir(path)
    except FileNotFoundError:
        return
    foreign = [name for name in names if name not in _HARMLESS and not name.startswith(durable.TEMPORARY_PREFIX)]
    if foreign and MARK not in names:  # whoever makes the store at the same time may be ahead
        raise Invalid(
            f"{path} is not empty and holds no Isotherm store ({foreign[0]!r} is there): name an empty directory"
        )


def _check(path: Path, program: str, mark: object) -> DataDirectory:
    match mark:
        case {"format": int(number), "written_by": str(writer)} if number != FORMAT:
            raise VersionMismatch(
                f"{path} has format {number}, written by Isotherm {writer}; this is Isotherm {program}, which opens "
                f"format {FORMAT}. Run: pip install 'isotherm{'>=' if number > FORMAT else '=='}{writer}'",
                format=number,
            )
        case {"format": int(), "store": str(store_id), "created_ms": int(created_ms), "meta": "postgresql", **rest}:
            return DataDirectory(path, store_id, created_ms, "postgresql", claimed=bool(rest.get("claimed")))
        case {"meta": _}:
            raise Invalid(f"{path / MARK} names an engine of metadata that Isotherm {program} does not know")
        case {"format": int(), "store": str(store_id), "created_ms": int(created_ms)}:
            return DataDirectory(path, store_id, created_ms)
        case _:
            raise Invalid(f"{path / MARK} is not readable as the mark of an Isotherm store")
