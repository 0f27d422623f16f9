"""A store for each test, alone in a directory of its own."""

import pytest

from isotherm.clock import VirtualClock
from isotherm.devices.waiting import drive
from tests.objects.stores import open_engines


@pytest.fixture
def clock():
    return VirtualClock()


@pytest.fixture
def engines(tmp_path, clock, metadata):
    opened = open_engines(tmp_path / "store", clock=clock)
    yield opened
    opened.close()


@pytest.fixture
def space(engines):
    """Objects of the root tenant, with one bucket, `box`."""
    space = engines.space()
    drive(space.create_bucket("box"))
    return space
