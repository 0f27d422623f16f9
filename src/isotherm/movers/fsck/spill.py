"""Sorting more entries than fit in memory: sorted runs in scratch files, merged as they are read.

Entries are byte strings; they come out in order, duplicates included. About `held_most` bytes of them lie in memory while
they are added, and one window per run while they are read.

One user at a time, on any thread; blocks on the device.
"""

from __future__ import annotations

import heapq
import os
import struct
from collections.abc import Iterator
from pathlib import Path

from isotherm.devices.drive import Drive, explain, write_all

_LENGTH = struct.Struct(">I")
_WINDOW_BYTES = 1 << 18
_ENTRY_OVERHEAD_BYTES = 48  # of a bytes object and its place in a list
_FANIN = 64

HELD_BYTES = 48 << 20


class Spill:
    """A sorted multiset of byte strings.

    Args:
        directory: for scratch files, existing; the caller removes it.
        name: of the files, unique in the directory.
    """

    def __init__(self, directory: Path, name: str, drive: Drive, *, held_bytes: int = HELD_BYTES) -> None:
        self._directory = directory
        self._name = name
        self._drive = drive
        self._held_bytes = held_bytes
        self._held: list[bytes] = []
        self._size = 0
        self._runs: list[Path] = []
        self._made = 0

    def add(self, entry: bytes) -> None:
        """Raises `NoSpace` or `Unavailable` where the scratch directory fails."""
        self._held.append(entry)
        self._size += len(entry) + _ENTRY_OVERHEAD_BYTES
        if self._size >= self._held_bytes:
            self._flush()

    def sorted(self) -> Iterator[bytes]:
        """All entries in order. Nothing may be added from now on; may be asked for again."""
        if not self._runs:
            self._held.sort()
            yield from self._held
            return
        if self._held:
            self._flush()
        while len(self._runs) > _FANIN:
            some, self._runs = self._runs[:_FANIN], self._runs[_FANIN:]
            self._write(heapq.merge(*map(self._read, some)))
            for path in some:
                self._drive.unlink(path)
        yield from heapq.merge(*map(self._read, self._runs))

    def _flush(self) -> None:
        self._held.sort()
        self._write(iter(self._held))
        self._held = []
        self._size = 0

    def _write(self, entries: Iterator[bytes]) -> None:
        path = self._directory / f"{self._name}-{self._made:06d}.run"
        self._made += 1
        try:
            fd = self._drive.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            try:
                offset = 0
                for block in _blocks(entries):
                    offset += write_all(self._drive, fd, [block], offset)
            finally:
                self._drive.close(fd)
        except OSError as error:
            raise explain(error, f"cannot write scratch space in {self._directory}") from error
        self._runs.append(path)

    def _read(self, path: Path) -> Iterator[bytes]:
        try:
            fd = self._drive.open(path, os.O_RDONLY)
            try:
                offset, window, at = 0, b"", 0
                while True:
                    end = at + _LENGTH.size
                    if end <= len(window):
                        end += _LENGTH.unpack_from(window, at)[0]
                        if end <= len(window):
                            yield window[at + _LENGTH.size : end]
                            at = end
                            continue
                    more = self._drive.pread(fd, max(_WINDOW_BYTES, end - len(window)), offset)
                    if not more:
                        return
                    offset += len(more)
                    window, at = window[at:] + more, 0
            finally:
                self._drive.close(fd)
        except OSError as error:
            raise explain(error, f"cannot read scratch space in {self._directory}") from error


def _blocks(entries: Iterator[bytes]) -> Iterator[bytes]:
    block: list[bytes] = []
    size = 0
    for entry in entries:
        block += (_LENGTH.pack(len(entry)), entry)
        size += len(entry)
        if size >= _WINDOW_BYTES:
            yield b"".join(block)
            block, size = [], 0
    if block:
        yield b"".join(block)
