"""Credentials as rows of the system tenant: pure codec and sealing. The format is docs/formats/identity.md.

A secret lies sealed with AES-256-GCM under the root key. Its associated data are the row's key and the record's tenant and
roles, so that a sealed secret moved to another row or tenant, or given other roles, does not open. Records of version 1
knew no roles: they carry `data`.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from hashlib import sha256

from isotherm.errors import Corrupt, Unsupported
from isotherm.tenancy.roles import DATA_ALONE, Role, pack_roles, unpack_roles

VERSION = 2
OLD_VERSION = 1
SYSTEM_TENANT = 0
TABLE = b"K"
NONCE_BYTES = 12
DESCRIPTION_BYTES_MOST = 256

ACTIVE = 0
REVOKED = 1

_TABLE = struct.pack(">I", SYSTEM_TENANT) + TABLE
_REST = "IQQ8s12sHH"  # tenant, created, ends, key id, nonce, sealed, description
_FIXED = {OLD_VERSION: struct.Struct(">BB" + _REST), VERSION: struct.Struct(">BBB" + _REST)}  # version, state, (roles)


@dataclass(frozen=True, slots=True)
class Row:
    """A credential's record. Times in milliseconds since 1970; `ends_ms` is 0 for one without an end."""

    state: int
    tenant: int
    created_ms: int
    ends_ms: int
    key_id: bytes
    nonce: bytes
    sealed: bytes
    description: str
    roles: frozenset[Role] = DATA_ALONE
    version: int = VERSION

    def good(self, now_ms: int) -> bool:
        """Whether it signs at that time, as far as the record itself says."""
        return self.state == ACTIVE and (not self.ends_ms or now_ms < self.ends_ms)

    def pack(self) -> bytes:
        description = self.description.encode()
        roles = (pack_roles(self.roles),) if self.version != OLD_VERSION else ()
        fixed = _FIXED[self.version].pack(
            self.version,
            self.state,
            *roles,
            self.tenant,
            self.created_ms,
            self.ends_ms,
            self.key_id,
            self.nonce,
            len(self.sealed),
            len(description),
        )
        return fixed + self.sealed + description


def unpack(data: bytes) -> Row:
    """The inverse of `Row.pack`.

    Raises:
        Unsupported: a version this program does not know.
        Corrupt: not a record.
    """
    fixed = _FIXED.get(data[0]) if data else None
    if fixed is None:
        raise Unsupported(
            f"credential record of version {data[0] if data else 'none'}; this program reads {OLD_VERSION} and {VERSION}"
        )
    try:
        version, state, *roles, tenant, created, ends, key_id, nonce, sealed_bytes, described_bytes = fixed.unpack_from(
            data
        )
        end_of_sealed = fixed.size + sealed_bytes
        if len(data) != end_of_sealed + described_bytes:
            raise Corrupt("credential record of a wrong length")
        description = data[end_of_sealed:].decode()
    except (struct.error, UnicodeDecodeError) as error:
        raise Corrupt(f"credential record is damaged: {error}") from error
    carried = unpack_roles(roles[0]) if roles else DATA_ALONE
    sealed = data[fixed.size : end_of_sealed]
    return Row(state, tenant, created, ends, key_id, nonce, sealed, description, carried, version)


def row_key(access_key: str) -> bytes:
    return _TABLE + access_key.encode()


def row_range() -> tuple[bytes, bytes]:
    """The half-open range of all rows."""
    return _TABLE, _TABLE[:-1] + bytes((_TABLE[-1] + 1,))


def access_key_of(key: bytes) -> str:
    return key[len(_TABLE) :].decode()


def key_id(root_key: bytes) -> bytes:
    """Tells which root key sealed a secret, without saying anything of the key."""
    return sha256(b"isotherm root key id\0" + root_key).digest()[:8]


def seal(root_key: bytes, nonce: bytes, access_key: str, tenant: int, roles: frozenset[Role], secret: str) -> bytes:
    """The sealed secret of a record of this version."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(root_key).encrypt(nonce, secret.encode(), _associated(access_key, tenant, roles))


def unseal(root_key: bytes, row: Row, access_key: str) -> str | None:
    """The secret; None where it was sealed under another root key.

    Raises:
        Corrupt: it was sealed under this one and does not open.
    """
    if row.key_id != key_id(root_key):
        return None
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    associated = _associated(access_key, row.tenant, row.roles if row.version != OLD_VERSION else None)
    try:
        opened = AESGCM(root_key).decrypt(row.nonce, row.sealed, associated)
    except InvalidTag as error:
        raise Corrupt(f"the secret of {access_key} does not open under the root key") from error
    return opened.decode()


def _associated(access_key: str, tenant: int, roles: frozenset[Role] | None) -> bytes:
    """What the seal binds the secret to; without roles, as in version 1."""
    bound = row_key(access_key) + struct.pack(">I", tenant)
    return bound if roles is None else bytes((VERSION,)) + bound + bytes((pack_roles(roles),))
