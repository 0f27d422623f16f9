"""One request and its reply, as the connection keeps account of them. On one loop's thread."""

from __future__ import annotations

from isotherm.protocols.s3.access_log import Line
from isotherm.protocols.s3.counters import BROKEN
from isotherm.protocols.s3.endpoint import S3Endpoint
from isotherm.protocols.s3.inlet import Inlet
from isotherm.protocols.s3.parsing import Head
from isotherm.protocols.s3.reply_head import has_body
from isotherm.protocols.s3.wire import Facts, Reply, Request
from isotherm.tenancy.passage import ADMITTED, BYTES, Free, Passage

CLIENT_GONE = 499
_TEXT_MOST = 1_024  # of a field in the access log


class Exchange:
    """From a head's last byte to a reply's. `request`, `tenant` and `access_key` are empty until it has been authenticated."""

    __slots__ = (
        "_outcome",
        "access_key",
        "bucket",
        "expects",
        "head",
        "id",
        "inlet",
        "key",
        "now_ms",
        "passage",
        "request",
        "sent_before",
        "started",
        "tenant",
    )

    def __init__(self, endpoint: S3Endpoint, sent_before: int) -> None:
        self.id = endpoint.next_id()
        self.started = endpoint.clock.monotonic()
        self.now_ms = endpoint.clock.now_ms()
        self.sent_before = sent_before
        self.head: Head | None = None
        self.request: Request | None = None
        self.tenant: int | None = None
        self.inlet: Inlet | None = None
        self.passage: Passage | Free | None = None
        self.expects = False
        self.access_key = self.bucket = self.key = ""

    def wants_body(self, reply: Reply) -> bool:
        return self.head is None or has_body(self.head.method, reply.status)

    def worth_draining(self, bytes_most: int) -> bool:
        """Whether the rest of its body is awaited, so that the connection can be kept."""
        inlet = self.inlet
        if inlet is None or (self.expects and not inlet.received):
            return False  # the client may send the body or not: nobody knows what follows
        remaining = inlet.remaining
        return remaining is not None and remaining <= bytes_most

    def facts(self, endpoint: S3Endpoint) -> Facts:
        head = self.head
        if head is None:
            return Facts(self.id, endpoint.host_id)
        return Facts(self.id, endpoint.host_id, head.method, head.path, self.bucket, self.key)

    def end(self, endpoint: S3Endpoint, remote: str, status: int, code: str, sent: int) -> None:
        """It has ended so, and will be counted and logged. `status` 499: the connection ended before the reply did."""
        if self.passage is not None:
            self.passage.end()
        self._outcome = (endpoint, remote, status, code, sent - self.sent_before)
        endpoint.turn.ended(self)

    def record(self, ended: float) -> None:
        """Count and log it. `ended`: of the clock's `monotonic`, when its reply had been handed over."""
        head, request, inlet = self.head, self.request, self.inlet
        endpoint, remote, status, code, sent = self._outcome
        microseconds = int((ended - self.started) * 1e6)
        received = inlet.received if inlet is not None else 0
        operation = request.operation if request is not None else ""
        kind = BROKEN if status == CLIENT_GONE else max(status // 100 - 2, 0)
        if self.passage is not None:
            counts = self.passage.lane.counts
            counts[ADMITTED] += 1
            counts[BYTES] += received + sent
        endpoint.counters.count(operation, kind, received, sent, microseconds)
        log = endpoint.access_log
        if log is None:
            return
        log.add(
            Line(
                log.time(self.now_ms),
                remote,
                self.access_key,
                self.tenant,
                self.id,
                operation,
                head.method if head is not None else "",
                self.bucket[:_TEXT_MOST],
                self.key[:_TEXT_MOST],
                head.path[:_TEXT_MOST] if head is not None else "",
                status,
                code,
                received,
                sent,
                microseconds / 1000,
                head.headers.get("user-agent", "")[:_TEXT_MOST] if head is not None else "",
            )
        )
