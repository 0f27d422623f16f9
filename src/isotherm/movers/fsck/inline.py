"""Checks payloads that lie in the metadata (segments/remote/inline.py): each that is referred to is there and good, and each
that is there is referred to, or waits to be removed.

They come as the check of segments merges its streams: everything about one segment number at once, a few rows at most.
"""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import md5

from isotherm.errors import Corrupt
from isotherm.movers.fsck.extents import Group, SegmentWalk
from isotherm.movers.fsck.findings import Kind
from isotherm.movers.fsck.job import Job, Reference
from isotherm.segments.port import Extent
from isotherm.segments.remote.inline import DROPPED, VALUES, demand_sound, dropped_key, unpack_dropped

_PLACE_BYTES = 16


def values(job: Job) -> Iterator[tuple[bytes, bytes]]:
    """(place, payload) in order."""
    for row, value in job.rows(VALUES):
        yield row[len(VALUES) :], value


def dropped(job: Job) -> Iterator[tuple[bytes, bytes]]:
    """(place, stamp) of those that wait to be removed, in order."""
    spill = job.spill("dropped")
    for row, value in job.rows(DROPPED):
        found = job.decoded("a row of a dropped payload", (row, value), unpack_dropped)
        if found is not None:
            stamp, key = found
            spill.add(key[len(VALUES) :] + stamp)
    for entry in spill.sorted():
        yield entry[:_PLACE_BYTES], entry[_PLACE_BYTES:]


class InlineCheck:
    """
    Args:
        walk: whose words are used for what refers to a payload.
    """

    def __init__(self, job: Job, walk: SegmentWalk, *, digests: bool) -> None:
        self._job = job
        self._walk = walk
        self._digests = digests

    def through(self, places: Iterator[Group], payloads: dict[bytes, bytes], waiting: dict[bytes, bytes]) -> None:
        """Everything of one segment number: what refers, what is there (by place), what waits to go (place → stamp)."""
        for group in places:
            self._walk.check_shares(group)
            if not group.references:
                continue
            place = group.segment.to_bytes(8, "big") + group.offset.to_bytes(8, "big")
            for extent in group.extents():
                self._referred(extent, group, payloads.get(place), waiting.get(place))
            payloads.pop(place, None)
            waiting.pop(place, None)
        for place, payload in payloads.items():
            if waiting.pop(place, None) is None:
                said = f"{len(payload)} bytes in the metadata belong to no object"
                self._job.findings.add(Kind.LEFTOVER, said, size=len(payload), repairable=True)
                self._job.repairs.drop(VALUES + place, payload)
        for place, stamp in waiting.items():
            said = "a row says that a payload is to be removed which is not there"
            self._job.findings.add(Kind.LEFTOVER, said, repairable=True)
            self._job.repairs.drop(dropped_key(stamp), stamp + place)

    def _referred(self, extent: Extent, group: Group, payload: bytes | None, stamp: bytes | None) -> None:
        try:
            if payload is None:
                raise Corrupt("its bytes are not in the metadata")
            demand_sound(extent, payload)
        except Corrupt as error:
            self._walk.say(Kind.EXTENT_DAMAGED, extent, str(error), *group.references)
            for reference in group.references:
                if reference.extent == extent:
                    self._walk.name_damage(reference.owner, extent.length)
            return
        self._job.space.inline_bytes += extent.length
        self._compare_digests(extent, payload, group.references)
        if stamp is not None:
            said = "its bytes are about to be removed, and it is referred to"
            self._walk.say(Kind.EMPTIED_REFERRED, extent, said, *group.references, repairable=True)
            place = extent.segment.to_bytes(8, "big") + extent.offset.to_bytes(8, "big")
            self._job.repairs.protect(dropped_key(stamp), stamp + place, None)

    def _compare_digests(self, extent: Extent, payload: bytes, references: list[Reference]) -> None:
        if not self._digests or extent.sealed:  # the digest is of the plaintext
            return
        digest = md5(payload, usedforsecurity=False).digest()
        if any(one.md5 and one.md5 != digest for one in references if one.extent == extent):
            self._walk.say(Kind.DIGEST_DIFFERS, extent, "its MD5 is not the version's", *references)
