"""Checks tags: `G`, `I` and the garbage rows for tag sets of a tenant, joined with the versions that carry them.

Every tag of every version has one index row, and every index row one tag: both ways. The tags of a tag set that waits to
be removed count too, since their index rows go in the transactions that remove them.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter

from isotherm.meta.port import STAMP_BYTES, invert
from isotherm.movers.fsck.findings import Kind, Name
from isotherm.movers.fsck.job import Job, text
from isotherm.movers.fsck.versions import Left, NamedTagSet
from isotherm.objects.layout import STAMP_TAIL, parse_tag_position, table, tag_index, tag_set
from isotherm.objects.records import decode_tag

_ID_BYTES = 16
_NAMED, _ROW = range(2)

_Item = tuple[bytes, int, bytes, bytes]
_first = itemgetter(0)


class Tags:
    """The check of one tenant."""

    def __init__(self, job: Job, tenant: int, left: Left) -> None:
        self._job = job
        self._tenant = tenant
        self._left = left

    def run(self) -> None:
        self._name_garbage()
        for identity, items in groupby(heapq.merge(self._named(), self._rows()), key=_first):
            self._one(identity, items)
        self._index()

    def _name_garbage(self) -> None:
        prefix = table(self._tenant, b"X") + b"g"
        for row, value in self._job.rows(prefix):
            self._job.objects.garbage += 1
            self._left.tag_sets.add(NamedTagSet(row[len(prefix) :], True, 0, value[STAMP_BYTES:]).pack())

    def _named(self) -> Iterator[_Item]:
        for entry in self._left.tag_sets.sorted():
            yield entry[:_ID_BYTES], _NAMED, entry, b""

    def _rows(self) -> Iterator[_Item]:
        prefix = table(self._tenant, b"G")
        for row, value in self._job.rows(prefix):
            rest = row[len(prefix) :]
            yield rest[:_ID_BYTES], _ROW, rest[_ID_BYTES:], value

    def _one(self, identity: bytes, items: Iterator[_Item]) -> None:
        job = self._job
        owner: NamedTagSet | None = None
        found = orphans = size = 0
        for _, rank, rest, value in items:
            if rank == _NAMED:
                if owner is not None:
                    self._say(NamedTagSet.unpack(rest), Kind.TAGS_DIFFER, "its tags are another version's too")
                owner = NamedTagSet.unpack(rest)
                continue
            row = tag_set(self._tenant, identity) + rest
            tag = job.decoded("a tag", (row, value), decode_tag)
            found += 1
            if owner is None:
                orphans += 1
                size += len(row) + len(value)
                job.repairs.drop(row, value)
            elif tag is not None:
                self._left.index.add(tag_index(self._tenant, *tag) + owner.position)
        if orphans:
            said = f"{orphans} tags of the set {identity.hex()}, which no version names"
            job.findings.add(Kind.TAG_SET_ORPHAN, said, size=size, repairable=True)
        if owner is not None and not owner.garbage:
            job.objects.tags += found
            if found != owner.count:
                self._say(owner, Kind.TAGS_DIFFER, f"says {owner.count} tags, and has {found}")

    def _index(self) -> None:
        """Compare the index rows that there should be with those that there are."""
        job = self._job
        expected = ((key, b"", False) for key in self._left.index.sorted())
        there = ((key, value, True) for key, value in job.rows(table(self._tenant, b"I")))
        merged = heapq.merge(expected, there, key=_first)
        for seen, (key, items) in enumerate(groupby(merged, key=_first)):
            if seen % 10_000 == 0:
                job.progress("tags", seen, None)
            wanted, value = False, None
            for _, stored, is_row in items:
                if is_row:
                    value = stored
                else:
                    wanted = True
            stamp = invert(key[STAMP_TAIL])
            if wanted and value != stamp:
                job.findings.add(Kind.TAG_UNINDEXED, self._text(key, "has no index row"), repairable=True)
                job.repairs.protect(key, value, stamp)
            elif not wanted and value is not None:
                size = len(key) + len(value)
                said = self._text(key, "is not there, but its index row is")
                job.findings.add(Kind.TAG_INDEX_STALE, said, size=size, repairable=True)
                job.repairs.drop(key, value)

    def _text(self, key: bytes, what: str) -> str:
        return f"the tag of index row {key[5:].hex()} {what}"

    def _say(self, owner: NamedTagSet, kind: Kind, what: str) -> None:
        bucket, key, stamp = parse_tag_position(owner.position)
        name = self._job.bucket_name(self._tenant, bucket)
        of = Name(name, text(key), stamp.hex())
        self._job.findings.add(kind, f"{of}: {what}", of=of)
