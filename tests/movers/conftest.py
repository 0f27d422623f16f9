"""A store that holds something of everything, made once and copied for each test."""

import shutil

import pytest

from isotherm.devices.waiting import drive
from tests.movers.stores import contents, fill, opened, space_of


@pytest.fixture(scope="session")
def original(tmp_path_factory):
    """(path of a closed store, what is in it)."""
    path = tmp_path_factory.mktemp("original") / "store"
    engines = opened(path)
    drive(fill(space_of(engines)))
    held = contents(engines)
    engines.close()
    return path, held


@pytest.fixture
def filled(original, tmp_path):
    """Path of a closed store of the test's own."""
    path = tmp_path / "store"
    shutil.copytree(original[0], path)
    return path


@pytest.fixture
def held(original):
    """What `filled` holds: (bucket, key, version id) → bytes."""
    return original[1]


@pytest.fixture
def engines(filled):
    """The same store, open."""
    engines = opened(filled, seed=2)
    yield engines
    engines.close()
