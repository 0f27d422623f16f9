"""What listings show of versions, straight from their rows. Pure.

A listing looks only at what it shows, and not at the checksum: one damaged record is for its reader to meet, and no reason why
a bucket cannot be listed.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from isotherm.errors import Corrupt, Unsupported
from isotherm.objects.model import Entry
from isotherm.objects.records import ALGORITHMS, COMPOSITE, MARKER, NULL, STAMPED, STAMPED_BYTES, VERSIONS

_LISTED = struct.Struct(">16sB4xBQQ16sH2x8x4xBx")  # STAMPED without what is not shown


def as_entry(row: bytes, key: bytes, latest: bool) -> Entry:
    """What a listing shows of a version. Raises Corrupt, Unsupported."""
    try:
        stamp, version, _, flags, size, modified, etag, etag_parts, _, _, _, kind, _ = STAMPED.unpack_from(row)
        if version not in VERSIONS:
            raise Unsupported(f"a record of format {version}; this program reads no other than {sorted(VERSIONS)}")
        return Entry(
            key.decode(),
            size,
            modified,
            f"{etag.hex()}-{etag_parts}" if etag_parts else etag.hex(),
            "null" if flags & NULL else stamp.hex(),
            latest,
            bool(flags & MARKER),
            ALGORITHMS[kind & ~COMPOSITE],
            kind >= COMPOSITE,
        )
    except (struct.error, LookupError, UnicodeDecodeError) as error:
        raise Corrupt(f"the record of {key!r} cannot be read: {error}") from error


def as_entries(rows: Sequence[bytes], keys: Sequence[bytes]) -> list[Entry]:
    """What a listing shows of live versions: `as_entry` of each of them, all at once."""
    try:
        fixed = b"".join([row[:STAMPED_BYTES] for row in rows])
        entries = [
            Entry(
                key.decode(),
                size,
                modified,
                f"{etag.hex()}-{etag_parts}" if etag_parts else etag.hex(),
                "null" if flags & NULL else stamp.hex(),
                True,
                False,
                ALGORITHMS[kind & ~COMPOSITE],
                kind >= COMPOSITE,
            )
            for key, (stamp, version, flags, size, modified, etag, etag_parts, kind) in zip(
                keys, _LISTED.iter_unpack(fixed), strict=True
            )
            if version in VERSIONS and not flags & MARKER
        ]
        if len(entries) == len(rows):
            return entries
    except (struct.error, LookupError, ValueError):
        pass
    # one of them is unlike the others
    return [as_entry(row, key, True) for row, key in zip(rows, keys, strict=True)]
