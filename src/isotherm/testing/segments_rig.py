"""What the `segments` suite works with: a store under test, and repeatable bytes. Used on one thread."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from isotherm.ids import SeededIds
from isotherm.meta.port import Meta
from isotherm.segments.port import Segments
from isotherm.testing.shelf import Shelf

MIB = 1 << 20

Run = Callable[[Coroutine[Any, Any, Any]], Any]


@dataclass
class Rig:
    """A store under test; `extent_bytes_most` is where its streams cut extents."""

    segments: Segments
    meta: Meta
    extent_bytes_most: int

    @property
    def shelf(self) -> Shelf:
        return Shelf(self.meta, self.segments)


def payload(size: int, seed: int = 1) -> bytes:
    """Repeatable bytes without a pattern."""
    return SeededIds(seed * 1_000_003 + size).token(size)
