"""The data directory of a store: what lies where in it, and which versions of its format this program opens.

`isotherm.json` marks a directory as ours and is written before anything else; docs/formats/data-directory.md is the
specification. Nothing here locks: who may write is decided by the locks in `run/`. Safe from any process; of two that
create a store at once, one makes it and both open it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from isotherm.clock import Clock
from isotherm.devices import durable
from isotherm.devices.drive import explain
from isotherm.errors import Invalid, NotFound, VersionMismatch
from isotherm.ids import Ids

FORMAT = 1
MARK = "isotherm.json"
STORE_ID_BYTES = 16

_ROOMS = ("meta", "performance", "capacity", "run", "keys", "log")
_HARMLESS = {"lost+found", ".snapshot", ".zfs"}  # what file systems themselves put into an empty one


@dataclass(frozen=True, slots=True)
class DataDirectory:
    """An opened data directory. `store_id` is 32 hexadecimal digits, drawn when the store was made."""

    path: Path
    store_id: str
    created_ms: int

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


def open_directory(path: Path, *, program: str, clock: Clock, ids: Ids, create: bool = True) -> DataDirectory:
    """Open the data directory at `path`, and make it where there is none and `create` is set.

    Args:
        program: the running version of Isotherm, recorded in a directory that is made here.

    Raises:
        NotFound: there is no store and `create` is not set.
        Invalid: something else lies there, or the mark is not readable as one.
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
            mark_directory(path, program=program, store_id=store_id, created_ms=clock.now_ms(), ids=ids)
            mark = _read_mark(path)
        store_id, created_ms = _check(path, program, mark)
        for room in _ROOMS:
            durable.make_directory(path / room)
    except OSError as error:
        raise explain(error, f"cannot open the data directory {path}") from error
    return DataDirectory(path, store_id, created_ms)


def mark_directory(path: Path, *, program: str, store_id: str, created_ms: int, ids: Ids) -> None:
    """Make `path` a data directory: the first step of a new store, the last of one that is put back from a backup.

    Nothing happens where it is one already. Raises OSError.
    """
    mark = {"format": FORMAT, "store": store_id, "created_ms": created_ms, "written_by": program}
    durable.create(path / MARK, (json.dumps(mark, indent=2) + "\n").encode(), ids, mode=0o644)
    durable.sync_directory(path.parent)


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


def _check(path: Path, program: str, mark: object) -> tuple[str, int]:
    match mark:
        case {"format": int(number), "written_by": str(writer)} if number != FORMAT:
            raise VersionMismatch(
                f"{path} has format {number}, written by Isotherm {writer}; this is Isotherm {program}, which opens "
                f"format {FORMAT}. Run: pip install 'isotherm{'>=' if number > FORMAT else '=='}{writer}'",
                format=number,
            )
        case {"format": int(), "store": str(store_id), "created_ms": int(created_ms)}:
            return store_id, created_ms
        case _:
            raise Invalid(f"{path / MARK} is not readable as the mark of an Isotherm store")
