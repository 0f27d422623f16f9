"""Which engine holds the metadata of the stores that a test opens: the same tests run on all of them.

A test asks `address(path)` for the metadata of a store at `path`: the same answer for the same path, so that a store can be
opened again. The fixture `metadata` (tests/conftest.py) chooses; where nobody chose it is LMDB, in the directory itself.
"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

from isotherm.devices.waiting import drive
from isotherm.meta.lmdb import LmdbMeta
from isotherm.testing.postgres import TemporaryPostgres, programs

ENGINES = [
    "lmdb",
    pytest.param("postgresql", marks=pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed")),
]


class Schemas:
    """Empty schemas of one database: cheaper than databases, and just as far apart."""

    def __init__(self, server: TemporaryPostgres) -> None:
        self._server = server
        self._dsn = server.database()
        self._made = 0
        self._of: dict[Path, str] = {}

    def address(self, path: Path) -> str:
        if path not in self._of:
            self._made += 1
            name = f"s{self._made}"
            self._server.ask(self._dsn, f"create schema {name}")
            self._of[path] = f"{self._dsn}&search_path={quote(name)}"
        return self._of[path]

    def forget(self) -> None:
        """Drop what the last test used."""
        if self._of:
            names = ", ".join(url.rpartition("=")[2] for url in self._of.values())
            self._of.clear()
            self._server.ask(self._dsn, f"drop schema {names} cascade")


_chosen: list[Schemas] = []


@contextmanager
def chosen(schemas: Schemas):
    """Within it, stores keep their metadata in PostgreSQL."""
    _chosen.append(schemas)
    try:
        yield
    finally:
        _chosen.pop()
        schemas.forget()


def address(path: Path) -> str:
    """What `Settings.meta` is to be for a store at `path`."""
    return _chosen[-1].address(Path(path)) if _chosen else ""


def open_meta(path: Path, *, clock, ids):
    """An engine of metadata alone: in the directory `path`, or in the database chosen for it."""
    if url := address(path):
        from isotherm.meta.postgresql import PostgresMeta

        return drive(PostgresMeta.open(url, clock=clock, ids=ids))
    return LmdbMeta.open(path, clock=clock, ids=ids, role="server", sync=False)
