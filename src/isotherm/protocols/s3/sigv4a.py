"""AWS Signature Version 4A: ECDSA over P-256 with a key derived from the secret, for requests signed for many regions.

The private scalar comes from NIST SP 800-108's counter-mode KDF over HMAC-SHA256 with the label AWS4-ECDSA-P256-SHA256,
counting up until it lies below the group's order. A signature is the DER of (r, s) over the SHA-256 of the string to sign,
in hexadecimal; signatures of chunks are filled up with "*" to a fixed width. Sources: "AWS Signature Version 4A" in the IAM
User Guide, and the behaviour of AWS's own client libraries.

Pure, but for `VerifyingKeys`, a bounded cache used on one loop's thread.
"""

from __future__ import annotations

from hashlib import sha256
from hmac import digest

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256

from isotherm.tenancy.identity import Credential

ALGORITHM = "AWS4-ECDSA-P256-SHA256"
PADDED_SIGNATURE_LENGTH = 144

_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_COUNTER_MOST = 254
_KEYS_MOST = 1024
_HASHED = ec.ECDSA(Prehashed(SHA256()))


def private_scalar(access_key: str, secret: str) -> int:
    """The private key of a pair, as an integer.

    Raises:
        ValueError: no counter gave one; its probability is below 2^-8000.
    """
    key = f"AWS4A{secret}".encode()
    for counter in range(1, _COUNTER_MOST + 1):
        fixed = ALGORITHM.encode() + b"\0" + access_key.encode() + bytes((counter,)) + (256).to_bytes(4, "big")
        candidate = int.from_bytes(digest(key, (1).to_bytes(4, "big") + fixed, "sha256"), "big")
        if candidate <= _ORDER - 2:
            return candidate + 1
    raise ValueError("no key can be derived from this secret")


def private_key(access_key: str, secret: str) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(private_scalar(access_key, secret), ec.SECP256R1())


def verifies(key: ec.EllipticCurvePublicKey, text: str, signature: str) -> bool:
    """Whether `signature` (hexadecimal) is one of `text`. Public-key verification needs no constant time."""
    try:
        key.verify(bytes.fromhex(signature), sha256(text.encode("latin-1")).digest(), _HASHED)
    except (InvalidSignature, ValueError):
        return False
    return True


class VerifyingKeys:
    """Public keys derived lately; deriving one costs as much as several signatures."""

    __slots__ = ("_keys",)

    def __init__(self) -> None:
        self._keys: dict[str, tuple[Credential, ec.EllipticCurvePublicKey]] = {}

    def key(self, credential: Credential) -> ec.EllipticCurvePublicKey:
        known = self._keys.get(credential.access_key)
        if known is not None and known[0] == credential:
            return known[1]
        if len(self._keys) >= _KEYS_MOST:
            self._keys.clear()
        key = private_key(credential.access_key, credential.secret).public_key()
        self._keys[credential.access_key] = (credential, key)
        return key
