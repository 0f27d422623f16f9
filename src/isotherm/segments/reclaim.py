"""Giving segments back: first empty in the metadata, then gone from the disk.

`empty` commits that nothing refers to a segment and nothing may; `unlink_emptied` removes files once no reader of any
process can have resolved into them. Each step is a transaction or can be repeated: the file goes first, and only when its
absence is durable do its rows, so that no crash leaves a file that nobody knows.

Safe in several processes at once. Blocking parts run through `offload`.
"""

from __future__ import annotations

from isotherm.devices.waiting import offload
from isotherm.meta.port import Meta, Transaction
from isotherm.segments.accounting import (
    State,
    emptied_key,
    emptied_segments,
    live_bytes,
    live_key,
    row_key,
    row_of,
)
from isotherm.segments.epochs import ReaderEpochs
from isotherm.segments.files import SegmentFiles


async def empty(meta: Meta, segment: int) -> bool:
    """Mark a sealed segment as empty; False where something refers to it, or it is not there to be emptied."""

    async def mark(txn: Transaction) -> bool:
        row = await row_of(txn, segment)
        if row is None or row.state is not State.SEALED or await live_bytes(txn, segment):
            return False
        txn.put(row_key(segment), row.emptied().pack())
        txn.put(emptied_key(segment), b"", stamp=txn.stamp())
        return True

    return (await meta.transact(mark))[0]


class Reclaim:
    def __init__(self, files: SegmentFiles, epochs: ReaderEpochs, meta: Meta) -> None:
        self._files = files
        self._epochs = epochs
        self._meta = meta

    async def unlink_emptied(self) -> tuple[list[int], int]:
        """Remove what no reader can hold any more; (segments removed, segments that still wait).

        Raises:
            Unavailable: a device failed; what was removed stays removed. Errors of the metadata.
        """
        removed = []
        emptied = await emptied_segments(self._meta)
        # Looked at after the list was read: who publishes later than this resolves later than those commits.
        oldest = await offload(self._epochs.oldest)
        for segment, stamp in emptied:
            if oldest is None or oldest >= stamp:
                await offload(self._files.remove, segment)
                await self._forget(segment)
                removed.append(segment)
        return removed, len(emptied) - len(removed)

    async def _forget(self, segment: int) -> None:
        async def delete(txn: Transaction) -> None:
            for key in (row_key(segment), live_key(segment), emptied_key(segment)):
                txn.delete(key)

        await self._meta.transact(delete)
