"""Stores with a fault planted in them, through the seams they have anyway: to see whether the checkers find it.

`engines(path, life, fault)` opens a store; the fault is one of FAULTS.
"""

from contextlib import suppress

from isotherm import __version__
from isotherm.clock import SystemClock
from isotherm.devices.directory import open_directory
from isotherm.devices.drive import SystemDrive
from isotherm.ids import SeededIds
from isotherm.meta.lmdb.engine import LmdbMeta
from isotherm.segments.local import LocalSegments
from isotherm.segments.port import Media
from isotherm.settings import Settings
from isotherm.store import Engines
from isotherm.tenancy.keystore import FileKeys
from isotherm.tenancy.vault import Vault


class _NoSync(SystemDrive):
    """Segments are never synced."""

    def fdatasync(self, fd):
        pass


class _LateSync(SystemDrive):
    """Each sync of a segment is put off until the next one: metadata is committed before it."""

    def __init__(self):
        self.owed = None

    def fdatasync(self, fd):
        owed, self.owed = self.owed, fd
        if owed is not None:
            with suppress(OSError):  # closed meanwhile
                SystemDrive.fdatasync(owed)


class _NoDirectorySync(SystemDrive):
    """Names of segments are never synced."""

    def sync_directory(self, path):
        pass


class _ShortSync(SystemDrive):
    """The last sync of a segment goes before its last write: bytes that are acknowledged were never covered."""

    def pwritev(self, fd, buffers, offset):
        SystemDrive.fdatasync(fd)
        return SystemDrive.pwritev(fd, buffers, offset)

    def fdatasync(self, fd):
        pass


_DRIVES = {
    "no sync": _NoSync,
    "late sync": _LateSync,
    "no directory sync": _NoDirectorySync,
    "sync before write": _ShortSync,
}
FAULTS = (*_DRIVES, "no metadata sync")


def engines(path, life, fault, segments):
    settings = Settings(path, segments=segments)
    clock, ids = SystemClock(), SeededIds(life)
    directory = open_directory(path, program=__version__, clock=clock, ids=ids)
    meta = LmdbMeta.open(directory.meta, clock=clock, ids=ids, role="foreign", sync=fault != "no metadata sync")
    media = {Media.PERFORMANCE: [directory.performance], Media.CAPACITY: [directory.capacity]}
    keys = FileKeys(directory.keys, ids)
    device = _DRIVES.get(fault, SystemDrive)()
    opened = LocalSegments.open(media, meta, clock=clock, ids=ids, drive=device, settings=segments)
    return Engines(settings, directory, media, meta, opened, clock, ids, keys, Vault(meta, keys, clock, ids))
