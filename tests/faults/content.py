"""Bytes that say what they are: the key they were written under, a number, and a checksum over everything.

Whoever reads them can tell a whole value from a mixture of two, without knowing what was written.
"""

from __future__ import annotations

import struct
import zlib

_HEAD = struct.Struct(">QQH")  # number, size, length of the key
_CRC_BYTES = 4
SMALLEST = _HEAD.size + _CRC_BYTES + 40


class Torn(AssertionError):
    """A value is not one that anybody wrote."""


def make(key, number, size):
    """`size` bytes (at least SMALLEST) of value `number` of `key`."""
    name = key.encode()
    head = _HEAD.pack(number, size, len(name)) + name
    word = struct.pack(">QQ", number, zlib.crc32(name))
    room = size - len(head) - _CRC_BYTES
    inside = (word * (room // len(word) + 1))[:room]
    return head + inside + zlib.crc32(inside, zlib.crc32(head)).to_bytes(_CRC_BYTES, "big")


def number_of(data, key=None):
    """The number of a whole value; raises Torn for anything else, and for one written under another key."""
    if len(data) < SMALLEST:
        raise Torn(f"{len(data)} bytes")
    number, size, length = _HEAD.unpack_from(data)
    name = data[_HEAD.size : _HEAD.size + length].decode(errors="replace")
    if size != len(data) or data != make(name, number, size):
        raise Torn(f"{len(data)} bytes of {name!r}, value {number}, said to be {size}")
    if key is not None and name != key:
        raise Torn(f"{name!r} where {key!r} was asked for")
    return number
