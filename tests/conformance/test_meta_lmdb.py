"""The LMDB engine against the published suite: alone, as the processes of a server, and beside a server."""

import pytest

from isotherm.testing.meta_suite import MetaSuite
from tests.meta.stores import ServerProcess, open_foreign, open_server


class TestLmdbAlone(MetaSuite):
    """Programs share a directory, and there is no server."""

    opener = staticmethod(open_foreign)

    @pytest.fixture
    def place(self, tmp_path):
        return str(tmp_path / "meta")


class TestLmdbInServer(MetaSuite):
    """Every process is one of the server's."""

    opener = staticmethod(open_server)

    @pytest.fixture
    def place(self, tmp_path):
        return str(tmp_path / "meta")


class TestLmdbBesideServer(MetaSuite):
    """A server is alive, so that everything is committed through its socket."""

    opener = staticmethod(open_foreign)

    @pytest.fixture
    def place(self, tmp_path):
        with ServerProcess(tmp_path / "meta") as server:
            yield str(server.directory)
