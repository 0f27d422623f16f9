"""What the `segments` suite works with: a store under test, and repeatable bytes. Used on one thread."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from isotherm.ids import SeededIds, SystemIds
from isotherm.meta.port import Meta
from isotherm.segments.port import Seal, Segments
from isotherm.segments.sealing import TenantSeal
from isotherm.segments.tenant_segments import TenantSegments
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


class OneSeal:
    """The seal of one tenant, for whoever asks: see `Seals`."""

    def __init__(self, seal: Seal) -> None:
        self.seal = seal

    def at_hand(self, tenant: int) -> Seal | None:
        return self.seal

    async def to_read(self, tenant: int) -> Seal:
        return self.seal

    async def to_write(self, tenant: int) -> Seal:
        return self.seal


def sealed(rig: Rig, tenant: int = 2) -> Rig:
    """The same store as a tenant sees it whose key is always at hand."""
    seals = OneSeal(seal_of(tenant))
    return Rig(TenantSegments(rig.segments, seals, tenant), rig.meta, rig.extent_bytes_most)


def seal_of(tenant: int) -> TenantSeal:
    """Of a tenant whose key everybody knows."""
    return TenantSeal(tenant, SeededIds(tenant).token(32), SystemIds())


def payload(size: int, seed: int = 1) -> bytes:
    """Repeatable bytes without a pattern."""
    return SeededIds(seed * 1_000_003 + size).token(size)
