"""The words of a certificate: what was erased, how that was verified, and what remains. Pure; any thread.

Nothing is claimed here that the mover has not found to be so in the transaction that keeps the certificate, or says of itself
that it was found before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from isotherm.tenancy.erasure.certificate import ERASED, FORMAT, PURGED, Signed, canonical, moment
from isotherm.tenancy.erasure.eraser import PLAIN_BYTES, UNREADABLE
from isotherm.tenancy.erasure.record import Erasure

GRACE_S = 40
"""How long nothing may have been found before it is looked again: longer than any transaction (5 s), than the second within which
gateways learn of it, and than a process may remember a key that has been destroyed (30 s), together."""

_CHECKS = {
    "rows": "no row of the metadata begins with the tenant's id, read in the transaction that keeps this certificate",
    "credentials": "no credential belongs to the tenant, among all there are",
    "extents": "no row refers to an extent as the tenant's, nor shares one with it, among all there are",
    "tenants": "no tenant lies below it",
    "key": "the key store holds no secret of the tenant",
    "writes": "every write reads a row of its bucket in its transaction; these rows were removed first, and none can be made",
}
_SEALED = (
    "the tenant had a secret: no copy of what was sealed under it can be read since it was destroyed, unless by somebody who "
    "kept a copy of the secret"
)
_PLAIN = (
    "the tenant had no secret: nothing was sealed for it, and what remains of its bytes can be read until it is gone"
)
_PARTLY = (
    "; what was written before tenants were sealed was plain, and what remains of that can be read until it is gone"
)
_REMAINS = {
    "audit log": "records of what was done to the tenant, with names, paths and access keys, and the chain of their hashes: kept",
    "node": "the tenant's id, name and parent: kept, so that the id is never given again",
    "certificate": "this certificate: kept",
    "change feed": "records with names of buckets and keys, sizes and ETags: until they are trimmed by number",
    "access logs": "lines with names, addresses and times: until they are rotated away",
    "backups": "what was backed up before: until those backups are deleted; secrets are in no backup",
    "metadata": "pages that the engine of the metadata has freed, and logs of its writes: until it uses them again",
    "memory": "what processes of the store hold in memory and the system in its page cache: at most until they end",
    "older dead bytes": (
        "what the tenant had deleted, overwritten or begun to write before, and copies that background work had made and did not get "
        "to use: in segments until compaction, uncounted; what of it was written before tenants were sealed can be read there"
    ),
    "media": (
        "what a medium or a file system keeps of what was overwritten or removed: copies on write, snapshots, remapped blocks. "
        "No program can tell or end that; it ends with the medium"
    ),
}


@dataclass(frozen=True, slots=True)
class Found:
    """What the mover found at the end.

    Args:
        store_id: of which store.
        tenant_created_ms, now_ms: milliseconds since 1970.
        parent: of the tenant, now.
        key_remains: what the key store says may be left of a secret that it destroyed.
        dead_bytes, dead_segments: erased bytes that lie in segments still, and in how many of them.
    """

    store_id: str
    tenant_created_ms: int
    parent: int
    key_remains: str
    dead_bytes: int
    dead_segments: int
    now_ms: int


def erased(erasure: Erasure, found: Found) -> Mapping[str, Any]:
    """The statement that a tenant has been erased."""
    unreadable = erasure.counts.get(UNREADABLE, 0)
    return {
        "type": ERASED,
        "format": FORMAT,
        "store": found.store_id,
        "tenant": {
            "id": erasure.tenant,
            "path": erasure.path,
            "parent": found.parent,
            "created": moment(found.tenant_created_ms),
            "within": erasure.within or None,
        },
        "asked": {
            "time": moment(erasure.began_ms),
            "tenant": erasure.by,
            "roles": list(erasure.roles),
            "request": erasure.request,
        },
        "removed": dict(erasure.counts),
        "unreadable": unreadable,
        "key": {
            "sealed": bool(erasure.sealed),
            "destroyed": moment(erasure.key_destroyed_ms),
            "means": _meaning(erasure),
        },
        "verified": {"time": moment(found.now_ms), "empty_s": GRACE_S, "checks": dict(_CHECKS)},
        "remains": {
            **_REMAINS,
            "key": found.key_remains,
            **({"unreadable rows": _unreadable(unreadable)} if unreadable else {}),
            "dead bytes": {
                "bytes": found.dead_bytes,
                "segments": found.dead_segments,
                "until": "compaction removes those segments, which a statement of its own then says",
            },
        },
    }


def purged(certificate: Signed, tenant: int, now_ms: int) -> Mapping[str, Any]:
    """The statement that every segment has gone in which bytes of an erased tenant died with it."""
    return {
        "type": PURGED,
        "format": FORMAT,
        "store": certificate.statement["store"],
        "tenant": {"id": tenant},
        "certificate": digest(certificate),
        "time": moment(now_ms),
        "means": (
            "every segment to which the tenant's rows led when they were removed has been unlinked; of the older dead bytes, and of a "
            "medium, this says no more than the certificate"
        ),
    }


def digest(certificate: Signed) -> str:
    """SHA-256 of what was signed, in hexadecimal digits: by which other records name it."""
    return sha256(canonical(certificate.statement)).hexdigest()


def _meaning(erasure: Erasure) -> str:
    """What the destruction of the secret means for copies of the tenant's bytes."""
    if not erasure.sealed:
        return _PLAIN
    return _SEALED + (_PARTLY if erasure.counts.get(PLAIN_BYTES) else "")


def _unreadable(rows: int) -> str:
    return f"{rows} rows could not be read: what they referred to lies in segments as if it lived, until fsck --repair"
