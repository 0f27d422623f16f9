"""Small payloads of many callers into one open segment, sharing its fsync (group commit).

Invariants: an extent is acknowledged after the fsync that covers it, and all of a batch or none of it. The open segment
belongs to the batcher's thread alone.

`append` from any thread or coroutine; everything that blocks runs on the batcher's thread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from isotherm.devices.batching import Batcher
from isotherm.devices.waiting import Completion
from isotherm.errors import IsothermError, NoSpace
from isotherm.segments.files import SegmentFiles
from isotherm.segments.format import encode_extent_header, seal_payload
from isotherm.segments.open_segment import OpenSegment
from isotherm.segments.port import Buffer, Extent, Media
from isotherm.segments.settings import SegmentSettings

_BATCH_BYTES = 32 << 20

Item = tuple[bytes, Buffer]
"""Owner and payload."""


class SharedWriter:
    """The writer of one media class of one process."""

    def __init__(self, media: Media, files: SegmentFiles, settings: SegmentSettings) -> None:
        self._media = media
        self._files = files
        self._settings = settings
        self._open: OpenSegment | None = None
        self._batcher: Batcher[Item, Extent] = Batcher(self._flush, name=f"segments-{media.value}")

    def append(self, owner: bytes, data: Buffer) -> Completion[Extent]:
        """Queue a payload; the completion brings its extent once it is durable."""
        return self._batcher.submit((owner, data))

    def close(self) -> None:
        """Write what is queued, then seal. Idempotent; blocks; not on a thread that runs an event loop."""
        self._batcher.close()
        self._seal()

    def _flush(self, items: Sequence[Item]) -> Sequence[Extent | BaseException]:
        results: list[Extent | BaseException] = []
        for portion in _portions(items):
            try:
                results += self._write(portion)
            except (IsothermError, OSError) as error:
                results += [error] * len(portion)
        return results

    def _write(self, items: Sequence[Item]) -> list[Extent]:
        opened = self._with_room()
        buffers: list[Buffer] = []
        extents = []
        at = opened.end
        payload = 0
        for owner, data in items:
            check, trailer = seal_payload(data)
            head = encode_extent_header(owner, len(data), check)
            buffers += (head, data, trailer)
            extents.append(Extent(opened.segment, at + len(head), len(data), check))
            at += len(head) + len(data) + len(trailer)
            payload += len(data)
        try:
            opened.write(buffers, opened.end)
            opened.sync()
        except IsothermError:
            if opened.broken:
                self._seal()
            else:
                opened.cut()
            raise
        opened.advance(at, payload, len(extents))
        return extents

    def _with_room(self) -> OpenSegment:
        try:
            places = self._files.with_room(self._media)
        except NoSpace:
            self._seal()  # so that compaction may take what is dead in it
            raise
        opened = self._open
        if opened is None or opened.end >= self._settings.segment_bytes or opened.path.parent not in places:
            self._seal()
            opened = self._open = self._files.create(self._media, places)
        return opened

    def _seal(self) -> None:
        opened, self._open = self._open, None
        if opened is not None:
            self._files.seal(opened)


def _portions(items: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """Runs of items that are written and synced together."""
    start = size = 0
    for index, (_, data) in enumerate(items):
        if size and size + len(data) > _BATCH_BYTES:
            yield items[start:index]
            start, size = index, 0
        size += len(data)
    yield items[start:]
