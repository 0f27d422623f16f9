"""What kind of file system a path lies on: `statfs(2)`, which Python does not offer. Safe from any thread."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_STATFS_BYTES = 256  # more than struct statfs needs; its first field is f_type, a long
_WORD_BYTES = ctypes.sizeof(ctypes.c_long)

_REMOTE = {
    0x6969: "NFS",
    0x517B: "SMB",
    0xFE534D42: "SMB",
    0xFF534D42: "CIFS",
    0x65735546: "FUSE",
    0x01021997: "9P",
    0x00C36400: "CephFS",
    0x0BD00BD0: "Lustre",
    0x47504653: "GPFS",
    0x5346414F: "AFS",
    0x19830326: "BeeGFS",
    0x7461636F: "OCFS2",
    0x01161970: "GFS2",
}
"""`linux/magic.h` and the file systems' own sources. FUSE may be local, but what is behind it cannot be told."""


def magic_of(path: Path) -> int:
    """The file system's f_type. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    state = ctypes.create_string_buffer(_STATFS_BYTES)
    if libc.statfs(os.fsencode(path), state):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(path))
    return int.from_bytes(state.raw[:_WORD_BYTES], "little") & 0xFFFFFFFF


def remote_kind(magic: int) -> str | None:
    """The name of a file system whose locks and mappings cannot be relied on between processes; None for a local one."""
    return _REMOTE.get(magic)
