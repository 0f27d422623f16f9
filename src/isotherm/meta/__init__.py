"""The ordered, transactional key-value port, its engines and the change feed. See `port.py`."""
