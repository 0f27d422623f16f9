"""Well-formed requests over the committer's socket that a correct client would never send: each is refused, alone."""

import asyncio

import pytest

from isotherm.clock import SystemClock
from isotherm.devices import sockets
from isotherm.errors import Invalid
from isotherm.ids import SystemIds
from isotherm.meta.lmdb import CommitService, LmdbMeta, ServerLock, rows, wire
from isotherm.meta.member import Member, NewEpoch, RangeRead, Trim
from isotherm.meta.port import ACCOUNTS, KEY_BYTES, VALUE_BYTES


def member(**changed):
    fields = {
        "reads": {}, "ranges": [], "writes": {}, "stamped": {}, "placed": [], "adds": {}, "appends": [],
        "stamps": 0, "size_bytes": 0,
    }  # fmt: skip
    return Member(**{**fields, **changed})


HOSTILE = {
    "a reserved key is written": member(writes={rows.EPOCH_KEY: b"\x00\x00\x00\x09"}),
    "a reserved key is deleted": member(writes={rows.VERSION_KEY: None}),
    "a reserved key is counted": member(adds={rows.count_key(b"f"): 1}),
    "a reserved key is stamped": member(stamped={b"\xffx": (0, b"")}, stamps=1),
    "a reserved key is placed": member(placed=[(b"\xfff\x01f", 0, b"")], stamps=1),
    "a reserved key is read": member(reads={rows.EPOCH_KEY: None}, writes={b"k": b""}),
    "a reserved range is read": member(ranges=[RangeRead(b"", b"\xff\xff", 1, False, [])], writes={b"k": b""}),
    "an empty key": member(writes={b"": b""}),
    "a key too long": member(writes={b"k" * (KEY_BYTES + 1): b""}),
    "a value too long": member(writes={b"k": bytes(VALUE_BYTES + 1)}),
    "a stamped value too long": member(stamped={b"k": (0, bytes(VALUE_BYTES + 1))}, stamps=1),
    "a placed key too long": member(placed=[(b"k" * (KEY_BYTES - 15), 0, b"")], stamps=1),
    "a record too long": member(appends=[(b"f", 0, bytes(VALUE_BYTES + 1))], stamps=1),
    "a feed's name too long": member(appends=[(b"f" * 33, 0, b"")], stamps=1),
    "an ordinal never given": member(appends=[(b"f", 1, b"")], stamps=1),
    "an ordinal below zero": member(stamped={b"k": (-1, b"")}, stamps=1),
    "more stamps than a batch can number": member(writes={b"k": b""}, stamps=1 << 33),
    "fewer stamps than none": member(writes={b"k": b""}, stamps=-1),
    "a transaction too large": member(writes={b"%d" % number: bytes(VALUE_BYTES) for number in range(101)}),
    "a size that is a lie": member(writes={b"k": b""}, size_bytes=-(1 << 40)),
    "a counter beyond 64 bits": member(adds={b"k": (1 << 63)}),
    "an account beyond 64 bits": member(charges={ACCOUNTS + b"test1": ((1 << 63), None)}),
    "a charge of what is no account": member(charges={b"k": (1, None)}),
    "a charge of an account's row": member(charges={ACCOUNTS + b"test1\x00": (1, None)}),
    "a trim of a nameless feed": Trim(b"", 0, 1),
    "a trim that keeps less than nothing": Trim(b"f", -1, 1),
    "a trim of everything at once": Trim(b"f", 0, 1 << 40),
    "an epoch that goes back": NewEpoch(-1),
    "an epoch at its end": NewEpoch(0xFFFFFFFE),
}


async def ask(directory, *requests):
    """The outcomes of requests that are sent together, in their order."""

    def call():
        with sockets.connect(directory / "committer.sock", 30) as connection:
            connection.sendall(b"".join(wire.request_frame(number, request) for number, request in enumerate(requests)))
            frames, outcomes = wire.Frames(), {}
            while len(outcomes) < len(requests):
                data = connection.recv(1 << 16)
                assert data, "the server closed the connection"
                outcomes.update(wire.answer_of(body) for body in frames.feed(data))
        return [outcomes[number] for number in range(len(requests))]

    return await asyncio.to_thread(call)


@pytest.mark.parametrize("hostile", HOSTILE.values(), ids=HOSTILE.keys())
def test_it_is_refused_and_those_sent_with_it_are_committed(tmp_path, hostile):
    async def main():
        meta = LmdbMeta.open(tmp_path, clock=SystemClock(), ids=SystemIds(), role="server", sync=False)
        with ServerLock(tmp_path), meta:
            service = CommitService(meta, tmp_path)
            await service.start()
            epoch = meta.epoch
            good = member(writes={b"good": b"1"}), member(appends=[(b"feed", 0, b"record")], stamps=1)
            outcomes = await ask(tmp_path, good[0], hostile, good[1])
            await service.close()
            assert isinstance(outcomes[1], Invalid)
            assert isinstance(outcomes[0], bytes)
            assert isinstance(outcomes[2], bytes)
            assert await meta.range(b"", b"\xff", 10) == [(b"good", b"1")]
            assert len((await meta.feed(b"feed", None, 10)).records) == 1
            assert meta.epoch == epoch
        LmdbMeta.open(tmp_path, clock=SystemClock(), ids=SystemIds(), role="foreign", sync=False).close()

    asyncio.run(main())
