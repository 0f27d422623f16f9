"""The `segments` port: append-only files of extents, the same for every data model above.

An *extent* is a run of payload bytes inside a segment, written once, never rewritten, never punched. It names its
*owner* (opaque bytes to this room: the key of what refers to it), so that compaction can find the reference. A crc32c
per 64 KiB, counted from the extent's start, lies apart from the payload.

*Life of an extent.* `append` or a stream writes it; `place` gives it its place, to be written before the transaction that refers
to it commits. The transaction that first refers to it calls `refer`: from then on it is durable at the latest, and its payload
counts as live. A transaction that copies the reference calls `share`; one that removes a reference calls `discard`; the last
reference takes the payload out of the live bytes. What was written and never referred to was never live and needs no clean-up.
Compaction moves live extents, tells the `Referrer` of their owners in the same transaction, and unlinks a segment only when no
live byte and no older reader (`reading`) is left.

*Sealed extents* hold ciphertext (sealing.py, docs/formats/segment.md). Engines lay them out, copy and verify them without a
key; only who reads one brings its tenant's `Seal`, and who streams one. Data models see none of this: each tenant has its own
view of an engine (tenant_segments.py).

Who may call: any thread or coroutine of the process that opened the store; see `devices/waiting.py` for how one
coroutine serves both. Payload arguments may be bytes, bytearray or memoryview and are not modified or kept.
"""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from enum import Enum
from typing import Protocol

import msgspec

from isotherm.meta.port import Prerequisite, Reader, Transaction

BLOCK_BYTES = 65_536
EXTENT_BYTES_MOST = 256 << 20

Buffer = bytes | bytearray | memoryview

_EXTENT = struct.Struct(">QQQI")
_SEALED_BIT = 1 << 63
_LENGTH_BITS = _SEALED_BIT - 1


class Media(Enum):
    """Media classes: `performance` near compute, `capacity` behind it."""

    PERFORMANCE = "performance"
    CAPACITY = "capacity"


class Extent(msgspec.Struct, frozen=True, gc=False):
    """Where payload lies.

    `offset` is of the first payload byte in the segment. `check` is the crc32c of the payload when it is at most one
    block, else the crc32c of the packed big-endian u32 block checksums that follow the payload. Of a `sealed` one it covers
    the tags too, and the payload is ciphertext, as long as the plaintext.
    """

    segment: int
    offset: int
    length: int
    check: int
    sealed: bool = False

    @property
    def marked_length(self) -> int:
        """`length`, with the highest of 64 bits set where it is sealed: how references are stored."""
        return self.length | _SEALED_BIT if self.sealed else self.length

    def pack(self) -> bytes:
        return _EXTENT.pack(self.segment, self.offset, self.marked_length, self.check)


EXTENT_PACKED_BYTES = _EXTENT.size


def unpack_extents(packed: bytes) -> list[Extent]:
    """The inverse of `b"".join(extent.pack() for …)`."""
    return [marked_extent(*fields) for fields in _EXTENT.iter_unpack(packed)]


def marked_extent(segment: int, offset: int, marked_length: int, check: int) -> Extent:
    """An extent as it is stored; see `Extent.marked_length`."""
    return Extent(segment, offset, marked_length & _LENGTH_BITS, check, marked_length > _LENGTH_BITS)


class Sealed(msgspec.Struct, frozen=True, gc=False):
    """A payload as a seal made it: 16 bytes of salt, ciphertext as long as the plaintext, 16 bytes of tag for each block."""

    salt: bytes
    payload: Buffer
    tags: bytes

    def __len__(self) -> int:
        return len(self.payload)


Payload = Buffer | Sealed


class Frames(Protocol):
    """An extent on its way through a seal, block by block. One user at a time."""

    @property
    def salt(self) -> bytes: ...

    @property
    def tags(self) -> bytes:
        """Of what was given out until now."""
        ...

    def update(self, run: Sequence[Buffer]) -> list[Buffer]:
        """The next bytes of the plaintext; ciphertext of the blocks that are complete and not the last."""
        ...

    def finish(self) -> list[Buffer]:
        """The rest of the ciphertext."""
        ...


class Sealing(Protocol):
    """What seals extents of a stream. Any thread."""

    def begin(self) -> Frames:
        """A new extent, under a salt of its own."""
        ...


class Seal(Sealing, Protocol):
    """A tenant's key at work. Any thread."""

    def seal(self, data: Buffer) -> Sealed:
        """A whole extent."""
        ...

    def open(self, extent: Extent, salt: bytes, first: int, payload: Buffer, tags: Buffer) -> bytes:
        """The plaintext of consecutive whole blocks of an extent, `first` being the number of the first of them.

        Raises:
            Corrupt: it is not what was sealed under this key with this salt, or not in this place.
        """
        ...


class Witness(Protocol):
    """Sees a payload pass on its way to the device, on the thread that writes it: for digests."""

    def update(self, data: Buffer) -> None:
        """The next bytes, in order."""
        ...

    def finish(self) -> None:
        """All have passed, and none is durable yet. What it raises ends the stream as a failed write does."""
        ...


class ExtentStream(Protocol):
    """A large payload on its way into a segment of its own. End it with `finish` or `abort`, always."""

    async def write(self, data: Buffer) -> None: ...

    async def finish(self) -> list[Extent]:
        """Make it durable; the extents in order, each ≤ EXTENT_BYTES_MOST."""
        ...

    async def abort(self) -> None:
        """Give up: what was written is cut off, or stays behind as dead. Never raises for a device's failure."""
        ...


class Hold(Protocol):
    """A reader that is under way. Release it, from any thread; twice does no harm."""

    def release(self) -> None: ...


class Referrer(Protocol):
    """How a data model finds and rewrites its own references. Registered for the first byte of its owners."""

    async def referenced(
        self, reader: Reader, wanted: Mapping[bytes, Collection[Extent]]
    ) -> Mapping[bytes, Collection[Extent]]:
        """Of the extents wanted of each owner those to which it refers now. Asked for many owners at once, since some
        lie together: the versions of a key."""
        ...

    async def relocate(self, txn: Transaction, owner: bytes, moves: Mapping[Extent, Extent]) -> set[Extent]:
        """Replace old extents (keys) by new ones wherever `owner` refers to them; the old ones that were replaced."""
        ...


class Segments(Protocol):
    """A store of segments.

    Errors of all reads: `Corrupt` when a checksum or a seal does not fit; `Denied` when a sealed extent is read without a
    seal; `NotFound` when the segment is gone (the reference was
    moved meanwhile: resolve it again). Of all writes: `NoSpace`; `Unavailable` after any other device error, whereupon
    the segment concerned is never written again.
    """

    async def append(self, owner: bytes, data: Payload, media: Media = Media.PERFORMANCE) -> Extent:
        """Write a small payload (≤ 4 MiB), sharing a segment and its sync with others.

        Durable on return or, where an engine keeps it in the metadata, with the transaction that refers to it: hand
        `refer` the very extent that this gave.
        """
        ...

    async def place(
        self, owner: bytes, data: Payload, media: Media = Media.PERFORMANCE
    ) -> tuple[Extent, Prerequisite | None]:
        """As `append`, for a transaction that refers to it and commits `after` the prerequisite, if there is one.

        On local media it suspends only where a segment must be made first. What no transaction waits for may never be
        written.
        """
        ...

    def stream(
        self,
        owner: bytes,
        media: Media = Media.PERFORMANCE,
        witness: Witness | None = None,
        seal: Sealing | None = None,
    ) -> ExtentStream:
        """A large payload. The witness sees it before the seal does."""
        ...

    def read_now(self, extent: Extent, offset: int, length: int, seal: Seal | None = None) -> bytes | None:
        """Verified bytes of a range within the extent if they are at hand; None where reading would block."""
        ...

    async def read(self, extent: Extent, offset: int, length: int, seal: Seal | None = None) -> bytes:
        """Verified bytes; may wait for the device. Meant for up to a few MiB."""
        ...

    def chunks(self, extent: Extent, offset: int, length: int, seal: Seal | None = None) -> AsyncIterator[bytes]:
        """Verified bytes in pieces of at most 1 MiB."""
        ...

    def sendable(self, extent: Extent, offset: int, length: int) -> tuple[int, int] | None:
        """(descriptor, file offset) for sendfile, when this process has verified every block of the range lately, and the
        engine has descriptors. Never of a sealed extent.

        The descriptor is valid until control returns to the event loop; duplicate it to keep it.
        """
        ...

    def reading(self) -> AbstractAsyncContextManager[None]:
        """Enter before resolving references that will be read for longer than one read (a streamed answer, a backup).

        No segment that such a reader can have resolved is removed until it leaves, or its process has been stopped for
        longer than a grace period. Small reads go without: they may meet `NotFound` and resolve again.
        """
        ...

    async def hold(self) -> Hold:
        """As `reading`, where the reader's end is not the end of a block."""
        ...

    async def settled(self, stamp: bytes) -> bool:
        """Whether no reader of any process holds anything that the commit `stamp` made unreachable."""
        ...

    async def refer(self, txn: Transaction, extents: Collection[Extent]) -> None:
        """Within the transaction that makes an owner refer to extents just written: their payload is live from now on.

        Raises:
            Unavailable: a segment was given up before this transaction; write the payload again.
        """
        ...

    async def share(self, txn: Transaction, extents: Collection[Extent], owner: bytes, also: bytes) -> None:
        """Within the transaction that makes `also` refer to what `owner` refers to (a copy): one row for each of them.

        The transaction must have read the reference of `owner`, and shares before it discards: an extent that lost its
        last reference does not come back to life.
        """
        ...

    async def discard(
        self, txn: Transaction, extents: Collection[Extent], owner: bytes, *, shared: bool = True
    ) -> list[Extent]:
        """Within a transaction that removes every reference of `owner` to `extents`: account their payload as dead.

        Returns those to which nothing refers from then on.

        Extents that have been shared lose this owner's row instead, and die with the last one. With `shared` false the owner
        knows that none ever was, and no rows are looked for.
        """
        ...

    def close(self) -> None:
        """Seal this process's open segments."""
        ...
