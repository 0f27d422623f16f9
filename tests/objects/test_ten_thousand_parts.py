"""The largest number of parts, end to end, in a space that allows them to be small."""

import asyncio
import hashlib

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import Invalid
from isotherm.objects.model import Algorithm
from isotherm.objects.space import Space
from tests.objects.stores import TENANT, get, live_bytes, payload, rows_of, sweep
from tests.objects.test_digests import COMPUTE

COUNT = 10_000
SIZE = 20
AT_ONCE = 1_000


@pytest.fixture
def small_parts(engines, space):
    return Space(TENANT, engines.meta, engines.segments, engines.clock, engines.ids, part_bytes_least=1)


async def send(space, upload, data):
    parts = []
    for start in range(0, COUNT, AT_ONCE):
        numbers = range(start + 1, start + AT_ONCE + 1)
        sent = [space.put_part("box", "key", upload, n, data[(n - 1) * SIZE : n * SIZE]) for n in numbers]
        parts += await asyncio.gather(*sent)
    return parts


def test_ten_thousand_parts(space, small_parts, engines):
    data = payload(COUNT * SIZE)
    upload = drive(space.create_upload("box", "key", algorithm=Algorithm.CRC32, full_object=True)).id
    parts = asyncio.run(send(space, upload, data))
    named = [(part.number, part.etag, part.checksum) for part in parts]

    page, more = drive(space.parts("box", "key", upload, after=8_999))
    assert ([part.number for part in page], more) == (list(range(9_000, 10_000)), True)
    with pytest.raises(Invalid) as refused:
        drive(space.complete_upload("box", "key", upload, named))
    assert refused.value.code == "EntityTooSmall"

    made = drive(small_parts.complete_upload("box", "key", upload, named))
    md5s = b"".join(hashlib.md5(data[at : at + SIZE]).digest() for at in range(0, len(data), SIZE))
    assert made.etag == f"{hashlib.md5(md5s).hexdigest()}-{COUNT}"
    assert made.checksum.value == COMPUTE[Algorithm.CRC32](data)
    assert get(space, "box", "key") == data
    assert get(space, "box", "key", offset=SIZE * 9_999 - 1, length=3) == data[SIZE * 9_999 - 1 :][:3]
    assert drive(space.part_range("box", made, COUNT)) == (SIZE * 9_999, SIZE)
    assert len(drive(space.part_list("box", made))) == COUNT

    drive(space.copy("box", "key", "box", "copy"))
    drive(space.delete("box", "key"))
    assert sweep(engines) == 0
    assert get(space, "box", "copy") == data
    drive(space.delete("box", "copy"))
    assert sweep(engines) == COUNT // 500 + 1
    assert live_bytes(engines) == 0
    assert set(rows_of(engines)) == {"B", "b"}
