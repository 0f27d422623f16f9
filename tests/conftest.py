"""What several rooms share: the engines of metadata, on all of which their tests run."""

import pytest
from hypothesis import HealthCheck, settings

from isotherm.testing.postgres import TemporaryPostgres
from tests.metadata import ENGINES, Schemas, chosen

settings.register_profile("patient", suppress_health_check=[HealthCheck.too_slow])  # no test asserts times
settings.load_profile("patient")


@pytest.fixture(scope="session")
def schemas():
    """One PostgreSQL for the session, which nobody kills: it need not survive anything."""
    with TemporaryPostgres(settings={"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}) as server:
        yield Schemas(server)


def _metadata(request):
    if request.param == "lmdb":
        yield request.param
        return
    with chosen(request.getfixturevalue("schemas")):
        yield request.param


metadata = pytest.fixture(_metadata, params=ENGINES, name="metadata")
"""The name of the engine that holds the metadata of stores opened in this test."""

metadata_of_module = pytest.fixture(_metadata, params=ENGINES, scope="module", name="metadata_of_module")
"""The same for a store that the tests of a module share."""
