"""A large object that is overwritten or removed while it is read is read to its end; then its bytes go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from isotherm.clock import SystemClock
from isotherm.devices.waiting import drive
from isotherm.objects.garbage import sweep
from isotherm.objects.layout import ROOT_TENANT, parts_of, successor
from isotherm.settings import Settings
from isotherm.store import compose
from tests.metadata import address

BIG = os.urandom(3 << 20)


@pytest.mark.parametrize("how", ["removed", "overwritten"])
def test_a_reader_keeps_what_it_opened(tmp_path: Path, metadata: str, how: str) -> None:
    engines = compose(Settings(tmp_path / "data", meta=address(tmp_path / "data")), role="server", clock=SystemClock())
    space = engines.space()

    async def read_on() -> bytes:
        with await space.open("bucket", "key") as reading:
            pieces = reading.chunks(0, len(BIG))
            first = await anext(pieces)
            if how == "removed":
                await space.delete("bucket", "key")
            else:
                await space.put("bucket", "key", b"other")
            assert await sweep(engines.meta, engines.segments, ROOT_TENANT) == 0
            return first + b"".join([piece async for piece in pieces])

    async def rows() -> int:
        prefix = parts_of(ROOT_TENANT, manifest)
        return len(await engines.meta.range(prefix, successor(prefix), 10))

    try:
        drive(space.create_bucket("bucket"))
        manifest = drive(space.put("bucket", "key", BIG)).manifest
        assert drive(read_on()) == BIG
        assert drive(rows()) == 1, "dismantled under its reader"
        assert drive(sweep(engines.meta, engines.segments, ROOT_TENANT)) == 1
        assert drive(rows()) == 0, "not dismantled after its reader"
        assert drive(sweep(engines.meta, engines.segments, ROOT_TENANT)) == 0
    finally:
        engines.close()
