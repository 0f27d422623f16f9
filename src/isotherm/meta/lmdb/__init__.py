"""The embedded engine of the `meta` port, on LMDB. Start reading at `engine.py`.

Imports lazily: a supervisor takes the `ServerLock` and has no use for the engine.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isotherm.meta.lmdb.engine import LmdbMeta
    from isotherm.meta.lmdb.environment import CopyInfo, copy_info
    from isotherm.meta.lmdb.presence import ServerLock
    from isotherm.meta.lmdb.service import CommitService

__all__ = ["CommitService", "CopyInfo", "LmdbMeta", "ServerLock", "copy_info"]

_HOMES = {
    "CommitService": "service",
    "CopyInfo": "environment",
    "LmdbMeta": "engine",
    "ServerLock": "presence",
    "copy_info": "environment",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
