"""The bytes of a segment file, as docs/formats/segment.md specifies them: pure codecs, no I/O.

A file is a file header, then extents one behind the other. An extent is a fixed header, the owner, padding, the payload
contiguous, and a trailer of block checksums when the payload is longer than one block. A sealed extent has a salt before its
payload, and tags at the end of its trailer. All integers are big-endian.

Any thread; everything here is a function of its arguments.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from awscrt.checksums import crc32c as _crc32c

from isotherm.errors import Corrupt, Invalid, Unsupported
from isotherm.segments.port import BLOCK_BYTES, EXTENT_BYTES_MOST, Buffer, Extent, Media

FILE_MAGIC = b"\x89ISOSEG\n"
EXTENT_MAGIC = b"IsoX"
VERSION = 1

FILE_HEADER_BYTES = 32
EXTENT_HEADER_BYTES = 32
OWNER_BYTES_MOST = 2_500  # as the tail of a metadata key it must fit KEY_BYTES
ALIGNMENT_BYTES = 4_096
CRC_BYTES = 4
SALT_BYTES = 16
TAG_BYTES = 16
HEAD_BYTES_MOST = EXTENT_HEADER_BYTES + OWNER_BYTES_MOST + ALIGNMENT_BYTES + SALT_BYTES
"""All that can precede a payload."""

SEALED = 0x0001
"""Flag of an encrypted extent."""
KNOWN_FLAGS = SEALED

_FILE = struct.Struct(">8sBBHQ8xI")  # magic, version, media, flags, segment, reserved, crc32c of what precedes
_EXTENT = struct.Struct(
    ">4sBxHHHQI4xI"
)  # magic, version, flags, owner length, padding, payload length, check, header crc
_CRC_AT = EXTENT_HEADER_BYTES - CRC_BYTES
_MEDIA = {Media.PERFORMANCE: 1, Media.CAPACITY: 2}
_MEDIA_OF = {code: media for media, code in _MEDIA.items()}


def crc32c(data: Buffer, previous: int = 0) -> int:
    """CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `data`, continuing from `previous`."""
    value: int = _crc32c(data, previous)
    return value


def blocks_in(length: int) -> int:
    """How many blocks a payload of `length` bytes has."""
    return -(-length // BLOCK_BYTES)


def trailer_bytes(length: int, sealed: bool) -> int:
    """Size of the trailer behind a payload of `length` bytes."""
    blocks = blocks_in(length)
    return (CRC_BYTES * blocks if blocks > 1 else 0) + (TAG_BYTES * blocks if sealed else 0)


def block_checksums(payload: Buffer) -> list[int]:
    """The crc32c of each block, counted from the start of `payload`."""
    view = memoryview(payload)
    return [_crc32c(view[at : at + BLOCK_BYTES]) for at in range(0, len(view), BLOCK_BYTES)]


def pack_trailer(checksums: list[int]) -> bytes:
    return struct.pack(f">{len(checksums)}I", *checksums)


def unpack_trailer(trailer: bytes, length: int) -> tuple[int, ...]:
    """The block checksums in the trailer of a payload of `length` bytes, more than one block."""
    return struct.unpack_from(f">{blocks_in(length)}I", trailer)


def checked(payload: Buffer, tags: bytes = b"") -> tuple[int, bytes]:
    """(check, trailer) of a payload: without tags the trailer is empty when one block holds it all."""
    if len(payload) <= BLOCK_BYTES:
        check: int = _crc32c(payload)
        return (crc32c(tags, check), tags) if tags else (check, b"")
    trailer = pack_trailer(block_checksums(payload)) + tags
    return crc32c(trailer), trailer


def encode_file_header(segment: int, media: Media) -> bytes:
    head = _FILE.pack(FILE_MAGIC, VERSION, _MEDIA[media], 0, segment, 0)[:-CRC_BYTES]
    return head + crc32c(head).to_bytes(CRC_BYTES, "big")


def decode_file_header(head: bytes, segment: int) -> Media:
    """The media class the segment was written for.

    Raises:
        Corrupt: these bytes are no header of that segment.
        Unsupported: it is of a version or has flags that this reader does not know.
    """
    if len(head) < FILE_HEADER_BYTES or head[:8] != FILE_MAGIC:
        raise Corrupt("no segment file", segment=segment)
    _, version, media, flags, named, crc = _FILE.unpack(head[:FILE_HEADER_BYTES])
    if crc != crc32c(head[: FILE_HEADER_BYTES - CRC_BYTES]):
        raise Corrupt("damaged segment header", segment=segment)
    if version != VERSION or flags or media not in _MEDIA_OF:
        raise Unsupported("a segment of an unknown format", segment=segment, version=version, flags=flags)
    if named != segment:
        raise Corrupt("a segment under another's name", segment=segment, named=named)
    return _MEDIA_OF[media]


@dataclass(frozen=True, slots=True)
class ExtentHeader:
    """What lies in front of a payload. `at` is the offset of the header in the file."""

    at: int
    flags: int
    owner: bytes
    padding: int
    length: int
    check: int
    salt: bytes = b""

    @property
    def payload_at(self) -> int:
        return self.at + EXTENT_HEADER_BYTES + len(self.owner) + self.padding + len(self.salt)

    @property
    def end(self) -> int:
        """Where the next extent begins."""
        return self.payload_at + self.length + trailer_bytes(self.length, self.sealed)

    @property
    def sealed(self) -> bool:
        return self.flags & SEALED != 0

    def extent(self, segment: int) -> Extent:
        return Extent(segment, self.payload_at, self.length, self.check, self.sealed)


def padding_for(at: int, owner: bytes, salt: bytes = b"") -> int:
    """Zeros that align the payload of an extent whose header lies at `at`."""
    return -(at + EXTENT_HEADER_BYTES + len(owner) + len(salt)) % ALIGNMENT_BYTES


def encode_extent_header(owner: bytes, length: int, check: int, padding: int = 0, salt: bytes = b"") -> bytes:
    """Header, owner, padding and, of a sealed extent, salt: all that precedes the payload."""
    flags = SEALED if salt else 0
    head = _EXTENT.pack(EXTENT_MAGIC, VERSION, flags, len(owner), padding, length, check, 0)[:_CRC_AT]
    crc: int = _crc32c(owner, _crc32c(head))
    if salt:
        crc = _crc32c(salt, crc)
    return b"%b%b%b%b%b" % (head, crc.to_bytes(CRC_BYTES, "big"), owner, bytes(padding), salt)


def check_owner(owner: bytes) -> None:
    """Raises `Invalid` unless `owner` fits a header."""
    if not 0 < len(owner) <= OWNER_BYTES_MOST:
        raise Invalid(f"an owner is 1 to {OWNER_BYTES_MOST} bytes, not {len(owner)}")


def decode_extent_header(head: bytes, at: int) -> ExtentHeader | None:
    """The header at the start of `head` (at least HEAD_BYTES_MOST, or all up to the file's end).

    None where no intact header lies: the end of what was written, or damage.

    Raises:
        Unsupported: an intact header of another version, or with flags this reader does not know.
    """
    if len(head) < EXTENT_HEADER_BYTES or head[:4] != EXTENT_MAGIC:
        return None
    _, version, flags, owner_bytes, padding, length, check, crc = _EXTENT.unpack(head[:EXTENT_HEADER_BYTES])
    owner = bytes(head[EXTENT_HEADER_BYTES : EXTENT_HEADER_BYTES + owner_bytes])
    salt = b""
    if flags & SEALED:
        salt_at = EXTENT_HEADER_BYTES + owner_bytes + padding
        salt = bytes(head[salt_at : salt_at + SALT_BYTES])
        if len(salt) != SALT_BYTES:
            return None
    found: int = _crc32c(owner, _crc32c(head[:_CRC_AT]))
    if len(owner) != owner_bytes or crc != (crc32c(salt, found) if salt else found):
        return None
    if version != VERSION or flags & ~KNOWN_FLAGS:
        raise Unsupported("an extent of an unknown format", offset=at, version=version, flags=flags)
    if not 0 < length <= EXTENT_BYTES_MOST or not owner:
        return None
    return ExtentHeader(at, flags, owner, padding, length, check, salt)
