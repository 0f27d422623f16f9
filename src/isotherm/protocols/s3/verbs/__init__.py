"""S3's operations, one file per verb or tight family: from a `Request` to a `Reply`, with no semantics of their own.

Every verb is a coroutine function `(Request) -> Reply` that raises `IsothermError`s; which one answers a request, and which
query parameters and headers it understands, stands in router.py alone. Called on the connection's event loop.
"""
