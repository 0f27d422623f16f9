"""Immutable bytes: append, read, verify. See `port.py`; the file format is docs/formats/segment.md."""
