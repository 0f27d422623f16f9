"""A server: the store behind its protocols, as a handful of processes.

The *supervisor* (supervisor.py) binds both ports, spawns the others and starts again what dies. *Gateways* serve S3, one a
core. The *committer* takes transactions of programs that opened the directory themselves, and makes the root credentials.
The *mover* does background work. *Control* serves the second port.
"""
