"""Checks manifests: `M`, `P`, `C` and the garbage rows for them of a tenant, joined with the uploads and versions that use them.

A manifest is in use by one upload, or by one or several versions, or is garbage waiting to be dismantled. What is none of
these is an orphan. The parts' extents are left for the check of segments, whoever uses them: they count as live.

Rows come manifest by manifest, and within one: garbage, index, users beside their reference rows, parts.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import groupby

from isotherm.movers.fsck.findings import KEPT_OF_A_KIND, NOBODY, Kind
from isotherm.movers.fsck.job import Job, Row
from isotherm.movers.fsck.versions import UPLOAD, Left, Use
from isotherm.objects.layout import garbage_row, manifest_references, manifest_row, part_owner, part_row, table
from isotherm.objects.model import MD5_BYTES_MOST, Part
from isotherm.objects.records import decode_index, decode_part

_ID_BYTES = 16
_GARBAGE, _INDEX, _USED, _PART = range(4)
_PROGRESS_PARTS = 5_000

_Item = tuple[bytes, int, bytes, bool, bytes]
"""(manifest, rank, reference or part number, whether it is a reference row, value)"""


class Manifests:
    """The check of one tenant."""

    def __init__(self, job: Job, tenant: int, left: Left) -> None:
        self._job = job
        self._tenant = tenant
        self._left = left
        self._parts = 0

    def run(self) -> None:
        merged = heapq.merge(
            self._rows(_GARBAGE, b"X", b"m"),
            self._rows(_INDEX, b"M"),
            self._uses(),
            self._rows(_USED, b"C"),
            self._rows(_PART, b"P"),
        )
        for manifest, items in groupby(merged, key=lambda item: item[0]):
            one = _Manifest(self._job, self._tenant, manifest)
            for _, rank, rest, is_row, value in items:
                if rank == _PART:
                    self._parts += 1
                    if self._parts % _PROGRESS_PARTS == 0:
                        self._job.progress("parts", self._parts, None)
                one.take(rank, rest, is_row, value)
            one.end()

    def _uses(self) -> Iterator[_Item]:
        for entry in self._left.manifests.sorted():
            use = Use.unpack(entry)
            yield use.manifest, _USED, use.reference, False, entry

    def _rows(self, rank: int, letter: bytes, kind: bytes = b"") -> Iterator[_Item]:
        prefix = table(self._tenant, letter) + kind
        for row, value in self._job.rows(prefix):
            rest = row[len(prefix) :]
            yield rest[:_ID_BYTES], rank, rest[_ID_BYTES:], True, value


class _Manifest:
    """One manifest, as its rows come."""

    def __init__(self, job: Job, tenant: int, manifest: bytes) -> None:
        self._job = job
        self._tenant = tenant
        self._id = manifest
        self._name = f"manifest {manifest.hex()}"
        self._garbage: bytes | None = None
        self._indexed = False
        self._index: list[tuple[int, int]] | None = None
        self._expected: dict[int, int] = {}
        self._uploads = 0
        self._versions = 0
        self._unmarked = 0
        self._sharers = 0
        self._first: Use | None = None
        self._use: Use | None = None  # waiting for its reference row
        self._unsaid: list[Use] = []
        self._parts = 0
        self._size = 0

    def take(self, rank: int, rest: bytes, is_row: bool, value: bytes) -> None:
        if rank == _GARBAGE:
            self._garbage = value
            self._job.objects.garbage += 1
        elif rank == _INDEX:
            self._indexed = True
            self._job.objects.manifests += 1
            row = (manifest_row(self._tenant, self._id), value)
            self._index = self._job.decoded("a manifest", row, decode_index)
            self._expected = dict(self._index or ())
        elif rank == _PART:
            self._part(rest, value)
        elif is_row:
            self._sharer(rest, value)
        else:
            self._user(Use.unpack(value))

    def end(self) -> None:
        self._settle()
        job = self._job
        used = bool(self._versions or self._uploads)
        if used and self._garbage is not None:
            self._say(Kind.MANIFEST_CONDEMNED, f"{self._name} is in use, and marked to be dismantled", repairable=True)
            job.repairs.protect(garbage_row(self._tenant, b"m", self._id), self._garbage, None)
        if not used and self._garbage is None and (self._indexed or self._parts):
            said = f"{self._parts} parts of {self._name}, to which nothing refers"
            job.findings.add(Kind.MANIFEST_ORPHAN, said, size=self._size, repairable=True)
            job.repairs.drop(garbage_row(self._tenant, b"m", self._id), None, job.newest)
        if self._uploads and (self._versions or self._indexed or self._uploads > 1):
            self._say(Kind.MANIFEST_DIFFERS, f"upload {self._id.hex()} is open, and completed")
        if self._versions:
            self._compare()
        if self._versions > 1 or self._sharers:
            self._protect()

    def _user(self, use: Use) -> None:
        self._settle()
        self._first = self._first or use
        if use.kind == UPLOAD:
            self._uploads += 1
            return
        self._versions += 1
        self._unmarked += not use.shared
        self._use = use
        if self._index is None:
            self._job.damaged_manifests.add((self._tenant, self._id))
            self._say(Kind.MANIFEST_MISSING, f"{self._name} is not there", use, size=use.size)
            return
        total = sum(size for _, size in self._index)
        if total != use.size:
            said = f"a version says {use.size} bytes, and its {self._name} {total}"
            self._say(Kind.SIZE_DIFFERS, said, use, size=use.size)
        if use.parts not in (0, len(self._index)) or (not use.parts and len(self._index) != 1):
            said = f"a version says {use.parts} parts, and its {self._name} {len(self._index)}"
            self._say(Kind.MANIFEST_DIFFERS, said, use)

    def _settle(self) -> None:
        """No reference row came for the version that waits for one."""
        use, self._use = self._use, None
        if use is not None and len(self._unsaid) <= KEPT_OF_A_KIND:
            self._unsaid.append(use)

    def _sharer(self, reference: bytes, value: bytes) -> None:
        self._sharers += 1
        if self._use is not None and self._use.reference == reference:
            self._use = None
            return
        said = f"a row says that version {reference.hex()} uses {self._name}, and it does not"
        self._job.findings.add(Kind.REFERENCE_STALE, said, repairable=True)
        self._job.repairs.drop(manifest_references(self._tenant, self._id) + reference, value)

    def _protect(self) -> None:
        if self._versions > 1 and self._unmarked:
            said = f"{self._name} is shared, and {self._unmarked} of its versions do not know: it may be dismantled"
            self._say(Kind.MANIFEST_UNPROTECTED, said)
        for use in self._unsaid:
            said = f"{self._name} is shared, and no row says that this version uses it: it may be dismantled"
            self._say(Kind.MANIFEST_UNPROTECTED, said, use, repairable=True)
            self._job.repairs.protect(manifest_references(self._tenant, self._id) + use.reference, None, b"")

    def _part(self, rest: bytes, value: bytes) -> None:
        number = int.from_bytes(rest, "big")
        size = self._expected.pop(number, None)
        self._parts += 1
        part = self._decoded(number, value)
        if part is None:
            return
        self._size += part.size
        if self._versions and self._index is not None and size != part.size:
            said = (
                f"{self._name} does not name its part {number}"
                if size is None
                else f"part {number} of {self._name} has another size"
            )
            self._say(Kind.MANIFEST_DIFFERS, said)

    def _decoded(self, number: int, value: bytes) -> Part | None:
        """The part, its extents left for the check of segments."""
        job = self._job
        row: Row = (part_row(self._tenant, self._id, number), value)
        part = job.decoded("a part", row, lambda stored: decode_part(stored, number))
        if part is None:
            return None
        job.objects.parts += 1
        held = sum(extent.length for extent in part.extents)
        if held != part.size:
            said = f"part {number} of {self._name} says {part.size} bytes, and refers to {held}"
            self._say(Kind.SIZE_DIFFERS, said, size=part.size)
        owner = part_owner(self._tenant, self._id, number)
        whole = len(part.extents) == 1 and "-" not in part.etag and part.size <= MD5_BYTES_MOST
        md5 = bytes.fromhex(part.etag) if whole else None
        for extent in part.extents:
            job.refer(self._tenant, extent, owner, md5)
        return part

    def _compare(self) -> None:
        for number, size in self._expected.items():
            self._job.damaged_manifests.add((self._tenant, self._id))
            self._say(Kind.PART_MISSING, f"part {number} of {self._name} is not there", size=size)

    def _say(self, kind: Kind, said: str, use: Use | None = None, *, size: int = 0, repairable: bool = False) -> None:
        use = use or self._first
        name = use.named(self._job, self._tenant) if use else NOBODY
        self._job.findings.add(kind, said, of=name, size=size, repairable=repairable)
