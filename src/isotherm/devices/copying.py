"""Copying whole files, durable, and told what was copied.

The checksum is of the bytes that were read, as they were read: a copy that reads differently later is damaged. Blocks on
the device; any thread.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from isotherm.devices.drive import Drive, write_all

_PIECE_BYTES = 1 << 20

Checksum = Callable[[bytes, int], int]
"""The checksum of a piece, continued from that of what went before."""


@dataclass(frozen=True, slots=True)
class Copied:
    size: int
    checksum: int


def read_through(
    device: Drive, fd: int, checksum: Checksum, take: Callable[[bytes], None] = lambda piece: None
) -> Copied:
    """Read a file from its start to its end. Raises OSError."""
    at = running = 0
    while piece := device.pread(fd, _PIECE_BYTES, at):
        running = checksum(piece, running)
        take(piece)
        at += len(piece)
    return Copied(at, running)


def copy_file(
    device: Drive, source: int, target: Path, checksum: Checksum, told: Callable[[int], None] = lambda size: None
) -> Copied:
    """Copy the file open as `source` to `target`, which must not exist; synced on return, but for its name.

    Args:
        told: called with the size of each piece copied.

    Raises:
        OSError: `target` does not exist then.
    """
    fd = device.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
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
