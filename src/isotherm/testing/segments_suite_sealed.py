"""What every engine of the `segments` port must do with sealed extents, as a published suite: all of `SegmentsSuite` on a
tenant's view of the engine, and what only holds of sealed bytes. Subclass it as that; see also `stored` and `overwrite`.

The tests run on one thread.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from isotherm.errors import Corrupt, Denied
from isotherm.segments.format import SALT_BYTES, TAG_BYTES, checked, trailer_bytes
from isotherm.segments.port import BLOCK_BYTES, Extent, Seal
from isotherm.segments.tenant_segments import TenantSegments
from isotherm.testing.segments_rig import MIB, OneSeal, Rig, Run, payload, seal_of
from isotherm.testing.segments_suite import SegmentsSuite
from isotherm.testing.shelf import Shelf, key_of

SIZES = (1, 4_096, 20_000, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES, MIB + 77)
NEEDLE = b"a plaintext that nobody but its tenant may read. "


class SealedSuite(SegmentsSuite):
    """`opened` gives a rig as `segments_rig.sealed` makes it, of tenant 2."""

    sends_files = False

    def stored(self, rig: Rig, extent: Extent) -> bytes:
        """All bytes of an extent as they are stored, from its salt to its last tag."""
        raise NotImplementedError

    def overwrite(self, rig: Rig, extent: Extent, stored: bytes) -> None:
        """The inverse of `stored`."""
        raise NotImplementedError

    def everything(self, rig: Rig) -> bytes:
        """All that the engine has stored anywhere, metadata included."""
        raise NotImplementedError

    @pytest.mark.parametrize("size", SIZES)
    def test_every_extent_is_sealed_and_says_so(self, rig: Rig, run: Run, size: int) -> None:
        for extent in run(rig.shelf.put(b"a", payload(size))):
            assert extent.sealed
            assert rig.segments.sendable(extent, 0, extent.length) is None

    def test_nothing_of_the_plaintext_is_stored_anywhere(self, rig: Rig, run: Run) -> None:
        for name, size in enumerate((60, 5_000, BLOCK_BYTES, MIB, 9 * MIB)):
            run(rig.shelf.put(b"%d" % name, (NEEDLE * (size // len(NEEDLE) + 1))[:size]))
        everything = self.everything(rig)
        assert NEEDLE[:20] not in everything
        assert len(everything) > 10 * MIB

    def test_the_same_bytes_never_look_the_same(self, rig: Rig, run: Run) -> None:
        (first,), (second,) = (run(rig.shelf.put(name, payload(5_000))) for name in (b"a", b"b"))
        ours, theirs = self.stored(rig, first), self.stored(rig, second)
        assert ours[SALT_BYTES:] != theirs[SALT_BYTES:]
        assert ours[:SALT_BYTES] != theirs[:SALT_BYTES]

    @pytest.mark.parametrize("size", [100, 5_000, BLOCK_BYTES, 2 * BLOCK_BYTES + 9])
    def test_no_stored_byte_can_change_unseen_salt_and_tags_included(self, tmp_path: Path, run: Run, size: int) -> None:
        with self.opened(tmp_path) as rig:
            assert run(rig.shelf.put(b"a", payload(size)))
            (extent,) = run(rig.shelf.extents(b"a"))  # as it is stored
            end = size + trailer_bytes(size, sealed=True)
        for at in sorted({*range(-SALT_BYTES, 1), size // 2, *range(size - 1, end)}):
            with self.opened(tmp_path) as rig:
                self.flip(rig, extent, at)
                with pytest.raises(Corrupt):
                    run(rig.segments.read(extent, 0, size))
                self.flip(rig, extent, at)
        with self.opened(tmp_path) as rig:
            assert run(rig.segments.read(extent, 0, size)) == payload(size)

    def test_swapped_blocks_do_not_open_even_under_forged_checksums(self, tmp_path: Path, run: Run) -> None:
        size = 3 * BLOCK_BYTES
        with self.opened(tmp_path) as rig:
            (extent,) = run(rig.shelf.put(b"a", payload(size)))
            stored = self.stored(rig, extent)
            salt, body, tags = stored[:SALT_BYTES], stored[SALT_BYTES:][:size], stored[-3 * TAG_BYTES :]
            swapped = body[BLOCK_BYTES : 2 * BLOCK_BYTES] + body[:BLOCK_BYTES] + body[2 * BLOCK_BYTES :]
            tags = tags[TAG_BYTES : 2 * TAG_BYTES] + tags[:TAG_BYTES] + tags[2 * TAG_BYTES :]
            check, trailer = checked(swapped, tags)
            self.overwrite(rig, extent, salt + swapped + trailer)
        with self.opened(tmp_path) as rig:
            forged = Extent(extent.segment, extent.offset, size, check, sealed=True)
            for offset in (0, BLOCK_BYTES):
                with pytest.raises(Corrupt):
                    run(rig.segments.read(forged, offset, 10))
            assert run(rig.segments.read(forged, 2 * BLOCK_BYTES, 10)) == payload(size)[2 * BLOCK_BYTES :][:10]

    def test_a_payload_that_was_cut_short_does_not_open(self, tmp_path: Path, run: Run) -> None:
        size = 3 * BLOCK_BYTES
        with self.opened(tmp_path) as rig:
            (extent,) = run(rig.shelf.put(b"a", payload(size)))
            stored = self.stored(rig, extent)
            tags = stored[-3 * TAG_BYTES :][: 2 * TAG_BYTES]
            shorter = stored[SALT_BYTES:][: 2 * BLOCK_BYTES]
            check, trailer = checked(shorter, tags)
            rest = len(stored) - SALT_BYTES - len(shorter) - len(trailer)
            self.overwrite(rig, extent, stored[:SALT_BYTES] + shorter + trailer + bytes(rest))
        with self.opened(tmp_path) as rig:
            forged = Extent(extent.segment, extent.offset, len(shorter), check, sealed=True)
            with pytest.raises(Corrupt):
                run(rig.segments.read(forged, BLOCK_BYTES, 10))

    @pytest.mark.parametrize("size", [5_000, 2 * BLOCK_BYTES])
    def test_another_tenant_cannot_read_it_nor_pass_it_off_as_his(self, rig: Rig, run: Run, size: int) -> None:
        (ours,) = run(rig.shelf.put(b"a", payload(size)))
        inner = rig.segments._inner  # type: ignore[attr-defined]
        stranger = TenantSegments(inner, OneSeal(seal_of(3)), 3)
        with pytest.raises(Corrupt):
            run(stranger.read(ours, 0, size))
        with pytest.raises(Denied):
            run(inner.read(ours, 0, size))
        assert inner.read_now(ours, 0, 0, seal_of(3)) == b""
        (theirs,) = run(Shelf(rig.meta, stranger).put(b"b", payload(size, 2)))
        here, there = self.stored(rig, ours), self.stored(rig, theirs)
        self.overwrite(rig, ours, there)
        self.overwrite(rig, theirs, here)
        for segments, extent, other in ((rig.segments, ours, theirs), (stranger, theirs, ours)):
            moved = Extent(extent.segment, extent.offset, size, other.check, sealed=True)
            for _ in range(2):  # whatever is remembered of the first attempt
                with pytest.raises(Corrupt):
                    run(segments.read(moved, 0, size))

    def test_what_was_written_before_a_tenant_was_sealed_is_still_read(self, rig: Rig, run: Run) -> None:
        plain = rig.segments._inner  # type: ignore[attr-defined]
        for size in (100, 5_000, 300_000, 9 * MIB):
            extents = run(Shelf(rig.meta, plain).write(b"old", payload(size)))
            assert not any(extent.sealed for extent in extents)
            assert b"".join([run(rig.segments.read(extent, 0, extent.length)) for extent in extents]) == payload(size)

    def test_copies_share_sealed_bytes(self, rig: Rig, run: Run) -> None:
        (extent,) = run(rig.shelf.put(b"a", payload(1_000)))
        run(rig.shelf.copy(b"a", b"b"))
        run(rig.shelf.delete(b"a"))
        assert run(rig.shelf.extents(b"b")) == [extent]
        assert run(rig.shelf.get(b"b")) == payload(1_000)
        assert self.live_bytes(rig, extent.segment) == 1_000
        run(rig.shelf.delete(b"b"))
        assert self.live_bytes(rig, extent.segment) == 0

    def test_a_stream_whose_key_cannot_be_had_writes_nothing(self, rig: Rig, run: Run) -> None:
        view = TenantSegments(rig.segments._inner, _Gone(), 2)  # type: ignore[attr-defined]
        stream = view.stream(key_of(b"a"))
        with pytest.raises(Denied):
            run(stream.write(payload(MIB)))
        run(stream.abort())
        with pytest.raises(Denied):
            run(view.append(key_of(b"a"), b"1"))


class _Gone:
    """No tenant has a key any more."""

    def at_hand(self, tenant: int) -> Seal | None:
        return None

    async def to_read(self, tenant: int) -> Seal:
        raise Denied("the key is gone")

    async def to_write(self, tenant: int) -> Seal:
        raise Denied("the key is gone")
