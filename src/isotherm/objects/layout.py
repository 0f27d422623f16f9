"""Where the rows of objects lie in `meta`. Pure; the table of tables is docs/formats/meta-keys.md.

Every key is `tenant u32 ‖ table byte ‖ …`, big-endian. Where an object key is followed by more, it is written escaped
(00 → 00 FF) and ended by 00 00, so that rows sort as keys do.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from hashlib import blake2b

from isotherm.meta.port import NO_STAMP, invert

FEED = b"objects"
TABLES = frozenset((b"B", b"b", b"L", b"V", b"N", b"U", b"P", b"M", b"C", b"G", b"I", b"X"))
"""Every table there is below a tenant's id."""

_TENANT_TABLE = struct.Struct(">Ic")
_BUCKET = struct.Struct(">IcQ")
_PART = struct.Struct(">Ic16sH")
_MANIFEST = struct.Struct(">Ic16s")
_OBJECT_OWNER = struct.Struct(">cIQ8s")
_PART_OWNER = struct.Struct(">cI16sH")

_OWNER_LEAST = min(_OBJECT_OWNER.size, _PART_OWNER.size)

STAMP_TAIL = slice(-16, None)
ROOT_TENANT = 1

_PLAIN_COMPONENT_BYTES = 96
_CLIPPED_COMPONENT_BYTES = 64


def escape(key: bytes) -> bytes:
    """An order-preserving, self-delimiting form of `key`."""
    if 0 in key:
        key = key.replace(b"\0", b"\0\xff")
    return key + b"\0\0"


def unescape(escaped: bytes) -> tuple[bytes, int]:
    """The key at the start of `escaped`, and where what follows it begins."""
    end = escaped.index(b"\0\0")  # an escaped zero is followed by FF, so the first pair of zeros is the end
    return escaped[:end].replace(b"\0\xff", b"\0"), end + 2


def successor(prefix: bytes) -> bytes:
    """The least byte string greater than every string that starts with `prefix`."""
    stripped = prefix.rstrip(b"\xff")
    if not stripped:
        raise ValueError("no successor")
    return stripped[:-1] + bytes((stripped[-1] + 1,))


def table(tenant: int, letter: bytes) -> bytes:
    return _TENANT_TABLE.pack(tenant, letter)


@lru_cache(1_024)
def bucket_row(tenant: int, name: str) -> bytes:
    return _TENANT_TABLE.pack(tenant, b"B") + name.encode()


def bucket_name_row(tenant: int, bucket: int) -> bytes:
    return _BUCKET.pack(tenant, b"b", bucket)


def live_table(tenant: int, bucket: int) -> bytes:
    return _BUCKET.pack(tenant, b"L", bucket)


def live_row(tenant: int, bucket: int, key: bytes) -> bytes:
    return _BUCKET.pack(tenant, b"L", bucket) + key


def versions_table(tenant: int, bucket: int) -> bytes:
    return _BUCKET.pack(tenant, b"V", bucket)


def versions_of(tenant: int, bucket: int, key: bytes) -> bytes:
    """The prefix of the rows of a key's versions that are not live, newest first."""
    return _BUCKET.pack(tenant, b"V", bucket) + escape(key)


def version_row(tenant: int, bucket: int, key: bytes, stamp: bytes) -> bytes:
    return versions_of(tenant, bucket, key) + invert(stamp)


def null_row(tenant: int, bucket: int, key: bytes) -> bytes:
    """Holds the stamp of the null version while that is not live."""
    return _BUCKET.pack(tenant, b"N", bucket) + key


def uploads_table(tenant: int, bucket: int) -> bytes:
    return _BUCKET.pack(tenant, b"U", bucket)


def upload_row(tenant: int, bucket: int, key: bytes, upload: bytes) -> bytes:
    return _BUCKET.pack(tenant, b"U", bucket) + escape(key) + upload


def bucket_of_upload(row: bytes) -> int:
    """The id of the bucket that an upload's row belongs to."""
    return int.from_bytes(row[_TENANT_TABLE.size : _BUCKET.size], "big")


def key_of_upload(row: bytes) -> bytes:
    """The key that an upload is for, from its row's. Raises ValueError."""
    return unescape(row[_BUCKET.size :])[0]


def part_row(tenant: int, manifest: bytes, number: int) -> bytes:
    return _PART.pack(tenant, b"P", manifest, number)


def parts_of(tenant: int, manifest: bytes) -> bytes:
    return _MANIFEST.pack(tenant, b"P", manifest)


def manifest_row(tenant: int, manifest: bytes) -> bytes:
    return _MANIFEST.pack(tenant, b"M", manifest)


def manifest_references(tenant: int, manifest: bytes) -> bytes:
    """The prefix of the references to a manifest that has been copied; without rows it has one."""
    return _MANIFEST.pack(tenant, b"C", manifest)


def tag_set(tenant: int, identity: bytes) -> bytes:
    """The prefix of the tags of a version that are too many to lie in its record."""
    return _MANIFEST.pack(tenant, b"G", identity)


def garbage_row(tenant: int, kind: bytes, identity: bytes) -> bytes:
    """Work for the mover: `kind` is m (a manifest to dismantle) or g (a tag set to remove)."""
    return _TENANT_TABLE.pack(tenant, b"X") + kind + identity


def tag_component(text: str) -> bytes:
    """A tag's key or value as part of a row's key: whole when short, else clipped and told apart by a digest."""
    raw = text.encode()
    if len(raw) > _PLAIN_COMPONENT_BYTES:
        raw = raw[:_CLIPPED_COMPONENT_BYTES] + blake2b(raw, digest_size=16).digest()
    return escape(raw)


def tag_index(tenant: int, tag_key: str, tag_value: str) -> bytes:
    """The prefix of the index rows of one tag; `tag_position` follows."""
    return _TENANT_TABLE.pack(tenant, b"I") + tag_component(tag_key) + tag_component(tag_value)


def tag_position(bucket: int, key: bytes, stamp: bytes = b"") -> bytes:
    """What follows `tag_index`: the bucket, the key and, unless it is still to be written, the inverted stamp."""
    return bucket.to_bytes(8, "big") + escape(key) + (invert(stamp) if stamp else b"")


def parse_tag_position(position: bytes) -> tuple[int, bytes, bytes]:
    key, _ = unescape(position[8:-16])
    return int.from_bytes(position[:8], "big"), key, invert(position[STAMP_TAIL])


def object_owner(tenant: int, bucket: int, reference: bytes, key: bytes) -> bytes:
    """How an extent names the version that refers to it; `reference` is the version's own 8 random bytes."""
    return _OBJECT_OWNER.pack(b"o", tenant, bucket, reference) + key


def parse_object_owner(owner: bytes) -> tuple[int, int, bytes, bytes]:
    """(tenant, bucket, reference, key)."""
    _, tenant, bucket, reference = _OBJECT_OWNER.unpack_from(owner)
    return tenant, bucket, reference, owner[_OBJECT_OWNER.size :]


def part_owner(tenant: int, manifest: bytes, number: int) -> bytes:
    """How an extent names the part that refers to it."""
    return _PART_OWNER.pack(b"p", tenant, manifest, number)


def parse_part_owner(owner: bytes) -> tuple[int, bytes, int]:
    """(tenant, manifest, part number)."""
    _, tenant, manifest, number = _PART_OWNER.unpack(owner)
    return tenant, manifest, number


def owner_tenant(owner: bytes) -> int:
    """Whose an owner of an extent is, whatever its kind: the tenant comes after the byte that tells it; 0: nobody's."""
    return int.from_bytes(owner[1:5], "big") if len(owner) >= _OWNER_LEAST else 0


def version_id(stamp: bytes, null: bool) -> str:
    return "null" if null else stamp.hex()


def parse_version_id(text: str) -> bytes | None:
    """The stamp a version id names; None for "null"; NO_STAMP, which no version has, for anything malformed."""
    if text == "null":
        return None
    if len(text) != 32:
        return NO_STAMP
    try:
        return bytes.fromhex(text)
    except ValueError:
        return NO_STAMP
