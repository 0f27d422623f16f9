"""Copying whole files, durable, and told what was copied.

The checksum is of the bytes that were copied, as they were copied: a copy that reads differently later is damaged. Where a
medium cannot give some sectors back, the rest is saved and zeros stand in their place. Blocks on the device; any thread.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from isotherm.devices.drive import Drive, write_all

_PIECE_BYTES = 1 << 20
_SECTOR_BYTES = 4_096

Checksum = Callable[[bytes, int], int]
"""The checksum of a piece, continued from that of what went before."""


@dataclass(frozen=True, slots=True)
class Copied:
    """`lost_bytes`: of sectors that could not be read, and are zeros in the copy."""

    size: int
    checksum: int
    lost_bytes: int


def read_through(
    device: Drive, fd: int, checksum: Checksum, take: Callable[[bytes], None] = lambda piece: None
) -> Copied:
    """Read a file from its start to its end. Raises OSError, but not for what the medium cannot give back."""
    at = running = lost = 0
    while True:
        try:
            piece = device.pread(fd, _PIECE_BYTES, at)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            piece, missing = _salvage(device, fd, at)
            lost += missing
        if not piece:
            return Copied(at, running, lost)
        running = checksum(piece, running)
        take(piece)
        at += len(piece)


def _salvage(device: Drive, fd: int, at: int) -> tuple[bytes, int]:
    """The next piece of a file, sector by sector, and how many bytes of it could not be read."""
    end = min(at + _PIECE_BYTES, device.size(fd))
    sectors = []
    lost = 0
    while at < end:
        length = min(_SECTOR_BYTES - at % _SECTOR_BYTES, end - at)
        try:
            sector = device.pread(fd, length, at)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            sector = b""
        lost += length if not sector else 0
        sectors.append(sector.ljust(length, b"\0"))
        at += length
    return b"".join(sectors), lost


def copy_file(
    device: Drive, source: int, target: Path, checksum: Checksum, told: Callable[[int], None] = lambda size: None
) -> Copied:
    """Copy the file open as `source` to `target`, which must not exist; synced on return, but for its name.

    Args:
        told: called with the size of each piece copied.

    Raises:
        OSError: `target` does not exist then.
    """
    fd = device.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    written = 0

    def write(piece: bytes) -> None:
        nonlocal written
        written += write_all(device, fd, [piece], written)
        told(len(piece))

    try:
        copied = read_through(device, source, checksum, write)
        device.fdatasync(fd)
    except BaseException:
        with suppress(OSError):
            device.unlink(target)
        raise
    finally:
        device.close(fd)
    return copied
