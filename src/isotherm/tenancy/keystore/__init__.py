"""Secrets that lie outside `meta` and outside every backup: the port (port.py) and its engines."""

from isotherm.tenancy.keystore.files import FileKeys
from isotherm.tenancy.keystore.port import KEY_BYTES, ROOT, KeyStore

__all__ = ["KEY_BYTES", "ROOT", "FileKeys", "KeyStore"]
