"""Segments whose process died: found by the lock it no longer holds, walked, and sealed.

A segment that is OPEN in the metadata and locked by nobody belongs to no one. What its walk finds is its payload; what
lies behind the last intact extent was never acknowledged. Live bytes need no recovery: they are counted by the
transactions that refer. A file without a row was made by a process that died before it could use it, and goes if it
holds no extent.

Idempotent, and safe in several processes and during traffic: each segment is handled under its lock, and its row is
compared in the transaction that changes it. A row whose file is gone goes if nothing refers to it. Blocking parts run
through `offload`.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from isotherm.clock import Clock
from isotherm.devices.drive import Drive, explain
from isotherm.devices.locks import KeptLock, try_lock
from isotherm.devices.waiting import offload
from isotherm.errors import Corrupt, NotFound, Unavailable
from isotherm.meta.port import Meta, Transaction
from isotherm.segments.accounting import SegmentRow, State, live_bytes, row_key, row_of, segment_rows
from isotherm.segments.files import SegmentFiles
from isotherm.segments.format import FILE_HEADER_BYTES
from isotherm.segments.scan import FileSource, SegmentScan
from isotherm.segments.upkeep import Recovered


class Recovery:
    def __init__(self, files: SegmentFiles, meta: Meta, drive: Drive, clock: Clock) -> None:
        self._files = files
        self._meta = meta
        self._drive = drive
        self._clock = clock

    async def recover(self) -> Recovered:
        """Seal what dead processes left open. Run it when a store opens, and now and then.

        Raises:
            Unsupported: an extent of a newer format. Errors of the metadata.
        """
        report = Recovered()
        known: set[int] = set()
        after = -1
        while rows := await segment_rows(self._meta, after):
            for segment, row in rows:
                known.add(segment)
                if row.state is State.OPEN:
                    await self._seal(segment, row, report)
            after = rows[-1][0]
        for segment, path in await offload(lambda: list(self._files.listed())):
            if segment not in known:
                await self._clear(segment, path, report)
        return report

    async def _seal(self, segment: int, row: SegmentRow, report: Recovered) -> None:
        try:
            fd, path = await offload(self._files.open, segment)
        except NotFound:
            if not await self._forget(segment):
                report.missing.append(segment)
            return
        except Corrupt:
            report.missing.append(segment)
            return
        with SegmentScan(FileSource(fd, path, self._drive), segment) as scan:
            held = await offload(self._lock, path)
            if held is None:
                return
            try:
                try:
                    totals = await offload(scan.totals)
                except Unavailable:  # the medium cannot be read here; the other segments can wait no longer
                    report.missing.append(segment)
                    return
                await offload(self._give_back, held.fd)
                counts = (totals.payload, totals.extents, totals.end, scan.size, self._clock.now_ms())
                if await self._replace(segment, SegmentRow(row.media, State.SEALED, *counts)):
                    report.sealed.append(segment)
            finally:
                held.close()

    async def _forget(self, segment: int) -> bool:
        """A row without its file: a process that seals an empty segment removes the file first, and may have died then."""

        async def delete(txn: Transaction) -> bool:
            if await row_of(txn, segment) is not None:
                if await live_bytes(txn, segment):
                    return False
                txn.delete(row_key(segment))
            return True

        return (await self._meta.transact(delete))[0]

    async def _replace(self, segment: int, row: SegmentRow) -> bool:
        async def replace(txn: Transaction) -> bool:
            now = await row_of(txn, segment)
            if now is None or now.state is not State.OPEN:
                return False
            txn.put(row_key(segment), row.pack())
            return True

        return (await self._meta.transact(replace))[0]

    async def _clear(self, segment: int, path: Path, report: Recovered) -> None:
        """A file without a row: its process is about to give it one, or died before it could."""
        held = await offload(self._lock, path)
        if held is None:
            return
        try:
            if await row_of(self._meta, segment) is not None:
                return
            if await offload(self._drive.size, held.fd) > FILE_HEADER_BYTES:
                report.strangers.append(path)
                return
            await offload(self._remove, path)
            report.removed.append(path)
        finally:
            held.close()

    def _lock(self, path: Path) -> KeptLock | None:
        """The file under its lock, or None when a living process has it or it is gone."""
        try:
            held = KeptLock(self._drive.open(path, os.O_RDWR), self._drive.close)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(f"cannot open {path.name}: {error.strerror}") from error
        if try_lock(held.fd) and self._drive.links(held.fd):
            return held
        held.close()
        return None

    def _give_back(self, fd: int) -> None:
        """Let go of room that was made beforehand behind the file's end (hints.py), where possible. Under the file's lock."""
        with suppress(OSError):
            self._drive.truncate(fd, self._drive.size(fd))

    def _remove(self, path: Path) -> None:
        try:
            self._drive.unlink(path)
        except OSError as error:
            raise explain(error, f"cannot remove {path.name}") from error
