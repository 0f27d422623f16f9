"""A store in a temporary directory, and a client of its router."""

import pytest

from isotherm.clock import SystemClock, VirtualClock
from isotherm.devices.drive import SystemDrive
from isotherm.ids import SystemIds
from isotherm.objects.space import Space
from isotherm.segments.local import LocalSegments
from isotherm.segments.port import Media
from tests.metadata import open_meta
from tests.s3.verbs.client import Client


@pytest.fixture
def clock():
    return VirtualClock(wall_ms=1_700_000_000_500)


@pytest.fixture
def engines(tmp_path, metadata):
    ids = SystemIds()
    with open_meta(tmp_path / "meta", clock=SystemClock(), ids=ids) as meta:
        directories = {Media.PERFORMANCE: [tmp_path / "fast"], Media.CAPACITY: [tmp_path / "slow"]}
        segments = LocalSegments.open(directories, meta, clock=SystemClock(), ids=ids, drive=SystemDrive())
        try:
            yield meta, segments, ids
        finally:
            segments.close()


@pytest.fixture
def s3(engines, clock):
    meta, segments, ids = engines
    return Client(Space(1, meta, segments, clock, ids))


@pytest.fixture
def other(engines, clock):
    """Another tenant's client."""
    meta, segments, ids = engines
    return Client(Space(2, meta, segments, clock, ids), owner="owner-2")


@pytest.fixture
def bucket(s3):
    assert s3("PUT", "/bucket").status == 200
    return "/bucket"
