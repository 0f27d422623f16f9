"""Servers that histories are recorded on: one per engine of metadata, each with two gateways."""

import subprocess
from contextlib import contextmanager

from isotherm.testing.postgres import TemporaryPostgres, programs
from isotherm.testing.server import RunningServer
from tests.faults.histories.faults import DATABASE_FAULTS, FAULTS

LIMIT_S = 180.0
"""To start or to end: a machine that runs many tests at once takes its time."""


class LmdbServer(RunningServer):
    """Metadata in the data directory."""

    faults = tuple(FAULTS)
    database = ""


class PostgresServer(RunningServer):
    """Metadata in a database of its own on `postgres`."""

    faults = (*(fault for fault in FAULTS if "committer" not in fault), *DATABASE_FAULTS)  # it needs no committer

    def __init__(self, data, postgres):
        self.postgres = postgres
        self.database = postgres.database()
        super().__init__(data, options=["--meta", self.database], gateways=2, start_s=LIMIT_S, stop_s=LIMIT_S)

    def cut(self):
        """End every connection to its database."""
        statement = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()"
        statement += " and datname = current_database()"
        psql = programs() / "psql"
        subprocess.run([psql, "-qAt", "-c", statement, self.database], check=False, capture_output=True, cwd="/")


@contextmanager
def lmdb(path):
    with LmdbServer(path, gateways=2, start_s=LIMIT_S, stop_s=LIMIT_S) as server:
        yield server


@contextmanager
def postgresql(path):
    with TemporaryPostgres() as postgres, PostgresServer(path, postgres) as server:
        yield server
