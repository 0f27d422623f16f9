"""Backup and restore of a whole store; see take.py and restore.py."""
