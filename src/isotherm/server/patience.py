"""The second port's connections, with a bound on how long a client may take to say what it wants.

uvicorn counts connections against its limit and begins to time them when it has answered: clients that say nothing would hold
the port for as long as they like, and with it `/healthz`. Here a connection ends whose request's head is not there in time; a
body is its request's affair. One protocol serves one connection, on the loop's thread.
"""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_S = 5.0


class PatientProtocol(HttpToolsProtocol):
    """uvicorn's, that waits `HEAD_S` for a head."""

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def on_message_begin(self) -> None:
        self._await_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        if self._patience is None:
            self._patience = self.loop.call_later(HEAD_S, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
