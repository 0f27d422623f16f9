"""What every engine of `segments` must let a stream's witness do; part of `segments_suite`.

A signed hash or an expected checksum is checked by a witness alone, so an engine that passes one over would store what nobody signed.
"""

from __future__ import annotations

import pytest

from isotherm.errors import Closed, Invalid
from isotherm.segments.port import Buffer
from isotherm.testing.segments_rig import MIB, Rig, Run, payload
from isotherm.testing.shelf import key_of


class Recorder:
    """A witness that keeps what it saw, and objects at the end if it is given an objection."""

    def __init__(self, objection: Exception | None = None) -> None:
        self.seen = bytearray()
        self.finished = False
        self._objection = objection

    def update(self, data: Buffer) -> None:
        assert not self.finished
        self.seen += data

    def finish(self) -> None:
        self.finished = True
        if self._objection is not None:
            raise self._objection


class WitnessSuite:
    """See the module. Mixed into `SegmentsSuite`."""

    @pytest.mark.parametrize("length", [0, 1, MIB - 1, 9 * MIB + 77])
    @pytest.mark.parametrize("piece", [70_001, 3 * MIB])
    def test_a_witness_sees_every_byte_in_order_and_then_the_end(
        self, rig: Rig, run: Run, length: int, piece: int
    ) -> None:
        data = payload(length)
        witness = Recorder()

        async def check() -> None:
            stream = rig.segments.stream(key_of(b"a"), witness=witness)
            for at in range(0, length, piece):
                await stream.write(data[at : at + piece])
            assert not witness.finished
            await stream.finish()

        run(check())
        assert witness.finished
        assert witness.seen == data

    @pytest.mark.parametrize("length", [1, 5 * MIB])
    def test_what_a_witness_objects_to_is_not_stored(self, rig: Rig, run: Run, length: int) -> None:
        async def check() -> None:
            stream = rig.segments.stream(key_of(b"a"), witness=Recorder(Invalid("not what was signed")))
            await stream.write(payload(length))
            with pytest.raises(Invalid, match="not what was signed"):
                await stream.finish()
            await stream.abort()
            with pytest.raises(Closed):
                await stream.finish()

        run(check())
