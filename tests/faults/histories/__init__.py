"""Histories of concurrent clients: recorded on real servers under faults, and checked for linearizability."""
