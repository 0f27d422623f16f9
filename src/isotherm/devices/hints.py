"""What Linux lets a writer say beforehand of a file, and Python does not offer: room that will be needed, bytes that may go.

Neither changes what a file holds or promises anything of it; a caller may ignore every error. Safe from any thread; both may
block on the device.
"""

from __future__ import annotations

import ctypes
import os

_KEEP_SIZE = 1  # FALLOC_FL_KEEP_SIZE, linux/falloc.h
_WRITE = 2  # SYNC_FILE_RANGE_WRITE, linux/fs.h

_libc = ctypes.CDLL(None, use_errno=True)
_fallocate = _libc.fallocate
_fallocate.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
_sync_file_range = _libc.sync_file_range
_sync_file_range.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)


def allocate(fd: int, offset: int, length: int) -> None:
    """Have blocks for a range at once instead of one by one; the file keeps its size (fallocate(2)).

    What was allocated behind a file's end goes with the next truncation, even to the size that it has.

    Raises:
        OSError: the medium is full, or the file system cannot.
    """
    _check(_fallocate(fd, _KEEP_SIZE, offset, length))


def write_back(fd: int, offset: int, length: int) -> None:
    """Begin to write a range's dirty pages, so that a later sync finds little to do (sync_file_range(2)).

    Nothing is durable, and no error of the device is taken away from that sync.

    Raises:
        OSError: the file system cannot.
    """
    _check(_sync_file_range(fd, offset, length, _WRITE))


def _check(result: int) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
