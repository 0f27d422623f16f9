"""What programs did to the files of a directory, in order: recorded by `recorder/`, a library preloaded into them.

    recorder = Recorder(build(tmp_path), root, tmp_path / "log")
    subprocess.run(command, env=recorder.environment())
    events = recorder.events()

Processes under it may call `mark` and `kill`, which go into the same order.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import shutil
import struct
import subprocess
from collections import namedtuple
from enum import IntEnum
from pathlib import Path

SOURCES = Path(__file__).with_name("recorder")
COMPILER = shutil.which("cc") or shutil.which("gcc")

_HEAD_BYTES = 4_096
_END = struct.Struct("<Q")
_RECORD = struct.Struct("<IIIIQQQ")
_LOCK_BYTES = 40  # pthread_mutex_t of 64-bit Linux


class Kind(IntEnum):
    """See recorder.h."""

    WRITE = 1
    TRUNCATE = 2
    ALLOCATE = 3
    SYNC = 4
    CREATE = 5
    MKDIR = 6
    LINK = 7
    UNLINK = 8
    RMDIR = 9
    RENAME = 10
    MAP = 11
    MARK = 12
    OTHER = 13
    SYNC_ALL = 14
    SYNC_FAILED = 15


Event = namedtuple("Event", "kind durable pid inode at name data")
"""`name` lies below the root; `data` are bytes written, the second name of a rename or link, or the word of a mark."""


def build(directory):
    """The library, compiled into `directory`."""
    library = directory / "recorder.so"
    command = [COMPILER, "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden", "-o", library]
    subprocess.run([*command, *sorted(SOURCES.glob("*.c")), "-ldl", "-lpthread"], check=True)
    return library


class Recorder:
    def __init__(self, library, root, log):
        self.library = library
        self.root = root
        self.log = log

    def added(self, *, sync=False):
        """Variables that make a program recorded. `sync`: let syncs reach the device too."""
        added = {"LD_PRELOAD": self.library, "RECORDER_ROOT": self.root, "RECORDER_LOG": self.log}
        return {name: str(value) for name, value in added.items()} | ({"RECORDER_SYNC": "1"} if sync else {})

    def environment(self):
        return os.environ | self.added()

    def events(self):
        """Everything recorded so far, in order."""
        with self.log.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as log:
            (end,) = _END.unpack_from(log, _LOCK_BYTES)
            events, at = [], _HEAD_BYTES
            while at < end:
                kind, flags, pid, name_bytes, inode, place, data_bytes = _RECORD.unpack_from(log, at)
                at += _RECORD.size
                name = os.fsdecode(log[at : at + name_bytes])
                at += name_bytes
                events.append(Event(Kind(kind), bool(flags & 1), pid, inode, place, name, log[at : at + data_bytes]))
                at += data_bytes
        return events


def mark(**words):
    """Put a JSON value into the log of this recorded process."""
    word = json.dumps(words).encode()
    ctypes.CDLL(None).recorder_mark(word, ctypes.c_size_t(len(word)))


def kill(pid):
    """SIGKILL a recorded process, this one or another, while it is not between a change and its record."""
    if ctypes.CDLL(None).recorder_kill(pid):
        raise ProcessLookupError(pid)
