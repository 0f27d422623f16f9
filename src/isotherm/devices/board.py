"""A board in shared memory on which the processes of one server write what the others may read at any time.

One slot a process; each is written by its owner alone, so that no lock is needed, and by the supervisor once the owner
is dead. A slot holds four numbers and an array of counters, each read and written whole (aligned 64-bit words), and a
short text, published under a sequence number that is odd while it is being written: a reader that saw it change reads
again. Counters outlive their owner, so that its successor goes on counting where it ended.

The memory has no name in any file system (`memfd_create(2)`): it goes when the last process that inherited it ends.

Times are of CLOCK_MONOTONIC, which on Linux is one clock for all processes of a machine.
"""

from __future__ import annotations

import mmap
import os
from enum import IntEnum

SLOT_BYTES = 65_536
_WORD_BYTES = 8
_CELLS_AT = 64
_TEXT_AT = SLOT_BYTES // 2
CELLS_MOST = (_TEXT_AT - _CELLS_AT) // _WORD_BYTES
TEXT_BYTES_MOST = SLOT_BYTES - _TEXT_AT
_ATTEMPTS = 100

_STATE, _PID, _BEAT, _CONNECTIONS, _SEQUENCE, _LENGTH = range(6)


class State(IntEnum):
    ABSENT = 0
    STARTING = 1
    SERVING = 2
    DRAINING = 3


class Slot:
    """One process's place on the board."""

    __slots__ = ("_cells", "_text", "_words")

    def __init__(self, memory: memoryview) -> None:
        self._words = memory[:_CELLS_AT].cast("Q")
        self._cells = memory[_CELLS_AT:_TEXT_AT].cast("Q")
        self._text = memory[_TEXT_AT:]

    @property
    def state(self) -> State:
        return State(self._words[_STATE])

    @property
    def pid(self) -> int:
        return self._words[_PID]

    @property
    def beat_ms(self) -> int:
        """When its owner last showed life, milliseconds of the monotonic clock."""
        return self._words[_BEAT]

    @property
    def connections(self) -> int:
        return self._words[_CONNECTIONS]

    def cells(self, count: int) -> memoryview:
        """The first `count` counters, at most CELLS_MOST, as unsigned 64-bit integers."""
        return self._cells[:count]

    def enter(self, state: State, pid: int) -> None:
        self._words[_PID] = pid
        self._words[_STATE] = state

    def beat(self, now_ms: int, connections: int = 0) -> None:
        self._words[_CONNECTIONS] = connections
        self._words[_BEAT] = now_ms

    def count(self, connections: int) -> None:
        self._words[_CONNECTIONS] = connections

    def leave(self) -> None:
        """Its owner is gone; counters and text stay."""
        self._words[_STATE] = State.ABSENT
        self._words[_CONNECTIONS] = 0

    def publish(self, text: bytes) -> None:
        """Replace the text. Raises ValueError when it is too long."""
        if len(text) > TEXT_BYTES_MOST:
            raise ValueError(f"{len(text)} bytes; a slot's text has at most {TEXT_BYTES_MOST}")
        words = self._words
        words[_SEQUENCE] = words[_SEQUENCE] | 1
        self._text[: len(text)] = text
        words[_LENGTH] = len(text)
        words[_SEQUENCE] = words[_SEQUENCE] + 1

    def read(self) -> bytes:
        """The text as last published; empty where there is none, or its owner died while writing it."""
        words = self._words
        for _ in range(_ATTEMPTS):
            before = words[_SEQUENCE]
            text = bytes(self._text[: min(words[_LENGTH], TEXT_BYTES_MOST)])
            if not before & 1 and words[_SEQUENCE] == before:
                return text
        return b""


class Board:
    """The whole of it. `descriptor` is given to children, who open it with `Board(descriptor, slots)`."""

    def __init__(self, descriptor: int, slots: int) -> None:
        self.descriptor = descriptor
        self._memory = mmap.mmap(descriptor, slots * SLOT_BYTES)
        whole = memoryview(self._memory)
        self.slots = [Slot(whole[at * SLOT_BYTES : (at + 1) * SLOT_BYTES]) for at in range(slots)]


def create_board(slots: int) -> Board:
    descriptor = os.memfd_create("isotherm-board", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, slots * SLOT_BYTES)
    return Board(descriptor, slots)
