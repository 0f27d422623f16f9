"""Nodes of the tree as rows of the system tenant: pure codec. The format is docs/formats/tenants.md.

The record of a node is a version byte and JSON. A node lies under its id; below each parent lie the names of its children.
"""

from __future__ import annotations

import struct

import msgspec

from isotherm.errors import Corrupt, Unsupported
from isotherm.meta.port import Transaction
from isotherm.tenancy.generation import changed
from isotherm.tenancy.tree import Node

VERSION = 1

_SYSTEM = bytes(4)
NODES = _SYSTEM + b"N"
CHILDREN = _SYSTEM + b"C"
LAST_ID = _SYSTEM + b"O"
CREDENTIALS = _SYSTEM + b"W"
TABLES = frozenset((b"N", b"C", b"O", b"W"))
_ID = struct.Struct(">I")
_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(Node, strict=True).decode


def node_row(tenant: int) -> bytes:
    return NODES + _ID.pack(tenant)


def child_row(parent: int, name: str) -> bytes:
    """Holds the id of that child."""
    return CHILDREN + _ID.pack(parent) + name.encode()


def children_of(parent: int) -> tuple[bytes, bytes]:
    """The half-open range of a node's children."""
    return CHILDREN + _ID.pack(parent), _after(CHILDREN + _ID.pack(parent))


def child_name(row: bytes) -> str:
    return row[len(CHILDREN) + _ID.size :].decode()


def credential_of(tenant: int, access_key: str) -> bytes:
    """A row for each credential of a node that has not been revoked."""
    return CREDENTIALS + _ID.pack(tenant) + access_key.encode()


def credentials_of(tenant: int) -> tuple[bytes, bytes]:
    """The half-open range of a node's credentials."""
    return CREDENTIALS + _ID.pack(tenant), _after(CREDENTIALS + _ID.pack(tenant))


def access_key_of(row: bytes) -> str:
    return row[len(CREDENTIALS) + _ID.size :].decode()


def node_range() -> tuple[bytes, bytes]:
    """The half-open range of all nodes."""
    return NODES, _after(NODES)


def buckets_of(tenant: int) -> tuple[bytes, bytes]:
    """The half-open range of a tenant's buckets (table `B` of objects/layout.py)."""
    table = _ID.pack(tenant) + b"B"
    return table, _after(table)


def pack_id(tenant: int) -> bytes:
    return _ID.pack(tenant)


def unpack_id(stored: bytes) -> int:
    """Raises Corrupt."""
    if len(stored) != _ID.size:
        raise Corrupt("the id of a tenant has 4 bytes")
    number: int = _ID.unpack(stored)[0]
    return number


def put_node(txn: Transaction, node: Node) -> None:
    """Within a transaction: the one way in which a node is written."""
    txn.put(node_row(node.id), pack(node))
    changed(txn)


def pack(node: Node) -> bytes:
    return bytes((VERSION,)) + _encode(node)


def unpack(stored: bytes) -> Node:
    """The inverse of `pack`.

    Raises:
        Unsupported: a version this program does not know.
        Corrupt: not a record.
    """
    if stored[:1] != bytes((VERSION,)):
        raise Unsupported(f"tenant record of version {stored[0] if stored else 'none'}; this program reads {VERSION}")
    try:
        return _decode(stored[1:])
    except (msgspec.DecodeError, ValueError) as error:
        raise Corrupt(f"tenant record is damaged: {error}") from error


def _after(prefix: bytes) -> bytes:
    return (int.from_bytes(prefix, "big") + 1).to_bytes(len(prefix), "big")
