"""Where segment files lie: naming, finding, creating, removing.

A segment is a file `{number:016x}.seg` in one of the directories of its media class. Its number is drawn at random and
made by O_EXCL, so that processes need no agreement. The order of a creation is: file, lock, file header, synced; name,
synced; row, committed. So a row always has a file, and a file without a row holds no extent.

Directories are those that lay at their paths when the store was opened: in another one that took such a place (a backup
put back while this process ran) the same numbers name files of another store, so nothing is made or removed there.

Any thread. Everything here may block on the device or on the metadata.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from isotherm.clock import Clock
from isotherm.devices import waiting
from isotherm.devices.drive import Drive, explain, write_all
from isotherm.devices.locks import KeptLock, try_lock
from isotherm.errors import IsothermError, NoSpace, NotFound, Unavailable
from isotherm.ids import Ids
from isotherm.meta.port import Meta, Transaction
from isotherm.segments.accounting import SegmentRow, State, row_key
from isotherm.segments.format import FILE_HEADER_BYTES, decode_file_header, encode_file_header
from isotherm.segments.open_segment import OpenSegment
from isotherm.segments.port import Media
from isotherm.segments.scan import FileSource, SegmentScan

_SUFFIX = ".seg"
_TRIES = 8
_RESERVED_PART = 16


def file_name(segment: int) -> str:
    return f"{segment:016x}{_SUFFIX}"


class SegmentFiles:
    """The directories of a store.

    Args:
        directories: of each media class, existing.
        meta: where rows go.
        reserve_bytes: see `SegmentSettings`.
    """

    def __init__(
        self,
        directories: Mapping[Media, Sequence[Path]],
        meta: Meta,
        *,
        clock: Clock,
        ids: Ids,
        drive: Drive,
        reserve_bytes: int = 0,
    ) -> None:
        self._directories = {media: tuple(paths) for media, paths in directories.items()}
        self._everywhere = tuple(path for paths in self._directories.values() for path in paths)
        self._meta = meta
        self._clock = clock
        self._drive = drive
        self._identities = {path: drive.identity(path) for path in self._everywhere}
        self._ids = ids
        self._reserve_bytes = reserve_bytes

    @property
    def first_directory(self) -> Path:
        """Where the store keeps what it has one of."""
        return self._everywhere[0]

    def listed(self) -> Iterator[tuple[int, Path]]:
        """(segment, path) of every file that is named as one.

        Raises:
            Unavailable: a directory cannot be listed, or is another one than was opened.
        """
        for directory in self._everywhere:
            self._demand_same(directory)
            try:
                names = sorted(self._drive.list(directory))
            except OSError as error:
                raise Unavailable(f"cannot list {directory}: {error.strerror}") from error
            for name in names:
                if name.endswith(_SUFFIX) and len(name) == 16 + len(_SUFFIX):
                    try:
                        yield int(name[:16], 16), directory / name
                    except ValueError:
                        continue

    def scan(self, segment: int) -> SegmentScan:
        """The segment's file, to be walked; close it. Raises what `open` does."""
        fd, path = self.open(segment)
        return SegmentScan(FileSource(fd, path, self._drive), segment)

    def open(self, segment: int) -> tuple[int, Path]:
        """A descriptor of the segment's file, and its path.

        Raises:
            NotFound: there is no such file, or it was just unlinked.
            Corrupt: the file is no segment, or another one.
            Unavailable: the device failed.
        """
        for directory in self._everywhere:
            path = directory / file_name(segment)
            try:
                fd = self._drive.open(path, os.O_RDONLY)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise Unavailable(f"cannot open segment {segment:016x}: {error.strerror}") from error
            try:
                decode_file_header(self._drive.pread(fd, FILE_HEADER_BYTES, 0), segment)
            except OSError as error:
                self._drive.close(fd)
                raise Unavailable(f"cannot read segment {segment:016x}: {error.strerror}") from error
            except BaseException:
                self._drive.close(fd)
                raise
            return fd, path
        raise NotFound("the segment is gone", segment=segment)

    def remove(self, segment: int) -> None:
        """Remove the segment's file, wherever it lies, and make that durable. Nothing happens where there is none.

        Raises:
            Unavailable: the device failed, or a directory is another one than was opened.
        """
        for directory in self._everywhere:
            self._demand_same(directory)
        for directory in self._everywhere:
            try:
                # Synced even where the name is gone: whoever removed it may have died before its sync.
                with suppress(FileNotFoundError):
                    self._drive.unlink(directory / file_name(segment))
                self._drive.sync_directory(directory)
            except OSError as error:
                raise explain(error, f"cannot remove segment {segment:016x}") from error

    def with_room(self, media: Media) -> Sequence[Path]:
        """The directories of a media class that a client's payload may go to: those with more room than the reserve.

        Raises:
            NoSpace: there is none.
        """
        found = [directory for directory in self._directories.get(media, ()) if self.room(directory) > 0]
        if not found and self._directories.get(media):
            raise NoSpace("the medium is full but for what removals and compaction need")
        return found

    def room(self, directory: Path) -> int:
        """How many bytes of clients' payloads may go there; not above 0 where it is full."""
        return self._spare_bytes(directory, self._reserve_bytes)

    def spare_bytes(self, media: Media) -> int:
        """What compaction may take of one directory of a media class: it leaves half of the reserve to removals."""
        directories = self._directories.get(media, ())
        return max((self._spare_bytes(directory, self._reserve_bytes // 2) for directory in directories), default=0)

    def _spare_bytes(self, directory: Path, reserve_bytes: int) -> int:
        try:
            least = min(reserve_bytes, self._drive.total_bytes(directory) // _RESERVED_PART)
            return self._drive.free_bytes(directory) - least
        except OSError:
            return 1  # writing tells what is wrong with it

    def create(self, media: Media, within: Sequence[Path] = ()) -> OpenSegment:
        """A new segment, locked by this process, durable and with its row: where most is free, else elsewhere.

        Args:
            within: of these directories, if any are given.

        Raises:
            NoSpace, Unavailable: there is none; nothing of it is left that matters.
        """
        failure: IsothermError = Unavailable(f"no directory of media class {media.value}")
        for directory in sorted(within or self._directories.get(media, ()), key=self._free_bytes, reverse=True):
            try:
                return self._create_in(directory, media)
            except (NoSpace, Unavailable) as error:
                failure = error
        raise failure

    def _free_bytes(self, directory: Path) -> int:
        try:
            return self._drive.free_bytes(directory)
        except OSError:
            return -1  # tried last

    def _demand_same(self, directory: Path) -> None:
        try:
            same = self._drive.identity(directory) == self._identities[directory]
        except OSError as error:
            raise explain(error, f"cannot reach {directory}") from error
        if not same:
            raise Unavailable(f"{directory} is not the directory that was opened: it was moved or replaced; start anew")

    def _create_in(self, directory: Path, media: Media) -> OpenSegment:
        self._demand_same(directory)
        try:
            segment, path, lock = self._new_file(directory)
        except OSError as error:
            raise explain(error, "cannot create a segment") from error
        try:
            write_all(self._drive, lock.fd, [encode_file_header(segment, media)], 0)
            self._drive.fdatasync(lock.fd)
            self._drive.sync_directory(directory)
        except OSError as error:
            with suppress(OSError):
                self._drive.unlink(path)
            lock.close()
            raise explain(error, "cannot create a segment") from error
        try:
            self._commit(segment, SegmentRow(media).pack())
        except BaseException:
            lock.close()  # whether the row is there is unknown: recovery looks
            raise
        return OpenSegment(segment, media, path, lock, self._drive)

    def seal(self, opened: OpenSegment) -> None:
        """Give the segment its last row and let go of it; one that holds nothing goes at once.

        Its row goes last: after a device error the file may hold what was never acknowledged, and one without a row that came
        back after a power cut would be a stranger. Errors are left to recovery, which finds the row open, and the file unlocked
        or gone.
        """
        opened.cut()
        try:
            if opened.extents:
                now = self._clock.now_ms()
                counts = (opened.payload, opened.extents, opened.end, opened.size())
                self._commit(opened.segment, SegmentRow(opened.media, State.SEALED, *counts, now).pack())
            else:
                self.remove(opened.segment)
                self._commit(opened.segment, None)
        except (IsothermError, OSError):
            pass
        finally:
            opened.close()

    def _new_file(self, directory: Path) -> tuple[int, Path, KeptLock]:
        for _ in range(_TRIES):
            segment = int.from_bytes(self._ids.token(8), "big")
            path = directory / file_name(segment)
            try:
                fd = self._drive.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
            except FileExistsError:
                continue
            lock = KeptLock(fd, self._drive.close)
            # Recovery may have taken it for left over between the creation and the lock.
            if try_lock(fd) and self._drive.links(fd):
                return segment, path, lock
            lock.close()
        raise Unavailable("cannot find a free segment number")

    def _commit(self, segment: int, row: bytes | None) -> None:
        async def replace(txn: Transaction) -> None:
            if row is None:
                txn.delete(row_key(segment))
            else:
                txn.put(row_key(segment), row)

        waiting.drive(self._meta.transact(replace))
