"""Isotherm: one multi-tenant store in which an agent's lake, memory and record live together.

`isotherm.open(path)` opens the whole store inside a program; `isotherm serve` puts the same store behind protocols.
Imports lazily, so that `import isotherm` costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from isotherm.store import AsyncStore, Store, open, open_async

__all__ = ["AsyncStore", "Store", "open", "open_async"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name in __all__:
        from isotherm import store

        return getattr(store, name)
    raise AttributeError(f"module 'isotherm' has no attribute {name!r}")
