"""Large payloads, each into objects of its own, as it arrives.

A `RemoteSink` cuts a payload into extents, holds one of them until its length and checksums are known, and sends it on as
the next bytes of a multipart upload. Objects end at `segment_bytes`.

Invariants: nothing is acknowledged before `finish`, when every object is durable and sealed in the metadata; whatever fails
before leaves nothing, or dead weight that recovery finds.

Any thread; everything here blocks.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from isotherm.errors import Closed
from isotherm.segments.accounting import SegmentRow, State
from isotherm.segments.format import FILE_HEADER_BYTES, checked, encode_extent_header, encode_file_header
from isotherm.segments.port import Buffer, Extent, Media, Sealing, Witness
from isotherm.segments.remote.bucket import Upload
from isotherm.segments.remote.objects import SegmentObjects
from isotherm.segments.remote.settings import RemoteSettings


class RemoteSink:
    """One payload on its way; see `ExtentStream`."""

    def __init__(
        self,
        owner: bytes,
        media: Media,
        objects: SegmentObjects,
        settings: RemoteSettings,
        witness: Witness | None = None,
        seal: Sealing | None = None,
    ) -> None:
        self._witness = witness
        self._seal = seal
        self._owner = owner
        self._media = media
        self._objects = objects
        self._settings = settings
        self._lock = threading.Lock()
        self._over: BaseException | None = None
        self._held = bytearray()
        self._open: _Object | None = None
        self._begun: list[int] = []
        self._done: list[Extent] = []

    def take(self, pieces: Sequence[Buffer]) -> None:
        """The next bytes of the payload. After a failure every call raises it again."""
        with self._lock:
            if self._over is not None:
                raise self._over
            try:
                self._take(pieces)
            except BaseException as error:
                self._give_up(error)
                raise

    def finish(self, pieces: Sequence[Buffer]) -> list[Extent]:
        """The last bytes, and all of it durable; see `ExtentStream.finish`."""
        with self._lock:
            if self._over is not None:
                raise self._over
            try:
                self._take(pieces)
                if self._witness is not None:
                    self._witness.finish()
                if self._held:
                    self._end_extent()
                self._end_object()
            except BaseException as error:
                self._give_up(error)
                raise
            self._over = Closed("the stream is finished")
            return self._done

    def abort(self) -> None:
        """See `ExtentStream.abort`. Idempotent; too late after `finish`."""
        with self._lock:
            if self._over is None:
                self._give_up(Closed("the stream was aborted"))

    def _take(self, pieces: Sequence[Buffer]) -> None:
        for piece in pieces:
            view = memoryview(piece).cast("B")
            if self._witness is not None:
                self._witness.update(view)
            while view:
                part = view[: self._settings.extent_bytes_most - len(self._held)]
                self._held += part
                view = view[len(part) :]
                if len(self._held) == self._settings.extent_bytes_most:
                    self._end_extent()

    def _end_extent(self) -> None:
        if self._open is None:
            segment, upload = self._objects.begin(self._media, self._settings.part_bytes)
            self._begun.append(segment)
            self._open = _Object(segment, upload)
            upload.write(encode_file_header(segment, self._media))
        one = self._open
        payload: Buffer = self._held
        salt, tags = b"", b""
        if self._seal is not None:
            frames = self._seal.begin()
            payload = b"".join(frames.update([self._held]) + frames.finish())
            salt, tags = frames.salt, frames.tags
        check, trailer = checked(payload, tags)
        head = encode_extent_header(self._owner, len(payload), check, salt=salt)
        for part in (head, payload, trailer):
            if part:
                one.upload.write(part)
        self._done.append(Extent(one.segment, one.end + len(head), len(payload), check, salt != b""))
        one.end += len(head) + len(self._held) + len(trailer)
        one.payload += len(self._held)
        one.extents += 1
        self._held = bytearray()
        if one.end >= self._settings.segment_bytes:
            self._end_object()

    def _end_object(self) -> None:
        one, self._open = self._open, None
        if one is None:
            return
        try:
            one.upload.finish()
        except BaseException:
            one.upload.abort()
            raise
        row = SegmentRow(self._media, State.SEALED, one.payload, one.extents, one.end, one.end, self._objects.now_ms())
        self._objects.seal(one.segment, row)

    def _give_up(self, error: BaseException) -> None:
        """Objects that are complete stay behind as sealed ones without live bytes; the rest never comes to be."""
        self._over = error
        self._held = bytearray()
        one, self._open = self._open, None
        if one is not None:
            one.upload.abort()
            self._objects.drop(one.segment)


class _Object:
    """The object under way. `end` lies behind its last extent."""

    __slots__ = ("end", "extents", "payload", "segment", "upload")

    def __init__(self, segment: int, upload: Upload) -> None:
        self.segment = segment
        self.upload = upload
        self.end = FILE_HEADER_BYTES
        self.payload = 0
        self.extents = 0
