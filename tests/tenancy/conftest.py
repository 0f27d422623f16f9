"""A store with an empty tree, on every engine of metadata."""

import pytest

from tests.tenancy.forest import planted


@pytest.fixture
def forest(tmp_path, metadata):
    with planted(tmp_path) as made:
        yield made
