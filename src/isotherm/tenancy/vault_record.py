"""The wrapped key of a node of the tree, as a row of the system tenant: pure codec and derivations. The format is
docs/formats/tenant-keys.md.

A node's own key is random. It is wrapped under a key that is derived from the node's secret, which lies in the key store, and
from the own key of the node above: whoever lacks one of the two opens neither this key nor any below.
"""

from __future__ import annotations

import struct

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from isotherm.errors import Corrupt, Unsupported

VERSION = 1
KEY_BYTES = 32
NONCE_BYTES = 12

TABLE = b"w"
_ROWS = bytes(4) + TABLE
_ID = struct.Struct(">I")
_HEAD = struct.Struct(">BI12s")  # version, parent, nonce
_BOUND = struct.Struct(">BII")  # version, node, parent
_WRAPPED_BYTES = KEY_BYTES + 16

_ROOT = b"isotherm root node key 1"
_WRAPPING = b"isotherm node kek 1"
_DATA = b"isotherm tenant data 1"


class WrappedKey(msgspec.Struct, frozen=True):
    """`parent`: the node under whose key it is wrapped, beside the node's own secret."""

    parent: int
    nonce: bytes
    wrapped: bytes


def key_row(tenant: int) -> bytes:
    return _ROWS + _ID.pack(tenant)


def key_rows() -> tuple[bytes, bytes]:
    """The half-open range of all of them."""
    return _ROWS, _ROWS[:-1] + bytes((_ROWS[-1] + 1,))


def tenant_of(row: bytes) -> int:
    """Raises Corrupt."""
    if len(row) != len(_ROWS) + _ID.size:
        raise Corrupt("the row of a tenant's key names no tenant")
    tenant: int = _ID.unpack_from(row, len(_ROWS))[0]
    return tenant


def pack(key: WrappedKey) -> bytes:
    return _HEAD.pack(VERSION, key.parent, key.nonce) + key.wrapped


def unpack(stored: bytes) -> WrappedKey:
    """The inverse of `pack`. Raises Corrupt; Unsupported for another version."""
    if stored[:1] != bytes((VERSION,)):
        raise Unsupported(f"a tenant's key of version {stored[0] if stored else 'none'}; this program reads {VERSION}")
    if len(stored) != _HEAD.size + _WRAPPED_BYTES:
        raise Corrupt("the row of a tenant's key is cut short")
    _, parent, nonce = _HEAD.unpack_from(stored)
    return WrappedKey(parent, nonce, stored[_HEAD.size :])


def wrap(tenant: int, parent: int, key: bytes, secret: bytes, above: bytes, nonce: bytes) -> WrappedKey:
    """The own key of a node, wrapped.

    Args:
        secret: the node's, from the key store.
        above: own key of `parent`.
    """
    bound = _BOUND.pack(VERSION, tenant, parent)
    return WrappedKey(parent, nonce, _wrapping(tenant, secret, above).encrypt(nonce, key, bound))


def unwrap(tenant: int, wrapped: WrappedKey, secret: bytes, above: bytes) -> bytes | None:
    """The inverse of `wrap`; None where secret or the key above are others, or the row is another's or was changed."""
    bound = _BOUND.pack(VERSION, tenant, wrapped.parent)
    try:
        return _wrapping(tenant, secret, above).decrypt(wrapped.nonce, wrapped.wrapped, bound)
    except InvalidTag:
        return None


def root_node_key(root_key: bytes) -> bytes:
    """The own key of the root."""
    return _derived(root_key, _ROOT)


def data_key(node_key: bytes) -> bytes:
    """What a tenant's extents are sealed under."""
    return _derived(node_key, _DATA)


def _wrapping(tenant: int, secret: bytes, above: bytes) -> AESGCM:
    return AESGCM(_derived(secret + above, _WRAPPING + _ID.pack(tenant)))


def _derived(key: bytes, info: bytes) -> bytes:
    return HKDF(SHA256(), KEY_BYTES, None, info).derive(key)
