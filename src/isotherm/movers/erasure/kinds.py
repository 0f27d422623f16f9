"""The register of what is erased with a tenant, in the order in which it is; and what is kept, and why. Pure.

A room that keeps rows of tenants adds its erasers here. Tests fail for a table below a tenant's id, and for a table of the
system, that stands in neither list (tests/movers/test_erasure_kinds.py).
"""

from __future__ import annotations

from collections.abc import Mapping

from isotherm.objects import erasing as objects
from isotherm.tenancy.erasure import erasing_credentials as credentials
from isotherm.tenancy.erasure import erasing_grants as grants
from isotherm.tenancy.erasure import erasing_keys as keys
from isotherm.tenancy.erasure.eraser import Eraser

KINDS: tuple[Eraser, ...] = (*credentials.ERASERS, *grants.ERASERS, *objects.ERASERS, *keys.ERASERS)

WALKED: Mapping[bytes, str] = {
    b"K": "credentials that were revoked stand under no tenant: looked for among all (leftovers.py)",
    b"R": "shared extents stand under their segments: given up with the rows that share them, and looked for among all",
}
"""Tables of the system whose rows name a tenant without beginning with it."""

KEPT: Mapping[bytes, str] = {
    b"N": "the node stays as erased, without labels and terms, so that its id is never given again",
    b"C": "its name goes in the transaction that certifies",
    b"O": "the last id that was given",
    b"h": "what others have granted it is theirs to take back",
    b"U": "accounts of what it holds go in the transaction that certifies, from its own and from those above",
    b"G": "how often anything has changed; nothing of tenants",
    b"c": "whether all is counted; nothing of tenants",
    b"J": "the audit log is not erased: its chain would break",
    b"Y": "the audit log",
    b"Q": "the audit log",
    b"F": "the audit log",
    b"x": "the erasure itself, until it is certified",
    b"z": "the certificate",
    b"d": "how many erased bytes lie where, until those segments have gone",
    b"S": "segments are shared by all; what lies in them dies, and compaction takes it away",
    b"L": "a counter of a segment's live bytes",
    b"E": "segments that wait to be unlinked",
    b"A": "of segments in a bucket; nothing of tenants",
    b"V": "small payloads: dropped with the rows that refer to them, gone when no reader is left",
    b"D": "small payloads that were dropped",
    b"P": "of segments in a bucket; nothing of tenants",
    b"T": "of segments in a bucket; nothing of tenants",
    b"I": "whose metadata it is",
    b"H": "when readiness was looked at",
}
"""Tables of the system of which nothing is removed by an eraser, and why."""
