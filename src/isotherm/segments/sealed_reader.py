"""Verified reads of sealed extents of files: ciphertext as `ExtentReader` verifies it, opened with the tenant's seal.

Checksums are compared first, so that damage is told from a key that does not fit. `read_now` never blocks, and opens little
enough for an event loop; the rest blocks and runs where blocking is allowed. Any thread may call anything.
"""

from __future__ import annotations

from isotherm.devices.drive import NOWAIT
from isotherm.segments.format import SALT_BYTES, TAG_BYTES
from isotherm.segments.port import BLOCK_BYTES, Extent, Seal
from isotherm.segments.reader import ExtentReader, outside
from isotherm.segments.sealed_blocks import demand_seal, open_blocks, open_small, whole_blocks

OPENED_ON_LOOP_BYTES = 4 * BLOCK_BYTES
"""Opening more than this takes longer than an event loop should be held up."""


class SealedReader:
    """Reads what sealed `Extent`s describe. See `Segments` for the errors.

    Args:
        reader: gives the ciphertext.
    """

    def __init__(self, reader: ExtentReader) -> None:
        self._reader = reader

    def read_now(self, extent: Extent, offset: int, length: int, seal: Seal | None) -> bytes | None:
        """See `Segments.read_now`."""
        key = demand_seal(extent, seal)
        reader, whole = self._reader, extent.length
        if offset < 0 or length < 0 or offset + length > whole:
            raise outside(extent, offset, length)
        descriptor = reader.cached.get(extent.segment)
        if descriptor is None or length == 0:
            return b"" if length == 0 else None
        descriptor.used = True
        if whole > BLOCK_BYTES:
            known = reader.entries.get(extent)
            start, end = whole_blocks(extent, offset, length)
            if known is None or end - start > OPENED_ON_LOOP_BYTES:
                return None
            payload = reader.blocks_now(descriptor, extent, start, end - start)
            if payload is None:
                return None
            return open_blocks(key, extent, known, start // BLOCK_BYTES, payload)[offset - start :][:length]
        size = SALT_BYTES + whole + TAG_BYTES
        view = reader.scratch.view[:size]
        try:
            if reader.preadv(descriptor.fd, (view,), extent.offset - SALT_BYTES, NOWAIT) != size:
                return None
        except OSError:  # would block, or this file system cannot say
            return None
        data = open_small(key, extent, view)
        return data if length == whole else data[offset : offset + length]

    def read(self, extent: Extent, offset: int, length: int, seal: Seal | None) -> bytes:
        """Verified bytes; blocks on the device."""
        key = demand_seal(extent, seal)
        reader, whole = self._reader, extent.length
        if offset < 0 or length < 0 or offset + length > whole:
            raise outside(extent, offset, length)
        if length == 0:
            return b""
        descriptor = reader.descriptors.get(extent.segment)
        if whole <= BLOCK_BYTES:
            stored = reader.pread(descriptor, extent, SALT_BYTES + whole + TAG_BYTES, -SALT_BYTES)
            data = open_small(key, extent, memoryview(stored))
            return data if length == whole else data[offset : offset + length]
        start, end = whole_blocks(extent, offset, length)
        payload = reader.read(extent, start, end - start)
        known = reader.entries.get(extent) or reader.learn(descriptor, extent)
        data = open_blocks(key, extent, known, start // BLOCK_BYTES, payload)
        return data if length == end - start else data[offset - start :][:length]
