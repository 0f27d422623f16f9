"""Putting a store back from a backup.

Every byte is compared with the checksums of the manifest as it is copied. The directory becomes a data directory by its
last step, after all else is durable: a restore that was killed leaves what no program takes for a store.

The store gets a new epoch, so that no cursor of the old one is good; segments that were open are sealed by what their
walk finds; rows of segments that nothing refers to and that were not copied go. Then it is checked.

Blocks; nobody else can have the directory open, as it is none yet.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from isotherm.clock import Clock
from isotherm.devices import durable
from isotherm.devices.copying import copy_file
from isotherm.devices.directory import DataDirectory, mark_directory
from isotherm.devices.drive import Drive, explain
from isotherm.devices.waiting import drive
from isotherm.errors import Corrupt, Invalid, NoSpace, NotFound
from isotherm.ids import Ids
from isotherm.meta.lmdb import LmdbMeta
from isotherm.meta.port import Transaction
from isotherm.movers.backup import layout
from isotherm.movers.backup.layout import File, Manifest
from isotherm.movers.fsck.check import QUICK, Depth, check_in_place
from isotherm.movers.fsck.findings import Report
from isotherm.movers.opened import OpenedStore
from isotherm.segments.accounting import emptied_key, live_bytes, live_key, row_key, segment_rows
from isotherm.segments.format import crc32c
from isotherm.segments.local import LocalSegments
from isotherm.segments.port import Media
from isotherm.tenancy import credential_record
from isotherm.tenancy.keystore import KEY_BYTES, ROOT

Progress = Callable[[str, int, int | None], None]
"""(stage, how far, of how many or None)"""

UNFINISHED = "restore-unfinished"
"""Marks a directory whose restore has not come to its end."""


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What was put back.

    Args:
        epoch: the store's new one.
        credentials: how many there are; `readable` of them open under the root key that was given.
        checked: what fsck found.
    """

    manifest: Manifest
    epoch: int
    credentials: int
    readable: int
    checked: Report


def restore(
    source: Path,
    data: Path,
    program: str,
    *,
    clock: Clock,
    ids: Ids,
    device: Drive,
    generation: int | None = None,
    root_key: bytes | None = None,
    depth: Depth = QUICK,
    progress: Progress = lambda stage, done, total: None,
) -> RestoreReport:
    """Make `data`, which must not exist or be empty, the store of a generation in the backup directory `source`.

    Args:
        generation: its number; None: the newest.
        root_key: the 32 bytes of the old store's `keys/root.key`. Without it no access key of the old store works again.
        depth: of the check afterwards; the bytes as such have been compared by then.

    Raises:
        NotFound: no such backup or generation.
        Invalid: `data` is not empty, or `root_key` opens none of the credentials.
        Corrupt: a file of the backup is damaged or missing; `data` is no store then.
        NoSpace, Unavailable, VersionMismatch.
    """
    data = data.absolute()
    manifest = _chosen(source, generation)
    if root_key is not None and len(root_key) != KEY_BYTES:
        raise Invalid(f"a root key has {KEY_BYTES} bytes, not {len(root_key)}")
    try:
        _begin(data, manifest, device, ids)
        restoring = _Restoring(source, data, manifest, clock, ids, device, progress)
        restoring.copy()
        if root_key is not None:
            durable.replace(DataDirectory(data, "", 0).keys / f"{ROOT}.key", root_key, ids)
        epoch, credentials, readable, checked = restoring.settle(root_key, depth)
        mark_directory(data, program=program, store_id=manifest.store, created_ms=manifest.store_created_ms, ids=ids)
        device.unlink(data / UNFINISHED)
        device.sync_directory(data)
    except OSError as error:
        raise explain(error, f"cannot restore to {data}") from error
    return RestoreReport(manifest, epoch, credentials, readable, checked)


def _chosen(source: Path, generation: int | None) -> Manifest:
    if layout.read_mark(source) is None:
        raise NotFound(f"{source} holds no backups")
    numbers = layout.generations(source)
    if not numbers:
        raise NotFound(f"{source} holds no complete backup")
    chosen = numbers[-1] if generation is None else generation
    try:
        return layout.read_manifest(source, chosen)
    except Corrupt as error:
        others = ", ".join(str(number) for number in numbers if number != chosen)
        hint = f"; choose another with --generation: {others}" if others else ""
        raise Corrupt(f"{error}{hint}") from error


def _begin(data: Path, manifest: Manifest, device: Drive, ids: Ids) -> None:
    if data.exists():
        names = device.list(data)
        if UNFINISHED in names:
            raise Invalid(f"{data} holds a restore that did not come to its end. Run: rm -r {data}")
        if names:
            raise Invalid(f"{data} is not empty: name a directory that is, or that does not exist")
    else:
        data.mkdir(mode=0o700, parents=True)
    free = device.free_bytes(data)
    if free < manifest.size:
        raise NoSpace(f"{data} has room for {free} bytes; the store has {manifest.size}")
    durable.create(data / UNFINISHED, b"", ids)
    durable.sync_directory(data.parent)
    rooms = DataDirectory(data, "", 0)
    for room in (rooms.meta, rooms.performance, rooms.capacity, rooms.run, rooms.keys, rooms.log):
        durable.make_directory(room)


class _Restoring:
    """One restore under way."""

    def __init__(
        self,
        source: Path,
        data: Path,
        manifest: Manifest,
        clock: Clock,
        ids: Ids,
        device: Drive,
        progress: Progress,
    ) -> None:
        self._source = source
        self._rooms = DataDirectory(data, manifest.store, manifest.store_created_ms)
        self._manifest = manifest
        self._clock = clock
        self._ids = ids
        self._device = device
        self._progress = progress
        self._done_bytes = 0
        self._directories = {
            Media.PERFORMANCE: [self._rooms.performance],
            Media.CAPACITY: [self._rooms.capacity],
        }

    def copy(self) -> None:
        """Copy and compare every file; durable on return."""
        self._file(self._manifest.meta, self._rooms.meta / layout.META_FILE)
        for one in self._manifest.segments:
            (directory,) = self._directories[Media(one.media)]
            self._file(one.file, directory / f"{one.segment}.seg")
        for room in (self._rooms.meta, self._rooms.performance, self._rooms.capacity):
            self._device.sync_directory(room)

    def settle(self, root_key: bytes | None, depth: Depth) -> tuple[int, int, int, Report]:
        """Make a store of the files: (epoch, credentials, readable ones, what fsck finds)."""
        rooms = self._rooms
        # Opening a copy raises its epoch.
        with LmdbMeta.open(rooms.meta, clock=self._clock, ids=self._ids, role="server") as meta:
            credentials, readable = self._credentials(meta, root_key)
            self._forget(meta)
            segments = LocalSegments.open(self._directories, meta, clock=self._clock, ids=self._ids, drive=self._device)
            try:
                drive(segments.recover())
                store = OpenedStore(
                    rooms.store_id,
                    rooms.created_ms,
                    rooms.path,
                    meta,
                    segments,
                    self._directories,
                    self._clock,
                    self._ids,
                    self._device,
                    keys=None,  # the operator's to put back, as the root key is
                )
                checked = check_in_place(store, rooms.run, depth=depth, progress=self._progress)
            finally:
                segments.close()
            return meta.epoch, credentials, readable, checked

    def _file(self, file: File, target: Path) -> None:
        path = self._source / file.path
        try:
            fd = self._device.open(path, os.O_RDONLY)
        except FileNotFoundError:
            raise Corrupt(f"{path} is missing from the backup") from None
        try:
            copied = copy_file(self._device, fd, target, crc32c, self._told)
        finally:
            self._device.close(fd)
        if copied.lost_bytes or (copied.size, layout.hexadecimal(copied.checksum)) != (file.size, file.crc32c):
            raise Corrupt(f"{path} is not what was backed up: {copied.size} of {file.size} bytes, or another checksum")

    def _told(self, size: int) -> None:
        self._done_bytes += size
        self._progress("bytes", self._done_bytes, self._manifest.size)

    def _credentials(self, meta: LmdbMeta, root_key: bytes | None) -> tuple[int, int]:
        rows = drive(meta.range(*credential_record.row_range(), 100_000))
        if root_key is None:
            return len(rows), 0
        wanted = credential_record.key_id(root_key)
        readable = sum(credential_record.unpack(value).key_id == wanted for _, value in rows)
        if rows and not readable:
            raise Invalid("the root key that was given opens none of the store's credentials")
        return len(rows), readable

    def _forget(self, meta: LmdbMeta) -> None:
        """Remove rows of segments that were not copied since nothing refers to them."""
        copied = {int(one.segment, 16) for one in self._manifest.segments}
        after = -1
        while rows := drive(segment_rows(meta, after)):
            after = rows[-1][0]
            gone = [segment for segment, _ in rows if segment not in copied and not drive(live_bytes(meta, segment))]

            async def forget(txn: Transaction, gone: list[int] = gone) -> None:
                for segment in gone:
                    for key in (row_key(segment), live_key(segment), emptied_key(segment)):
                        txn.delete(key)

            if gone:
                drive(meta.transact(forget))
