"""Taking a backup: hot, consistent, and incremental by whole segments.

A reader is published first, so that no segment goes away; then one consistent copy of the metadata is made; then every
segment file that it knows is copied. Sealed segments never change: those that an earlier generation brought are not
copied again. An open one is copied as far as it has grown by then, which is at least as far as the metadata knows.

What is acknowledged before the backup begins is in it; what comes later is in it whole or not at all. A generation exists
once its manifest lies under its final name; whatever is killed before leaves `.partial` names, which the next one removes.

What earlier generations brought is trusted by its size, or with `verified` read again, and copied again where it is not what
it was and the store still has it.

Secrets (`keys/`) are no part of a backup. Blocks; one backup at a time in a directory, kept by a lock.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from isotherm.devices import durable
from isotherm.devices.copying import Copied, copy_file, read_through
from isotherm.devices.drive import Drive, explain
from isotherm.devices.locks import KeptLock, try_lock
from isotherm.devices.waiting import drive
from isotherm.errors import Corrupt, Invalid, NotFound, Unavailable
from isotherm.meta.lmdb.copies import CopiedMeta
from isotherm.movers.backup import layout
from isotherm.movers.backup.inventory import Inventory, Rotten, Unreadable, take_inventory, verify
from isotherm.movers.backup.layout import File, Manifest, SegmentFile
from isotherm.movers.opened import OpenedStore
from isotherm.segments.accounting import SegmentRow, State, live_bytes, segment_rows
from isotherm.segments.files import SegmentFiles
from isotherm.segments.format import crc32c

Progress = Callable[[str, int, int | None], None]
"""(stage, how far, of how many or None)"""


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What a backup made. `copied_bytes` were written (or linked) now; the rest of the generation lay there already.

    Args:
        unreadable: earlier generations that cannot be restored.
        rotten: files of earlier generations that are not what was backed up, and could not be had again.
        mended: paths of those that were copied again, or were removed with their generations.
        verified_bytes: how much of what lay there already was read again.
    """

    manifest: Manifest
    copied_segments: int
    copied_bytes: int
    removed: list[int]
    unreadable: list[Unreadable] = field(default_factory=list)
    rotten: list[Rotten] = field(default_factory=list)
    mended: list[str] = field(default_factory=list)
    verified_bytes: int = 0

    @property
    def is_whole(self) -> bool:
        """Nothing is damaged, neither in the store as far as it was read nor in the backup directory as far as that was."""
        return not (self.manifest.missing or self.manifest.damaged or self.unreadable or self.rotten)


def back_up(
    store: OpenedStore,
    target: Path,
    program: str,
    *,
    hardlink: bool = False,
    keep: int | None = None,
    verified: bool = False,
    progress: Progress = lambda stage, done, total: None,
) -> BackupReport:
    """Add a generation to the backup directory `target`, and make the directory where there is none.

    Args:
        program: the running version, recorded in the manifest.
        hardlink: link sealed segments instead of copying them, on the same file system: quick, takes no space, and
            protects from deletion but not from the medium.
        keep: afterwards remove all but the newest generations (`remove_old`).
        verified: first read again, and compare, every file that lies in `target` already.

    Raises:
        Unsupported: the store's data lies in a bucket.
        Invalid: `target` holds something else, another store's backups, or lies within the store or around it.
        Unavailable: another backup works there; a device fails.
        NoSpace: nothing of the generation remains.
        Corrupt: the metadata's engine cannot read its own pages.
    """
    store.demand_files()
    target = target.absolute()
    for path in (store.path, *(path for paths in store.directories.values() for path in paths)):
        _refuse_overlap(path, target)
    with prepared(target, store.device, store) as numbers:
        found = take_inventory(target, numbers)
        read_bytes = 0

        def told(size: int) -> None:
            nonlocal read_bytes
            read_bytes += size
            progress("verifying", read_bytes, found.size)

        rotten = verify(target, found, store.device, told) if verified else []
        taking = _Taking(store, target, program, hardlink, progress, found, {one.path for one in rotten})
        manifest = drive(taking.take(max(numbers, default=0) + 1))
        removed = remove_old(target, keep) if keep is not None else []
    left = [taking.judged(one, removed) for one in rotten]
    return BackupReport(
        manifest,
        taking.copied_segments,
        taking.copied_bytes,
        removed,
        [one for one in found.unreadable if one.generation not in removed],
        [after for after in left if after is not None],
        [before.path for before, after in zip(rotten, left, strict=True) if after is None],
        read_bytes,
    )


def remove_old(target: Path, keep: int) -> list[int]:
    """Remove what is older than the `keep` newest generations that can be read, and segments that no other uses; under the lock.

    While a generation that stays cannot be read, no segment goes: it may be one of that generation's.

    Raises:
        Invalid: `keep` is not positive. Unavailable: a device fails; what remains is whole.
    """
    if keep < 1:
        raise Invalid("at least one generation is kept")
    found = take_inventory(target, layout.numbers(target))
    if len(found.readable) < keep:
        return []
    oldest = found.readable[-keep]
    old = [number for number in layout.numbers(target) if number < oldest]
    try:
        for number in old:
            path = target / layout.GENERATIONS / layout.generation_name(number)
            gone = path.with_name(path.name + layout.PARTIAL)
            path.rename(gone)
            layout.sync(path.parent)
            shutil.rmtree(gone)
        if all(one.generation < oldest for one in found.unreadable):
            kept = found.used_since(oldest)
            for path in (target / layout.SEGMENTS).iterdir():
                if f"{layout.SEGMENTS}/{path.name}" not in kept:
                    path.unlink()
    except OSError as error:
        raise explain(error, f"cannot remove old generations from {target}") from error
    return old


@contextmanager
def prepared(target: Path, device: Drive, store: OpenedStore) -> Iterator[list[int]]:
    """Hold the backup directory, free of what killed backups left; gives the numbers of its generations."""
    try:
        _make(target, store)
        held = KeptLock(device.open(target / layout.LOCK, os.O_RDWR | os.O_CREAT), device.close)
    except OSError as error:
        raise explain(error, f"cannot open the backup directory {target}") from error
    try:
        if not try_lock(held.fd):
            raise Unavailable(f"another backup works in {target}")
        _clear(target)
        yield layout.numbers(target)
    finally:
        held.close()


def _make(target: Path, store: OpenedStore) -> None:
    mark = layout.read_mark(target)
    if mark is None:
        if target.exists() and any(True for _ in target.iterdir()):
            raise Invalid(f"{target} is not empty and holds no backups: name an empty directory")
        target.mkdir(mode=0o700, parents=True, exist_ok=True)
        durable.create(target / layout.MARK, layout.encode_mark(store.store_id), store.ids)
        layout.sync(target.parent)
    elif mark.store != store.store_id:
        raise Invalid(f"{target} holds backups of another store ({mark.store})")
    for name in (layout.SEGMENTS, layout.GENERATIONS):
        durable.make_directory(target / name)


def _clear(target: Path) -> None:
    try:
        for name in (layout.SEGMENTS, layout.GENERATIONS):
            for path in (target / name).iterdir():
                if path.name.endswith(layout.PARTIAL):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
    except OSError as error:
        raise explain(error, f"cannot clear {target}") from error


def _refuse_overlap(store: Path, target: Path) -> None:
    inner, outer = target.resolve(), store.resolve()
    if inner == outer or inner.is_relative_to(outer) or outer.is_relative_to(inner):
        raise Invalid(f"{target} lies within the store {store} or around it; name a directory beside it")


class _Taking:
    """One generation being made. `copied`: the shared files that it brings, by path."""

    def __init__(
        self,
        store: OpenedStore,
        target: Path,
        program: str,
        hardlink: bool,
        progress: Progress,
        found: Inventory,
        rotten: set[str],
    ) -> None:
        self._store = store
        self._target = target
        self._program = program
        self._hardlink = hardlink
        self._progress = progress
        self._done_bytes = 0
        self._found = found
        self._rotten = rotten
        self._damaged: list[str] = []
        self.copied: dict[str, File] = {}
        self.copied_segments = 0
        self.copied_bytes = 0

    async def take(self, number: int) -> Manifest:
        final = self._target / layout.GENERATIONS / layout.generation_name(number)
        partial = final.with_name(final.name + layout.PARTIAL)
        try:
            manifest = await self._fill(partial, number)
            durable.create(partial / layout.MANIFEST, layout.encode_manifest(manifest), self._store.ids)
            layout.sync(self._target / layout.SEGMENTS)
            partial.rename(final)
        except BaseException as error:
            shutil.rmtree(partial, ignore_errors=True)
            if isinstance(error, OSError):
                raise explain(error, f"cannot write to {self._target}") from error
            raise
        layout.sync(final.parent)
        return manifest

    def judged(self, rotten: Rotten, removed: list[int]) -> Rotten | None:
        """What is left of that now: None where the store gave the same bytes as once, or nobody needs them any more."""
        copied = self.copied.get(rotten.path)
        left = rotten if copied is None else self._found.unlike(rotten.path, copied)
        needed = [number for number in left.generations if number not in removed] if left is not None else []
        return Rotten(rotten.path, needed) if needed else None

    async def _fill(self, partial: Path, number: int) -> Manifest:
        store = self._store
        begun_ms = store.clock.now_ms()
        partial.mkdir(mode=0o700)
        (partial / layout.SEGMENTS).mkdir(mode=0o700)
        async with store.segments.reading():
            self._progress("metadata", 0, None)
            await store.meta.backup(partial / layout.META)
            with CopiedMeta(partial / layout.META) as copy:
                info = copy.info
                segments, missing = await self._copy_segments(copy, partial, number)
        for path in (partial / layout.META).iterdir():
            if path.name != layout.META_FILE:
                path.unlink()
        meta = self._meta(partial, number)
        for path in (partial / layout.META, partial / layout.SEGMENTS, partial):
            layout.sync(path)
        return Manifest(
            layout.FORMAT,
            number,
            store.store_id,
            store.created_ms,
            self._program,
            info.epoch,
            info.commit,
            begun_ms,
            store.clock.now_ms(),
            meta,
            segments,
            missing,
            self._damaged,
        )

    async def _copy_segments(self, copy: CopiedMeta, partial: Path, number: int) -> tuple[list[SegmentFile], list[str]]:
        files = self._store.files()
        segments: list[SegmentFile] = []
        missing: list[str] = []
        total = sum(_size(path) for _, path in files.listed())
        after = -1
        while rows := await segment_rows(copy, after):
            for segment, row in rows:
                after = segment
                if row.state is State.EMPTIED and not await live_bytes(copy, segment):
                    continue
                try:
                    file = self._segment(files, segment, row, partial, number)
                except (NotFound, Corrupt):
                    if await live_bytes(copy, segment):
                        missing.append(f"{segment:016x}")
                    continue
                segments.append(SegmentFile(f"{segment:016x}", row.media.value, file))
                self._progress("segments", self._done_bytes, total)
        return segments, missing

    def _segment(self, files: SegmentFiles, segment: int, row: SegmentRow, partial: Path, number: int) -> File:
        fd, path = files.open(segment)
        try:
            if row.state is State.OPEN:
                name = f"{segment:016x}.seg"
                copied = self._copy(fd, segment, partial / layout.SEGMENTS / name)
                where = f"{layout.GENERATIONS}/{layout.generation_name(number)}/{layout.SEGMENTS}/{name}"
                return File(where, copied.size, layout.hexadecimal(copied.checksum))
            name = layout.shared_name(segment, row.sealed_ms)
            where = f"{layout.SEGMENTS}/{name}"
            there = self._found.newest(where) if where not in self._rotten else None
            if there is not None and _size(self._target / where) == there.size:
                self._done_bytes += there.size
                return there
            final = self._target / where
            whole = final.with_name(name + layout.PARTIAL)
            copied = self._link(fd, path, whole) or self._copy(fd, segment, whole)
            whole.replace(final)
            self.copied[where] = File(where, copied.size, layout.hexadecimal(copied.checksum))
            return self.copied[where]
        finally:
            self._store.device.close(fd)

    def _copy(self, fd: int, segment: int, target: Path) -> Copied:
        def told(size: int) -> None:
            self._done_bytes += size
            self._progress("segments", self._done_bytes, None)

        copied = copy_file(self._store.device, fd, target, crc32c, told)
        if copied.lost_bytes:
            self._damaged.append(f"{segment:016x}")
        self.copied_segments += 1
        self.copied_bytes += copied.size
        return copied

    def _link(self, fd: int, source: Path, target: Path) -> Copied | None:
        """A hard link, read through for its checksum; None where there can be none."""
        if not self._hardlink:
            return None
        with suppress(OSError):  # another file system, or one without links
            target.hardlink_to(source)
            linked = read_through(self._store.device, fd, crc32c)
            if linked.lost_bytes:  # what was saved must not depend on that medium
                target.unlink()
                return None
            self._done_bytes += linked.size
            self.copied_segments += 1
            return linked
        return None

    def _meta(self, partial: Path, number: int) -> File:
        fd = self._store.device.open(partial / layout.META / layout.META_FILE, os.O_RDONLY)
        try:
            read = read_through(self._store.device, fd, crc32c)
            self._store.device.fdatasync(fd)
        finally:
            self._store.device.close(fd)
        where = f"{layout.GENERATIONS}/{layout.generation_name(number)}/{layout.META}/{layout.META_FILE}"
        return File(where, read.size, layout.hexadecimal(read.checksum))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1
