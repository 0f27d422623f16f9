"""What the audit log says of one call: the record and its codec. Pure; any thread. The format is docs/formats/audit.md.

A record is appended to the feed `audit` by the transaction that makes the change, or, of a refused call, by one of its own.
It never holds a secret, and nothing that was sent and not accepted, but for what has the form of a tenant's name or of an
access key: who pastes a secret into the wrong place must not find it kept for ever.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from isotherm.errors import Corrupt, Invalid, Unsupported
from isotherm.tenancy.roles import ROOT_TENANT
from isotherm.tenancy.terms import TERM_NAMES, UNBOUND
from isotherm.tenancy.tree import Node, parse_reference

VERSION = 1
FEED = b"audit"
OK = "ok"
LOST = "audit.lost"
UNREADABLE = "unreadable"
_SHOWN_LETTERS_MOST = 32  # a secret has 40

Change = tuple[object, object]
"""(before, after) of one value; None: it was, or is, not there."""


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One call.

    Args:
        time_ms: by the wall clock of whoever answered; nothing is ordered by it.
        access_key: whose call it was; empty: the owner, who opened the store's directory.
        tenant, roles: of that credential, as they were.
        target, path: the node that was changed, and its path before; of a refused call 0, and what was asked for.
        key: the access key that was made, ended or asked for.
        outcome: `ok`, or the error's code.
        changed: name → (before, after).
        above: ids from the root to the node whose chain this belongs to, at that time.
        unrecorded: refused calls of that node that were too many to be recorded, since the record before.
    """

    time_ms: int
    operation: str
    outcome: str = OK
    access_key: str = ""
    tenant: int = 0
    roles: Sequence[str] = ()
    target: int = 0
    path: str = ""
    key: str = ""
    changed: Mapping[str, Change] = {}
    request: str = ""
    remote: str = ""
    above: tuple[int, ...] = (ROOT_TENANT,)
    unrecorded: int = 0


_encode = msgspec.json.Encoder(order="deterministic").encode
_decode = msgspec.json.Decoder(Record, strict=True).decode


def pack(record: Record) -> bytes:
    return bytes((VERSION,)) + _encode(record)


def unpack(stored: bytes) -> Record:
    """The inverse of `pack`.

    Raises:
        Unsupported: a version this program does not know.
        Corrupt: not a record.
    """
    if stored[:1] != bytes((VERSION,)):
        raise Unsupported(f"audit record of version {stored[0] if stored else 'none'}; this program reads {VERSION}")
    try:
        record = _decode(stored[1:])
    except (msgspec.DecodeError, ValueError) as error:
        raise Corrupt(f"audit record is damaged: {error}") from error
    if not record.above or not all(0 < id_ <= 0xFFFFFFFF for id_ in record.above):
        raise Corrupt("audit record is damaged: it belongs to no tenant")
    return record


def read(stored: bytes) -> Record:
    """As `unpack`; what cannot be read is the root's, and says so: a damaged record must not keep later ones from the chain."""
    try:
        return unpack(stored)
    except (Corrupt, Unsupported):
        return Record(time_ms=0, operation=UNREADABLE, outcome="Corrupt")


def differences(before: Node | None, after: Node) -> dict[str, Change]:
    """State, labels and terms that are not the same; of a new node, those that are not what they are by default."""
    old, new = _values(before), _values(after)
    names = sorted(old.keys() | new.keys())
    return {name: (old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name)}


def shown_tenant(asked: str) -> str:
    """What was asked for, where it could name a tenant."""
    try:
        parse_reference(asked)
    except Invalid:
        return ""
    return asked


def shown_key(asked: str) -> str:
    """What was asked for, where it could name an access key and is too short for a secret."""
    return asked if asked.isascii() and asked.isalnum() and len(asked) <= _SHOWN_LETTERS_MOST else ""


def _values(node: Node | None) -> dict[str, object]:
    if node is None:
        return {name: getattr(UNBOUND, name) for name in TERM_NAMES}
    terms = {name: getattr(node.terms, name) for name in TERM_NAMES}
    labels = {f"labels.{name}": value for name, value in node.labels.items()}
    return {"state": node.state.value, **terms, **labels}
