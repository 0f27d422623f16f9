"""What all connections of a process share: who may come in, what answers them, and what every reply says of the server.

Made once by the server, then only read, but for two caches (the second's Date, the next request id). On one loop's thread.
"""

from __future__ import annotations

import traceback
from base64 import b64encode
from collections.abc import Callable, Coroutine
from typing import Any

from isotherm.clock import Clock
from isotherm.errors import IsothermError
from isotherm.ids import Ids
from isotherm.objects.space import Space
from isotherm.protocols.s3.access_log import AccessLog
from isotherm.protocols.s3.authentication import Authenticator, Credentials
from isotherm.protocols.s3.counters import Counters
from isotherm.protocols.s3.dates import http_date
from isotherm.protocols.s3.limits import S3Settings
from isotherm.protocols.s3.receiving import Buffers
from isotherm.protocols.s3.turn import Turn
from isotherm.protocols.s3.wire import Facts, Reply, Request
from isotherm.telemetry import Log
from isotherm.tenancy.gate import Gate

Dispatch = Callable[[Request], Coroutine[Any, Any, Reply]]
RenderError = Callable[[BaseException, Facts], Reply]

_MASK = (1 << 64) - 1
_STRIDE = 0x9E3779B97F4A7C15  # odd, so that it visits every number of 64 bits before it repeats one


class S3Endpoint:
    """The context of every connection.

    Args:
        credentials: `find` is called at every request.
        space_of: a tenant's space; cheap.
        owner_of: a tenant's name, which S3 calls the owner's id.
        dispatch: the router; raises `IsothermError` for what it refuses.
        render_error: makes the reply of any exception, for a request of which `Facts` tells what is known.
        gate: whom requests wait for their turn; None: they do not.
        log: for errors that are nobody's fault but ours.
    """

    def __init__(
        self,
        *,
        credentials: Credentials,
        space_of: Callable[[int], Space],
        dispatch: Dispatch,
        render_error: RenderError,
        settings: S3Settings,
        clock: Clock,
        ids: Ids,
        log: Log,
        counters: Counters,
        access_log: AccessLog | None = None,
        owner_of: Callable[[int], str] = str,
        gate: Gate | None = None,
    ) -> None:
        self.authenticator = Authenticator(credentials, settings.skew_s, settings.domains)
        self.space_of = space_of
        self.owner_of = owner_of
        self.dispatch = dispatch
        self.render_error = render_error
        self.gate = gate
        self.settings = settings
        self.clock = clock
        self.log = log
        self.counters = counters
        self.access_log = access_log
        self.buffers = Buffers()
        self.turn = Turn(clock)
        self.host_id = b64encode(ids.token(48)).decode()
        self._last_id = int.from_bytes(ids.token(8), "big")
        self._second = -1
        self._preamble = ""

    def next_id(self) -> str:
        """A request id: 16 upper-case hexadecimal digits, unique within this process. Not a secret."""
        self._last_id = last = (self._last_id + _STRIDE) & _MASK
        return f"{last:016X}"

    def preamble(self, now_ms: int) -> str:
        """The header lines that all replies of one second share."""
        second = now_ms // 1000
        if second != self._second:
            self._second = second
            self._preamble = f"Server: Isotherm\r\nDate: {http_date(now_ms)}\r\nx-amz-id-2: {self.host_id}\r\n"
        return self._preamble

    def tell(self, error: Exception, facts: Facts) -> Reply:
        """The reply that tells `error`. What is no error of the tree is logged, and told without a word of what it was."""
        if not isinstance(error, IsothermError):
            self.note(error, facts.id)
        try:
            reply = self.render_error(error, facts)
        except Exception as unspeakable:
            self.note(unspeakable, facts.id)
            reply = Reply(500)
        if not reply.code:
            reply.code = error.code if isinstance(error, IsothermError) else IsothermError.code
        return reply

    def note(self, error: Exception, request_id: str) -> None:
        trace = "".join(traceback.format_exception(error))
        self.log.error("a request failed", request=request_id, error=repr(error), trace=trace)
