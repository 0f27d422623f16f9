"""What a certificate of erasure says, and its signature. Pure; any thread. The format is docs/formats/erasure.md.

A statement is a JSON object of strings, whole numbers, booleans, null, lists and objects. What is signed is its canonical
form (RFC 8785): UTF-8, names in order, no white space. So it may be printed in any other way and still be verified, by
anybody who has the public key and a library with Ed25519 (RFC 8032). The private key is derived from the store's root key: all
nodes have the same, and none is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from isotherm.errors import Corrupt, Invalid

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

FORMAT = 1
ERASED = "isotherm.erasure"
PURGED = "isotherm.purge"
PUBLIC_KEY_BYTES = 32

_PURPOSE = b"isotherm erasure certificates, Ed25519, 1"
_canonical = msgspec.json.Encoder(order="deterministic").encode


class Signed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A statement with its signature; both keys in hexadecimal digits."""

    statement: Mapping[str, Any]
    public_key: str
    signature: str


class Signer:
    """Signs in the name of a store.

    Args:
        root_key: 32 bytes.
    """

    __slots__ = ("_key",)

    def __init__(self, root_key: bytes) -> None:
        self._key = _private_key(root_key)

    @property
    def public_key(self) -> bytes:
        """By which others verify; 32 bytes."""
        return self._key.public_key().public_bytes_raw()

    def sign(self, statement: Mapping[str, Any]) -> Signed:
        signature = self._key.sign(canonical(statement))
        return Signed(statement=statement, public_key=self.public_key.hex(), signature=signature.hex())


def canonical(statement: Mapping[str, Any]) -> bytes:
    """What is signed."""
    return _canonical(statement)


def verify(signed: Signed, public_key: bytes) -> None:
    """Raises Corrupt where the statement is not what the holder of that key signed, Invalid for what cannot be a key."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if len(public_key) != PUBLIC_KEY_BYTES:
        raise Invalid(f"a public key has {PUBLIC_KEY_BYTES} bytes, {2 * PUBLIC_KEY_BYTES} hexadecimal digits")
    if signed.public_key != public_key.hex():
        raise Corrupt("it was signed by another key")
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(
            bytes.fromhex(signed.signature), canonical(signed.statement)
        )
    except (InvalidSignature, ValueError):
        raise Corrupt("the signature does not fit: this is not what was signed") from None


def moment(ms: int) -> str:
    """A time as statements tell it: RFC 3339, UTC, milliseconds."""
    return datetime.fromtimestamp(ms / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _private_key(root_key: bytes) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    seed = HKDF(algorithm=SHA256(), length=32, salt=None, info=_PURPOSE).derive(root_key)
    return Ed25519PrivateKey.from_private_bytes(seed)
