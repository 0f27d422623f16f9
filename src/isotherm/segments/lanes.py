"""Large payloads, each through an open segment of its own for as long as it lasts.

A *lane* is an open segment that one stream uses exclusively; afterwards it serves the next, so that 10,000 parts do not
make 10,000 files. A `Sink` cuts a payload into extents, seals and checksums blocks as they pass, writes an extent's header once its
length is known, and syncs once at the end.

Invariants: nothing is acknowledged before `finish` has synced; whatever fails before, no lane's `end` has moved, and the
space behind it is given back. A stream holds the segments it has filled until it ends, so that no mover takes what is not
yet referred to for dead: one descriptor for each `segment_bytes` of payload.

Any thread; everything here blocks on the device.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence

from isotherm.errors import Closed, NoSpace
from isotherm.segments.files import SegmentFiles
from isotherm.segments.format import crc32c, encode_extent_header, pack_trailer, padding_for, trailer_bytes
from isotherm.segments.open_segment import OpenSegment
from isotherm.segments.port import BLOCK_BYTES, Buffer, Extent, Frames, Media, Sealing, Witness
from isotherm.segments.settings import SegmentSettings


class Lanes:
    """The open segments that streams of this process take turns on."""

    def __init__(self, files: SegmentFiles, settings: SegmentSettings) -> None:
        self._files = files
        self._settings = settings
        self._idle: dict[Media, list[OpenSegment]] = {media: [] for media in Media}
        self._lock = threading.Lock()
        self._closed = False

    def take(self, media: Media, *, reserved: bool = False) -> OpenSegment:
        """An open segment with room, exclusively. Raises what `SegmentFiles.create` and `with_room` do.

        Args:
            reserved: for compaction, which may take of what clients must leave free.
        """
        try:
            places = () if reserved else self._files.with_room(media)
        except NoSpace:
            self._seal_idle(media)  # so that compaction may take what is dead in them
            raise
        with self._lock:
            if self._closed:
                raise Closed("the store is closed")
            for lane in reversed(self._idle[media]):
                if reserved or lane.path.parent in places:
                    self._idle[media].remove(lane)
                    return lane
        return self._files.create(media, places)

    def demand_room(self, lane: OpenSegment) -> int:
        """How many bytes a stream may take. Raises `NoSpace` where it has come to what clients must leave free."""
        room = self._files.room(lane.path.parent)
        if room <= 0:
            raise NoSpace("the medium is full but for what removals and compaction need")
        return room

    def give(self, lane: OpenSegment) -> None:
        """The stream is through with it."""
        with self._lock:
            idle = self._idle[lane.media]
            full = lane.broken or lane.end >= self._settings.segment_bytes
            if not full and not self._closed and len(idle) < self._settings.idle_lanes:
                idle.append(lane)
                return
        self._files.seal(lane)

    def close(self) -> None:
        """Seal what is idle; what streams still hold is sealed as they give it back."""
        with self._lock:
            self._closed = True
        for media in self._idle:
            self._seal_idle(media)

    def _seal_idle(self, media: Media) -> None:
        with self._lock:
            idle, self._idle[media] = self._idle[media], []
        for lane in idle:
            self._files.seal(lane)


class Sink:
    """One payload on its way to the device."""

    def __init__(
        self,
        owner: bytes,
        media: Media,
        lanes: Lanes,
        settings: SegmentSettings,
        witness: Witness | None = None,
        seal: Sealing | None = None,
    ) -> None:
        self._owner = owner
        self._witness = witness
        self._seal = seal
        self._frames: Frames | None = None  # of the extent under way, where it is sealed
        self._salt = b""
        self._media = media
        self._lanes = lanes
        self._settings = settings
        self._lock = threading.Lock()
        self._over: BaseException | None = None
        self._done: list[Extent] = []
        self._ends: list[tuple[OpenSegment, int]] = []
        self._lane: OpenSegment | None = None
        self._header_at = 0
        self._payload_at = 0
        self._taken = 0  # of the extent under way; a seal holds some of it back
        self._length = 0  # written
        self._behind = 0  # what lies before has been handed to the device
        self._checksums: list[int] = []
        self._block_crc = 0

    def take(self, pieces: Sequence[Buffer]) -> None:
        """Write the next bytes of the payload. After a failure every call raises it again."""
        with self._lock:
            if self._over is not None:
                raise self._over
            try:
                self._take(pieces)
            except BaseException as error:
                self._give_up(error)
                raise

    def finish(self, pieces: Sequence[Buffer]) -> list[Extent]:
        """Write the last bytes and make it all durable; see `ExtentStream.finish`."""
        with self._lock:
            if self._over is not None:
                raise self._over
            try:
                self._take(pieces)
                if self._witness is not None:
                    self._witness.finish()
                if self._taken:
                    self._end_extent()
                self._leave_lane()
                self._acknowledge()
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
        run: list[Buffer] = []
        for piece in pieces:
            view = memoryview(piece)
            if self._witness is not None:
                self._witness.update(view)
            while view:
                room = self._settings.extent_bytes_most - self._taken
                part = view[:room]
                run.append(part)
                self._taken += len(part)
                view = view[room:]
                if len(part) == room:
                    self._pass_on(run)
                    self._end_extent()
                    run = []
        if run:
            self._pass_on(run)

    def _pass_on(self, run: Sequence[Buffer]) -> None:
        """To the device, through the seal."""
        if self._seal is not None:
            if self._frames is None:
                self._frames = self._seal.begin()
                self._salt = self._frames.salt
            run = self._frames.update(run)
        if run:
            self._write(run)

    def _write(self, run: Sequence[Buffer]) -> None:
        lane = self._lane
        if lane is None:
            lane = self._lane = self._lanes.take(self._media)
            self._header_at = self._behind = lane.end
        if self._length == 0:
            padding = padding_for(self._header_at, self._owner, self._salt)
            self._payload_at = self._header_at + len(encode_extent_header(self._owner, 0, 0, padding, self._salt))
        at = self._payload_at + self._length
        end = at + sum(map(len, run))
        if self._lanes.demand_room(lane) > self._settings.allocate_bytes:
            lane.allocate(end, self._settings.allocate_bytes)
        lane.write(run, at)
        for part in run:
            self._checksum(memoryview(part))
        if end - self._behind >= self._settings.writeback_bytes:
            lane.write_back(self._behind, end)
            self._behind = end

    def _checksum(self, view: memoryview) -> None:
        while view:
            part = view[: BLOCK_BYTES - self._length % BLOCK_BYTES]
            self._block_crc = crc32c(part, self._block_crc)
            self._length += len(part)
            if self._length % BLOCK_BYTES == 0:
                self._checksums.append(self._block_crc)
                self._block_crc = 0
            view = view[len(part) :]

    def _end_extent(self) -> None:
        tags = b""
        if self._frames is not None:
            self._write(self._frames.finish())
            tags = self._frames.tags
        lane = self._lane
        assert lane is not None
        if self._length % BLOCK_BYTES:
            self._checksums.append(self._block_crc)
        if self._length > BLOCK_BYTES:
            trailer = pack_trailer(self._checksums) + tags
            check = crc32c(trailer)
        else:
            trailer = tags
            check = crc32c(tags, self._checksums[0]) if tags else self._checksums[0]
        if trailer:
            lane.write([trailer], self._payload_at + self._length)
        padding = padding_for(self._header_at, self._owner, self._salt)
        lane.write([encode_extent_header(self._owner, self._length, check, padding, self._salt)], self._header_at)
        sealed = self._frames is not None
        self._done.append(Extent(lane.segment, self._payload_at, self._length, check, sealed))
        self._header_at = self._payload_at + self._length + trailer_bytes(self._length, sealed)
        self._taken = self._length = self._block_crc = 0
        self._checksums = []
        self._frames, self._salt = None, b""
        if self._header_at >= self._settings.segment_bytes:
            self._leave_lane()

    def _leave_lane(self) -> None:
        if self._lane is not None:
            self._lane.sync()
            self._ends.append((self._lane, self._header_at))
            self._lane = None

    def _acknowledge(self) -> None:
        for lane, end in self._ends:
            lengths = [extent.length for extent in self._done if extent.segment == lane.segment]
            lane.advance(end, sum(lengths), len(lengths))
            self._lanes.give(lane)
        self._ends.clear()

    def _give_up(self, error: BaseException) -> None:
        self._over = error
        lanes = [lane for lane, _ in self._ends]
        if self._lane is not None:
            lanes.append(self._lane)
        self._ends.clear()
        self._lane = None
        for lane in lanes:
            lane.cut()
            self._lanes.give(lane)
