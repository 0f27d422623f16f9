"""Stores against models, by hypothesis."""
