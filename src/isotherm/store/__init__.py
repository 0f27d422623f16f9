"""The whole store without protocols: settings → engines → rooms (engines.py), and inside a program (embedded.py)."""

from isotherm.store.embedded import AsyncStore, Source, Store, open, open_async
from isotherm.store.engines import Engines, compose, compose_here

__all__ = ["AsyncStore", "Engines", "Source", "Store", "compose", "compose_here", "open", "open_async"]
