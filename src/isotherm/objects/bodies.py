"""From a body that arrives to extents: small bodies get places in a shared segment, which becomes durable just before the
transaction that refers to them commits; large ones stream.

Hashing and writing of large bodies run where they block nobody, on one thread, in order, a piece of about a MiB at a time:
memory stays bounded whatever the body's size. Nothing is referred to yet: the caller's transaction does that.

Invariants: the bytes that are hashed are the bytes that are written, whatever the caller does to his buffers meanwhile
(a source may fill one buffer again and again); sizes are of bytes, whatever the items of a buffer are.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator

import msgspec

from isotherm.devices.waiting import offload
from isotherm.errors import Invalid
from isotherm.meta.port import Prerequisite, Transaction
from isotherm.objects.checksums import Digester, verify
from isotherm.objects.model import MD5_BYTES_MOST, Body, Checksum, Digests
from isotherm.segments.port import Buffer, Extent, Segments, Witness

SMALL_BYTES_MOST = 1 << 20
_PIECE_BYTES = 1 << 20
_INLINE_HASH_BYTES = 64 << 10


class Stored(msgspec.Struct, frozen=True, gc=False):
    """Bytes that a transaction may `refer` to. `md5` is None where none was computed; `placed` where they are durable."""

    size: int
    extents: tuple[Extent, ...]
    md5: bytes | None
    checksum: Checksum | None
    placed: Prerequisite | None = None

    async def refer(self, segments: Segments, txn: Transaction) -> None:
        """Make them live within the transaction that refers to them, and durable before it commits."""
        if self.placed is not None:
            txn.after(self.placed)
        await segments.refer(txn, self.extents)


def is_small(body: Buffer | Body) -> bool:
    """Whether `store` will make it one extent at most, in a segment shared with others."""
    if isinstance(body, bytes):
        return len(body) <= SMALL_BYTES_MOST
    size = body.size if isinstance(body, Body) else memoryview(body).nbytes
    return size is not None and size <= SMALL_BYTES_MOST


async def store(segments: Segments, owner: bytes, body: Buffer | Body, digests: Digests, most_bytes: int) -> Stored:
    """Write a body and check it against `digests`.

    Raises:
        Invalid: EntityTooLarge, BadDigest; and what the body's iterator raises.
    """
    small = is_small(body)
    if not isinstance(body, Body):
        if small:
            return await _store_small(segments, owner, _unchanging(body), digests)
        body = Body(_pieces_of(body), memoryview(body).nbytes)
    if body.size is not None and body.size > most_bytes:
        raise _too_large(body.size, most_bytes)
    if small:
        held = [_unchanging(piece) async for piece in body.pieces]
        whole = held[0] if len(held) == 1 else b"".join(held)
        return await _store_small(segments, owner, whole, digests)
    return await _store_stream(segments, owner, body, digests, most_bytes)


async def _store_small(segments: Segments, owner: bytes, data: Buffer, digests: Digests) -> Stored:
    digester = Digester(digests.algorithm, md5=True)
    if len(data) <= _INLINE_HASH_BYTES:
        digester.update(data)
    else:
        await offload(digester.update, data)
    verify(digester, digests)
    md5, checksum = digester.md5, digester.checksum
    if not data:
        return Stored(0, (), md5, checksum)
    extent, placed = await segments.place(owner, data)
    return Stored(len(data), (extent,), md5, checksum, placed)


async def _store_stream(segments: Segments, owner: bytes, body: Body, digests: Digests, most_bytes: int) -> Stored:
    wanted = digests.md5 is not None
    outgrown = body.size is not None and body.size > MD5_BYTES_MOST
    digester = Digester(
        digests.algorithm, md5=wanted or not outgrown, md5_most=sys.maxsize if wanted else MD5_BYTES_MOST
    )
    stream = segments.stream(owner, witness=_Examination(digester, digests, body.hand_over()))
    size = 0
    try:
        async for piece in _gathered(body.pieces):
            size += len(piece)
            if size > most_bytes:
                raise _too_large(size, most_bytes)
            await stream.write(piece)
        extents = await stream.finish()
    except BaseException:
        await stream.abort()
        raise
    return Stored(size, tuple(extents), digester.md5, digester.checksum)


class _Examination:
    """A `Witness`: what must hold of a body that is being written."""

    __slots__ = ("_also", "_digester", "_digests")

    def __init__(self, digester: Digester, digests: Digests, also: Witness | None) -> None:
        self._digester = digester
        self._digests = digests
        self._also = also

    def update(self, data: Buffer) -> None:
        self._digester.update(data)
        if self._also is not None:
            self._also.update(data)

    def finish(self) -> None:
        """Raises what `verify` does, and what the other witness does."""
        if self._also is not None:
            self._also.finish()
        verify(self._digester, self._digests)


async def _gathered(pieces: AsyncIterator[Buffer]) -> AsyncIterator[Buffer]:
    """The same bytes in pieces of at least `_PIECE_BYTES`, but for the last: fewer hand-overs to threads."""
    held: list[Buffer] = []
    size = 0
    async for given in pieces:
        piece = _unchanging(given)
        held.append(piece)
        size += len(piece)
        if size >= _PIECE_BYTES:
            yield held[0] if len(held) == 1 else b"".join(held)
            held, size = [], 0
    if held:
        yield held[0] if len(held) == 1 else b"".join(held)


async def _pieces_of(data: Buffer) -> AsyncIterator[Buffer]:
    view = memoryview(data)
    if not view.c_contiguous:
        view = memoryview(view.tobytes())
    view = view.cast("B")
    for at in range(0, len(view), _PIECE_BYTES):
        yield view[at : at + _PIECE_BYTES]


def _unchanging(data: Buffer) -> Buffer:
    """The bytes of `data` as they are now: itself where nobody can change it, else a copy."""
    if isinstance(data, bytes):
        return data
    view = memoryview(data)
    plain = isinstance(view.obj, bytes) and view.c_contiguous and view.ndim == view.itemsize == 1
    return view if plain else view.tobytes()


def _too_large(size: int, most_bytes: int) -> Invalid:
    return Invalid(
        "Your proposed upload exceeds the maximum allowed size.",
        code="EntityTooLarge",
        ProposedSize=size,
        MaxSizeAllowed=most_bytes,
    )
