"""Copying extents into a new object, byte for byte: owner, payload, checksums.

Every payload is verified as it is copied; a damaged extent is left where it is. The object is held in memory until it is put.
Blocks; any thread.
"""

from __future__ import annotations

from collections.abc import Iterable

from isotherm.errors import Corrupt
from isotherm.segments.accounting import SegmentRow, State
from isotherm.segments.format import FILE_HEADER_BYTES, ExtentHeader, encode_extent_header, encode_file_header
from isotherm.segments.port import Extent, Media
from isotherm.segments.remote.objects import SegmentObjects
from isotherm.segments.scan import SegmentScan
from isotherm.segments.upkeep import Copied


def copy_into_object(
    found: Iterable[tuple[SegmentScan, ExtentHeader]], objects: SegmentObjects, media: Media
) -> Copied:
    """See `Upkeep.copy`."""
    copied = Copied()
    parts: list[bytes] = [b""]
    places: dict[Extent, tuple[int, int, int, bool]] = {}
    at = FILE_HEADER_BYTES
    for scan, header in found:
        extent = header.extent(scan.segment)
        pieces: list[bytes] = []
        try:
            trailer = scan.verified(extent, pieces.append)
        except Corrupt:
            copied.damaged.append(extent)
            continue
        head = encode_extent_header(header.owner, header.length, header.check, salt=header.salt)
        parts += (head, *pieces, trailer)
        places[extent] = (at + len(head), header.length, header.check, header.sealed)
        at += len(head) + header.length + len(trailer)
    if places:
        payload = sum(length for _, length, _, _ in places.values())

        def build(segment: int) -> bytes:
            parts[0] = encode_file_header(segment, media)
            return b"".join(parts)

        segment = objects.create(SegmentRow(media, State.SEALED, payload, len(places), at, at), build)
        copied.moves.update((extent, Extent(segment, *place)) for extent, place in places.items())
    return copied
