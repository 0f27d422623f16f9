"""The second port: health, metrics and the change feed, for operators and followers. An ordinary ASGI application."""
