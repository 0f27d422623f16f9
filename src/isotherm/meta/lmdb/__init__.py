"""The embedded engine of the `meta` port, on LMDB. Start reading at `engine.py`."""

from isotherm.meta.lmdb.engine import LmdbMeta
from isotherm.meta.lmdb.environment import CopyInfo, copy_info
from isotherm.meta.lmdb.presence import ServerLock
from isotherm.meta.lmdb.service import CommitService

__all__ = ["CommitService", "CopyInfo", "LmdbMeta", "ServerLock", "copy_info"]
