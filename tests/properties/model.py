"""Objects as a plain dictionary: what S3's manual says of buckets, versions, uploads and tags, and nothing of how.

Every payload has a number; those referred to from anywhere are what the store must count as live. A payload under a
manifest outlives its last reference until the garbage is swept.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

UNVERSIONED, ENABLED, SUSPENDED = range(3)


@dataclass(frozen=True)
class Payload:
    number: int
    data: bytes
    manifest: bool


@dataclass
class Version:
    id: str
    payload: Payload | None  # None: a delete marker
    etag: str = ""
    metadata: dict = field(default_factory=dict)
    tags: dict = field(default_factory=dict)

    @property
    def marker(self):
        return self.payload is None


@dataclass
class Upload:
    id: str
    bucket: str
    key: str
    metadata: dict
    tags: dict
    parts: dict = field(default_factory=dict)  # number → (payload, etag)


@dataclass
class Bucket:
    id: int
    state: int = UNVERSIONED
    keys: dict = field(default_factory=dict)  # key → versions, newest first


class Model:
    """What a store must look like from outside."""

    def __init__(self):
        self.buckets = {}
        self.uploads = {}
        self.feed = []
        self.unswept = {}
        self._numbers = itertools.count()

    def payload(self, data, *, manifest):
        return Payload(next(self._numbers), data, manifest)

    # versions
    def add(self, bucket, key, version):
        """Make `version` the newest of its key, by the bucket's state."""
        box = self.buckets[bucket]
        versions = box.keys.setdefault(key, [])
        if box.state != ENABLED:
            assert version.id == "null"
            self._drop(versions, [old for old in versions if old.id == "null"])
        versions.insert(0, version)
        self.feed.append(("marker" if version.marker else "put", bucket, key, version.id))

    def current(self, bucket, key):
        versions = self.buckets[bucket].keys.get(key)
        return versions[0] if versions and not versions[0].marker else None

    def version(self, bucket, key, version_id):
        versions = self.buckets[bucket].keys.get(key, [])
        return next((version for version in versions if version.id == version_id), None)

    def remove(self, bucket, key, version_id):
        """Remove a version for good; whether it was a marker, or None when there is no such version."""
        version = self.version(bucket, key, version_id)
        if version is None:
            return None
        versions = self.buckets[bucket].keys[key]
        self._drop(versions, [version])
        if not versions:
            del self.buckets[bucket].keys[key]
        self.feed.append(("delete", bucket, key, version_id))
        return version.marker

    def delete(self, bucket, key, marker_id):
        """What a delete without a version does; `marker_id` is the id the store gave to the marker, if any."""
        box = self.buckets[bucket]
        if box.state != UNVERSIONED:
            self.add(bucket, key, Version(marker_id, None))
        elif self.current(bucket, key) is not None:
            self.remove(bucket, key, "null")

    # payloads
    def _drop(self, versions, gone):
        for version in gone:
            versions.remove(version)
        for version in gone:
            if version.payload is not None:
                self.unrefer(version.payload)

    def referred(self):
        """Payloads that something refers to, by number."""
        found = {}
        for box in self.buckets.values():
            for versions in box.keys.values():
                found.update({v.payload.number: v.payload for v in versions if v.payload is not None})
        for upload in self.uploads.values():
            found.update({payload.number: payload for payload, _ in upload.parts.values()})
        return found

    def unrefer(self, payload):
        """Something no longer refers to `payload`; a manifest nothing refers to waits for the sweep."""
        if payload.manifest and payload.number not in self.referred():
            self.unswept[payload.number] = payload

    def live_bytes(self):
        return sum(len(payload.data) for payload in {**self.unswept, **self.referred()}.values())

    # listings
    def rows(self, bucket):
        """Every version in the order of a listing: (key, version, whether it is the latest)."""
        keys = self.buckets[bucket].keys
        return [(key, version, at == 0) for key in sorted(keys, key=str.encode) for at, version in enumerate(keys[key])]

    def live_keys(self, bucket):
        return [key for key, version, latest in self.rows(bucket) if latest and not version.marker]

    def find(self, tags):
        return [
            (bucket, key)
            for bucket, box in sorted(self.buckets.items(), key=lambda item: item[1].id)
            for key in self.live_keys(bucket)
            if tags.items() <= self.current(bucket, key).tags.items()
        ]


def roll_up(keys, prefix, delimiter, after):
    """Keys and common prefixes after a position, in order."""
    skipped = None
    if delimiter and after.startswith(prefix):
        at = after.find(delimiter, len(prefix))
        if at >= 0 and after == after[: at + len(delimiter)]:
            skipped = after
    shown = []
    for key in keys:
        if not key.startswith(prefix) or key.encode() <= after.encode() or (skipped and key.startswith(skipped)):
            continue
        at = key.find(delimiter, len(prefix)) if delimiter else -1
        row = key if at < 0 else key[: at + len(delimiter)]
        if not shown or shown[-1] != row:
            shown.append(row)
    return shown
