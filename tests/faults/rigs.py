"""Stores on drives that fail on request."""

from contextlib import contextmanager

from isotherm.clock import VirtualClock
from isotherm.devices.directory import open_directory
from isotherm.devices.faulty_drive import FaultyDrive
from isotherm.ids import SeededIds
from isotherm.meta.lmdb.engine import LmdbMeta
from isotherm.segments.local import LocalSegments
from isotherm.segments.port import Media
from isotherm.segments.settings import SegmentSettings
from isotherm.settings import Settings
from isotherm.store import Engines
from isotherm.tenancy.keystore import FileKeys
from isotherm.tenancy.vault import Vault


@contextmanager
def store_on(drive, path, *, seed=1, segments=None, map_bytes=1 << 40):
    """Engines of the directory `path` whose segments live on `drive`."""
    settings = Settings(path, segments=segments or SegmentSettings(reserve_bytes=0))
    clock, ids = VirtualClock(), SeededIds(seed)
    directory = open_directory(path, program="test", clock=clock, ids=ids, create=True)
    meta = LmdbMeta.open(directory.meta, clock=clock, ids=ids, role="foreign", map_bytes=map_bytes)
    media = {Media.PERFORMANCE: [directory.performance], Media.CAPACITY: [directory.capacity]}
    opened = LocalSegments.open(media, meta, clock=clock, ids=ids, drive=drive, settings=settings.segments)
    keys = FileKeys(directory.keys, ids)
    engines = Engines(settings, directory, media, meta, opened, clock, ids, keys, Vault(meta, keys, clock, ids))
    try:
        yield engines
    finally:
        engines.close()


def faulty():
    return FaultyDrive(SeededIds(7))
