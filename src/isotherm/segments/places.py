"""Which directories hold a store's segments, beside its own two: remembered by the store, and each marked as the store's.

The data directory's `segments.json` names every directory that was ever given, so that whoever opens the store finds all of its
segments without being told again. Each of them bears a mark with the store's id, so that a medium that is not mounted, or
another one in its place, is told and not taken for an empty one. Specified in docs/formats/data-directory.md.

Called while a store is opened, from any process; it blocks. A lock lets one process at a time change what is remembered.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from isotherm.devices import durable
from isotherm.devices.drive import SystemDrive, explain
from isotherm.devices.locks import KeptLock, lock
from isotherm.errors import Invalid, Unavailable, VersionMismatch
from isotherm.ids import Ids
from isotherm.segments.port import Media

FORMAT = 1
REMEMBERED = "segments.json"
MARK = "isotherm-segments.json"
_LOCK = "segments.lock"
_HARMLESS = {"lost+found", ".snapshot", ".zfs"}

Places = Mapping[Media, Sequence[Path]]


def segment_places(home: Path, store: str, own: Places, named: Places, ids: Ids) -> dict[Media, tuple[Path, ...]]:
    """Every directory of the store's segments: its own, those it remembers, and those named now, which it remembers from now on.

    Args:
        home: the data directory, with its `run/`.
        store: the store's id.
        own: directories within `home`, which need no mark.
        named: further ones, existing or to be made; an existing one must be empty, or the store's already.

    Raises:
        Invalid: a directory holds something else, another store's segments, or another media class.
        Unavailable: a remembered directory is not there, or has lost its mark; or the operating system refuses.
        NoSpace, VersionMismatch.
    """
    at_home = {path for paths in own.values() for path in paths}
    wanted = [(media, path.resolve()) for media in Media for path in named.get(media, ())]
    wanted = [(media, path) for media, path in wanted if path not in at_home]
    try:
        remembered = _remembered(home)
        for media, path in remembered:
            _demand_marked(path, store, media)
        if not set(wanted) <= set(remembered):
            with closing(KeptLock(SystemDrive().open(home / "run" / _LOCK, os.O_RDWR | os.O_CREAT))) as held:
                lock(held.fd)
                remembered = _remember(home, store, wanted, ids)
    except OSError as error:
        raise explain(error, f"cannot open {error.filename or 'a directory of segments'}") from error
    return {media: (*own.get(media, ()), *(path for of, path in remembered if of is media)) for media in Media}


def _remember(home: Path, store: str, wanted: Sequence[tuple[Media, Path]], ids: Ids) -> list[tuple[Media, Path]]:
    known = _remembered(home)
    for media, path in dict.fromkeys(wanted):
        if (media, path) not in known:
            _mark(home, path, store, media, ids)
            known.append((media, path))
    told = {"format": FORMAT, **{media.value: [str(path) for of, path in known if of is media] for media in Media}}
    durable.replace(home / REMEMBERED, (json.dumps(told, indent=2) + "\n").encode(), ids, mode=0o644)
    return known


def _remembered(home: Path) -> list[tuple[Media, Path]]:
    told = _read(home / REMEMBERED)
    if told is None:
        return []
    return [(media, Path(path)) for media in Media for path in told.get(media.value, ())]


def _mark(home: Path, path: Path, store: str, media: Media, ids: Ids) -> None:
    if path.is_relative_to(home.resolve()):
        raise Invalid(f"{path} lies within the store; a further directory of segments lies elsewhere")
    if not path.parent.is_dir():
        raise Invalid(f"{path} cannot be made: there is no directory {path.parent}")
    durable.make_directory(path)
    if _read(path / MARK) is None:
        names = os.listdir(path)
        foreign = [name for name in names if name not in _HARMLESS and not name.startswith(durable.TEMPORARY_PREFIX)]
        if foreign and MARK not in names:
            raise Invalid(f"{path} is not empty ({foreign[0]!r} is there): segments need a directory of their own")
        told = {"format": FORMAT, "store": store, "media": media.value}
        durable.create(path / MARK, (json.dumps(told, indent=2) + "\n").encode(), ids, mode=0o644)
    _demand_marked(path, store, media)


def _demand_marked(path: Path, store: str, media: Media) -> None:
    told = _read(path / MARK)
    if told is None:
        raise Unavailable(f"{path} holds segments of this store, and is not there (no {MARK}): mount its medium")
    if told.get("store") != store:
        raise Invalid(f"{path} holds segments of another store ({told.get('store')})")
    if told.get("media") != media.value:
        raise Invalid(f"{path} is of media class {told.get('media')}, not {media.value}")


def _read(path: Path) -> dict[str, Any] | None:
    data = durable.read_small(path)
    if data is None:
        return None
    try:
        told = json.loads(data)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        raise Invalid(f"{path} is not readable as what Isotherm writes there")
    if told.get("format") != FORMAT:
        raise VersionMismatch(f"{path} has format {told.get('format')}; this program reads {FORMAT}")
    return told
