"""The PostgreSQL engine against the published suite."""

import pytest

from isotherm.clock import Clock
from isotherm.ids import SystemIds
from isotherm.meta.postgresql import PostgresMeta
from isotherm.testing.meta_suite import MetaSuite
from isotherm.testing.postgres import TemporaryPostgres, programs


async def open_postgres(place: str, clock: Clock) -> PostgresMeta:
    return await PostgresMeta.open(place, clock=clock, ids=SystemIds())


@pytest.fixture(scope="module")
def postgres():
    with TemporaryPostgres() as server:
        yield server


@pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed")
class TestPostgres(MetaSuite):
    opener = staticmethod(open_postgres)

    @pytest.fixture
    def place(self, postgres):
        dsn = postgres.database()
        yield dsn
        postgres.drop(dsn)
