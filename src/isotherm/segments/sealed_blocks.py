"""From the verified bytes of a sealed extent, as they lie in a segment, to plaintext: what the readers of both engines share.

Any thread; nothing here waits.
"""

from __future__ import annotations

from awscrt.checksums import crc32c

from isotherm.errors import Denied
from isotherm.segments.format import SALT_BYTES, TAG_BYTES
from isotherm.segments.known import KnownExtent
from isotherm.segments.port import BLOCK_BYTES, Buffer, Extent, Seal
from isotherm.segments.reader import damaged


def demand_seal(extent: Extent, seal: Seal | None) -> Seal:
    """Raises Denied where there is none."""
    if seal is None:
        raise Denied("sealed bytes are read without the key of their tenant", segment=extent.segment)
    return seal


def whole_blocks(extent: Extent, offset: int, length: int) -> tuple[int, int]:
    """Where the blocks that hold a range begin and end."""
    start = offset - offset % BLOCK_BYTES
    return start, min(-(-(offset + length) // BLOCK_BYTES) * BLOCK_BYTES, extent.length)


def open_small(seal: Seal, extent: Extent, stored: memoryview) -> bytes:
    """The whole of an extent of at most one block, given as it lies: salt, payload, tag. Raises Corrupt."""
    if crc32c(stored[SALT_BYTES:]) != extent.check:
        raise damaged(extent, 0)
    return open_stored(seal, extent, stored)


def open_stored(seal: Seal, extent: Extent, stored: memoryview) -> bytes:
    """As `open_small`, of what has been verified already."""
    return seal.open(extent, bytes(stored[:SALT_BYTES]), 0, stored[SALT_BYTES:-TAG_BYTES], stored[-TAG_BYTES:])


def open_blocks(seal: Seal, extent: Extent, known: KnownExtent, first: int, payload: Buffer) -> bytes:
    """Consecutive verified blocks of a longer extent, from number `first`. Raises Corrupt."""
    return seal.open(extent, known.salt, first, payload, known.tags[first * TAG_BYTES :])
