"""AES-256-GCM of extents, block by block, as docs/formats/segment.md specifies: how a tenant's key seals and opens payload.

Every extent has a key of its own, HKDF-SHA256 of the tenant's key (RFC 5869) with the extent's salt, 16 random bytes. A frame is
a block: its nonce is its number, and the associated data bind it to tenant, salt, number and whether it is the last. So no
nonce is used twice under a key, and no frame opens in another place, another extent, or of another tenant.

Any thread; nothing here waits. Keys never appear in errors.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from isotherm.errors import Corrupt
from isotherm.ids import Ids
from isotherm.segments.format import SALT_BYTES, TAG_BYTES, blocks_in
from isotherm.segments.port import BLOCK_BYTES, Buffer, Extent, Frames, Sealed

KEY_BYTES = 32
_INFO = b"isotherm extent 1"
_BOUND = struct.Struct(">I16sIB")  # tenant, salt, frame, whether it is the last
_NONCE_BYTES = 12
CIPHERS_MOST = 16_384


class Ciphers:
    """The ciphers of extents that were opened lately, whoever's: deriving the key of a small extent costs twice what opening it does.

    Whoever keeps this clears it now and then, so that no key is remembered for long. Any thread.
    """

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[bytes, tuple[TenantSeal, AESGCM]] = {}

    def get(self, seal: TenantSeal, salt: bytes) -> AESGCM | None:
        kept = self._kept.get(salt)
        return kept[1] if kept is not None and kept[0] is seal else None

    def keep(self, seal: TenantSeal, salt: bytes, cipher: AESGCM) -> None:
        if len(self._kept) >= CIPHERS_MOST:
            self._kept.clear()
        self._kept[salt] = (seal, cipher)

    def clear(self) -> None:
        self._kept.clear()


class TenantSeal:
    """See `Seal`.

    Args:
        key: the tenant's, 32 bytes.
        ids: draws salts.
        ciphers: shared with the seals of other tenants.
    """

    __slots__ = ("_ciphers", "_ids", "_key", "_tenant")

    def __init__(self, tenant: int, key: bytes, ids: Ids, ciphers: Ciphers | None = None) -> None:
        self._ciphers = ciphers or Ciphers()
        self._tenant = tenant
        self._key = key
        self._ids = ids

    def begin(self) -> Frames:
        salt = self._ids.token(SALT_BYTES)
        return _Frames(self._tenant, salt, self._cipher(salt))

    def seal(self, data: Buffer) -> Sealed:
        frames = self.begin()
        parts = frames.update([data])
        parts += frames.finish()
        return Sealed(frames.salt, parts[0] if len(parts) == 1 else b"".join(parts), frames.tags)

    def open(self, extent: Extent, salt: bytes, first: int, payload: Buffer, tags: Buffer) -> bytes:
        cipher = self._ciphers.get(self, salt)
        if cipher is None:
            cipher = self._cipher(salt)
            self._ciphers.keep(self, salt, cipher)
        last = blocks_in(extent.length) - 1
        view, frame = memoryview(payload), first
        parts: list[bytes] = []
        try:
            for at in range(0, len(view), BLOCK_BYTES):
                tag = tags[(frame - first) * TAG_BYTES :][:TAG_BYTES]
                sealed = b"".join((view[at : at + BLOCK_BYTES], tag))
                bound = _BOUND.pack(self._tenant, salt, frame, frame == last)
                parts.append(cipher.decrypt(frame.to_bytes(_NONCE_BYTES, "big"), sealed, bound))
                frame += 1
        except InvalidTag:
            raise Corrupt(
                "stored bytes are not what the key of their tenant sealed",
                segment=extent.segment,
                offset=extent.offset,
                block=frame,
            ) from None
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _cipher(self, salt: bytes) -> AESGCM:
        return AESGCM(HKDF(SHA256(), KEY_BYTES, salt, _INFO).derive(self._key))


class _Frames:
    """See `Frames`. The bytes of a block that may be the last are held back until more come, or none."""

    __slots__ = ("_cipher", "_frame", "_held", "_tags", "_tenant", "salt")

    def __init__(self, tenant: int, salt: bytes, cipher: AESGCM) -> None:
        self.salt = salt
        self._tenant = tenant
        self._cipher = cipher
        self._frame = 0
        self._held = bytearray()
        self._tags: list[bytes] = []

    @property
    def tags(self) -> bytes:
        return b"".join(self._tags)

    def update(self, run: Sequence[Buffer]) -> list[Buffer]:
        done: list[Buffer] = []
        for piece in run:
            view = memoryview(piece)
            if self._held:
                missing = BLOCK_BYTES - len(self._held)
                self._held += view[:missing]
                view = view[missing:]
                if not view:
                    continue
                done.append(self._seal(self._held, last=False))
                self._held = bytearray()
            while len(view) > BLOCK_BYTES:
                done.append(self._seal(view[:BLOCK_BYTES], last=False))
                view = view[BLOCK_BYTES:]
            self._held += view
        return done

    def finish(self) -> list[Buffer]:
        held, self._held = self._held, bytearray()
        return [self._seal(held, last=True)]

    def _seal(self, data: Buffer, *, last: bool) -> memoryview:
        bound = _BOUND.pack(self._tenant, self.salt, self._frame, last)
        sealed = memoryview(self._cipher.encrypt(self._frame.to_bytes(_NONCE_BYTES, "big"), data, bound))
        self._frame += 1
        self._tags.append(bytes(sealed[-TAG_BYTES:]))
        return sealed[:-TAG_BYTES]
