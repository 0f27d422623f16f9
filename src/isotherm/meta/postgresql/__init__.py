"""The PostgreSQL engine of `meta`: many stateless gateways over one database. See `engine.py`."""

from isotherm.meta.postgresql.engine import PostgresMeta

__all__ = ["PostgresMeta"]
