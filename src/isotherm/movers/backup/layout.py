"""What lies in a backup directory: pure codecs and names. The format is docs/formats/backup.md.

    isotherm-backup.json             marks the directory, and says of which store
    lock                             held while a backup or a removal works here
    segments/<number>-<sealed>.seg   sealed segments, shared by generations
    generations/<n>/manifest.json    written last: without it there is no generation
    generations/<n>/meta/data.mdb    one consistent copy of the metadata
    generations/<n>/segments/…       segments that were still open

Whatever is being made has a name that ends in `.partial`.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import msgspec

from isotherm.devices import durable
from isotherm.devices.drive import explain
from isotherm.errors import Corrupt, Invalid, NotFound, VersionMismatch
from isotherm.segments.format import crc32c
from isotherm.segments.port import Media

FORMAT = 1
MARK = "isotherm-backup.json"
LOCK = "lock"
SEGMENTS = "segments"
GENERATIONS = "generations"
MANIFEST = "manifest.json"
META = "meta"
META_FILE = "data.mdb"
PARTIAL = ".partial"

_MEDIA = frozenset(media.value for media in Media)
_SEGMENT = re.compile(r"[0-9a-f]{16}").fullmatch


class Mark(msgspec.Struct, frozen=True):
    """Of the directory: whose backups lie in it."""

    format: int
    store: str


class File(msgspec.Struct, frozen=True):
    """A file of a generation. `path` is relative to the backup directory; `crc32c` is of all its bytes, hexadecimal."""

    path: str
    size: int
    crc32c: str


class SegmentFile(msgspec.Struct, frozen=True):
    """A segment of a generation. `media` is the class it was written for."""

    segment: str
    media: str
    file: File


class Manifest(msgspec.Struct, frozen=True):
    """A generation: everything up to commit number `commit` of `epoch`. Times in milliseconds since 1970.

    Args:
        missing: segments that something referred to and whose file was not there to be copied.
        damaged: segments of which the medium gave not every sector back; zeros stand in their place.
    """

    format: int
    generation: int
    store: str
    store_created_ms: int
    program: str
    epoch: int
    commit: int
    begun_ms: int
    ended_ms: int
    meta: File
    segments: list[SegmentFile]
    missing: list[str] = []
    damaged: list[str] = []

    @property
    def size(self) -> int:
        return self.meta.size + sum(one.file.size for one in self.segments)


class _Sealed(msgspec.Struct):
    """The manifest file: the bytes of the manifest beside their checksum."""

    crc32c: str
    manifest: msgspec.Raw


def hexadecimal(checksum: int) -> str:
    return f"{checksum:08x}"


def shared_name(segment: int, sealed_ms: int) -> str:
    """Of a sealed segment. The time of sealing tells apart what a restored store and its origin make of one number."""
    return f"{segment:016x}-{sealed_ms:x}.seg"


def generation_name(number: int) -> str:
    return f"{number:06d}"


def encode_manifest(manifest: Manifest) -> bytes:
    raw = msgspec.json.encode(manifest)
    return msgspec.json.encode(_Sealed(hexadecimal(crc32c(raw)), msgspec.Raw(raw)))


def decode_manifest(data: bytes, path: Path) -> Manifest:
    """Raises `Corrupt`, and `VersionMismatch` for another format."""
    try:
        sealed = msgspec.json.decode(data, type=_Sealed)
        raw = bytes(sealed.manifest)
        if sealed.crc32c != hexadecimal(crc32c(raw)):
            raise Corrupt(f"{path} fails its checksum")
        stated = msgspec.json.decode(raw)
        if not isinstance(stated, dict) or stated.get("format") != FORMAT:
            raise VersionMismatch(f"{path} is of another format; this program reads {FORMAT}")
        manifest = msgspec.convert(stated, Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Corrupt(f"{path} is not a manifest: {error}") from error
    _check_names(manifest, path)
    return manifest


def _check_names(manifest: Manifest, path: Path) -> None:
    """A checksum proves no good will: what a manifest names lies within the backup, and goes nowhere but into the store."""
    for one in manifest.segments:
        if _SEGMENT(one.segment) is None:
            raise Corrupt(f"{path} is not a manifest: it names {one.segment!r} as a segment")
        if one.media not in _MEDIA:
            raise Corrupt(f"{path} is not a manifest: it names {one.media!r} as a media class")
    for file in (manifest.meta, *(one.file for one in manifest.segments)):
        place = PurePosixPath(file.path)
        if not file.path or "\0" in file.path or place.is_absolute() or ".." in place.parts:
            raise Corrupt(f"{path} is not a manifest: it names {file.path!r}, which is not within the backup")


def read_mark(directory: Path) -> Mark | None:
    """None where there is no backup directory. Raises `Invalid` and `VersionMismatch`."""
    data = _read(directory / MARK)
    if data is None:
        return None
    try:
        mark = msgspec.json.decode(data, type=Mark)
    except msgspec.DecodeError as error:
        raise Invalid(f"{directory / MARK} is not readable as the mark of a backup directory") from error
    if mark.format != FORMAT:
        raise VersionMismatch(f"{directory} has backup format {mark.format}; this program reads {FORMAT}")
    return mark


def encode_mark(store: str) -> bytes:
    return msgspec.json.encode(Mark(FORMAT, store)) + b"\n"


def numbers(directory: Path) -> list[int]:
    """The numbers that are taken, oldest first: of the complete generations, and of those that have lost their manifest."""
    try:
        names = [path.name for path in (directory / GENERATIONS).iterdir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise explain(error, f"cannot read {directory}") from error
    return sorted(int(name) for name in names if name.isdecimal() and name == generation_name(int(name)))


def generations(directory: Path) -> list[int]:
    """The numbers of the complete generations, oldest first."""
    return [number for number in numbers(directory) if manifest_path(directory, number).is_file()]


def manifest_path(directory: Path, generation: int) -> Path:
    return directory / GENERATIONS / generation_name(generation) / MANIFEST


def read_manifest(directory: Path, generation: int) -> Manifest:
    """Raises `NotFound`, `Corrupt`, `VersionMismatch`."""
    path = manifest_path(directory, generation)
    data = _read(path)
    if data is None:
        raise NotFound(f"there is no generation {generation} in {directory}")
    return decode_manifest(data, path)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise explain(error, f"cannot read {path}") from error


def sync(directory: Path) -> None:
    """Make the names in a directory durable."""
    try:
        durable.sync_directory(directory)
    except OSError as error:
        raise explain(error, f"cannot sync {directory}") from error
