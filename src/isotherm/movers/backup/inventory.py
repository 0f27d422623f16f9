"""What a backup directory holds: the generations that can be read, the files they vouch for, and whether these are still so.

A manifest that cannot be read vouches for nothing, and stops nobody: what only it named is copied again by the next backup.
But it may name segments of which nobody else knows, so that while one is kept no segment is removed.

Blocks on the device; under the directory's lock.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from isotherm.devices.copying import read_through
from isotherm.devices.drive import Drive, explain
from isotherm.errors import IsothermError, NotFound
from isotherm.movers.backup import layout
from isotherm.movers.backup.layout import File
from isotherm.segments.format import crc32c


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A generation that cannot be restored. `why` names its manifest."""

    generation: int
    why: str


@dataclass(frozen=True, slots=True)
class Rotten:
    """A file of the backup directory that is not what was backed up, and the generations that need it."""

    path: str
    generations: list[int]


@dataclass(frozen=True, slots=True)
class Inventory:
    """What was found.

    Args:
        readable: numbers of the generations whose manifests can be read, oldest first.
        vouched: by path, what the manifests say of a file (they agree, but where it was damaged and copied anew), and which.
    """

    readable: list[int] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    vouched: dict[str, dict[File, list[int]]] = field(default_factory=dict)

    def newest(self, path: str) -> File | None:
        """What the newest generation that names a file says of it."""
        said = self.vouched.get(path)
        return next(reversed(said)) if said else None

    @property
    def size(self) -> int:
        """Bytes of all files, as the newest manifests have them."""
        return sum(next(reversed(said)).size for said in self.vouched.values())

    def used_since(self, oldest: int) -> set[str]:
        """Paths that a generation from `oldest` on names."""
        return {
            path
            for path, said in self.vouched.items()
            if any(number >= oldest for numbers in said.values() for number in numbers)
        }

    def unlike(self, path: str, actual: File | None) -> Rotten | None:
        """The generations that `actual` is no good for; None where it is good for all that name it."""
        said = self.vouched[path]
        generations = sorted(number for file, numbers in said.items() if file != actual for number in numbers)
        return Rotten(path, generations) if generations else None


def take_inventory(target: Path, numbers: list[int]) -> Inventory:
    """Read the manifests of these generations, oldest first."""
    found = Inventory()
    for number in numbers:
        try:
            manifest = layout.read_manifest(target, number)
        except NotFound:
            found.unreadable.append(Unreadable(number, f"{layout.manifest_path(target, number)} is missing"))
        except IsothermError as error:
            found.unreadable.append(Unreadable(number, str(error)))
        else:
            found.readable.append(number)
            for file in (manifest.meta, *(one.file for one in manifest.segments)):
                said = found.vouched.setdefault(file.path, {})
                said[file] = [*said.pop(file, ()), number]
    return found


def verify(target: Path, found: Inventory, device: Drive, told: Callable[[int], None]) -> list[Rotten]:
    """Read every file that a manifest vouches for: those that some manifest does not describe as they are now.

    Args:
        told: called with the size of each file read.

    Raises:
        Unavailable: the device fails otherwise than by not giving a file's bytes back.
    """
    rotten = []
    for path in found.vouched:
        actual = _read(target, path, device)
        told(actual.size if actual is not None else 0)
        unlike = found.unlike(path, actual)
        if unlike is not None:
            rotten.append(unlike)
    return rotten


def _read(target: Path, path: str, device: Drive) -> File | None:
    """What a file is now; None where it is gone or has sectors that do not come back."""
    try:
        fd = device.open(target / path, os.O_RDONLY)
        try:
            read = read_through(device, fd, crc32c)
        finally:
            device.close(fd)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    except OSError as error:
        raise explain(error, f"cannot read {target / path}") from error
    return None if read.lost_bytes else File(path, read.size, layout.hexadecimal(read.checksum))
