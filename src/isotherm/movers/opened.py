"""A store as background work and maintenance commands need it: its engines, and where their files lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from isotherm.clock import Clock
from isotherm.devices.drive import Drive
from isotherm.errors import Unsupported
from isotherm.ids import Ids
from isotherm.meta.port import Engine
from isotherm.segments.files import SegmentFiles
from isotherm.segments.port import Media
from isotherm.segments.upkeep import Upkeep
from isotherm.tenancy.keystore import KeyStore


@dataclass(frozen=True, slots=True)
class OpenedStore:
    """An opened store. Owned by whoever opened its engines.

    Args:
        store_id, created_ms: of its data directory, which is `path`.
        directories: those that `segments` was opened with; none where they lie in a bucket.
        keys: the store's secrets; None while they have not been put back.
    """

    store_id: str
    created_ms: int
    path: Path
    meta: Engine
    segments: Upkeep
    directories: Mapping[Media, Sequence[Path]]
    clock: Clock
    ids: Ids
    device: Drive
    keys: KeyStore | None

    def files(self) -> SegmentFiles:
        """The segment files, to be read. Raises `Unsupported` where there are none."""
        self.demand_files()
        return SegmentFiles(self.directories, self.meta, clock=self.clock, ids=self.ids, drive=self.device)

    def demand_files(self) -> None:
        """Raises `Unsupported` where there are no segment files."""
        if not self.directories:
            raise Unsupported(
                "the data of this store lies in a bucket: back up the bucket and the database by their own means "
                '(docs/operations.md, "Several nodes")'
            )
