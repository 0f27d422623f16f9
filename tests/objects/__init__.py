"""Behaviour of objects on the real engines."""
