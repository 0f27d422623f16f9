"""One client's connection: requests in, replies out, in order, one at a time.

A state machine between four parties: the transport (asyncio.Protocol), the head parser, the body's `Inlet`, and the verb,
which runs as a coroutine whose first step is taken at once. Invariants:

- at most one `Exchange` is under way; the next head is read only when its reply has been handed over and its body has ended;
- reading stops while more than a bound lies ahead of a verb or of the next head, or a body's verb waits for its turn;
- once where the next request begins is in doubt, the connection ends after the reply under way;
- a reply that has begun and cannot be ended breaks the connection off: a reader never takes a part for the whole.

Everything happens on one loop's thread.
"""

from __future__ import annotations

import asyncio
from typing import cast

from isotherm.devices.waiting import start_eagerly
from isotherm.errors import IsothermError
from isotherm.protocols.s3 import refusals
from isotherm.protocols.s3.admission import Later, admit
from isotherm.protocols.s3.endpoint import S3Endpoint
from isotherm.protocols.s3.exchange import CLIENT_GONE, Exchange
from isotherm.protocols.s3.expiry import Doing, Spare, Verdict, Vigil, judge
from isotherm.protocols.s3.framing import ChunkFraming, LengthFraming
from isotherm.protocols.s3.inlet import Inlet
from isotherm.protocols.s3.outlet import WHOLE_BYTES_MOST, Outlet
from isotherm.protocols.s3.parsing import HeadParser
from isotherm.protocols.s3.receiving import Replaceable, stand_in
from isotherm.protocols.s3.reply_head import CONTINUE, render_head
from isotherm.protocols.s3.roster import Roster
from isotherm.protocols.s3.wire import Ranged, Reply, Request
from isotherm.segments.port import Buffer

_IN_ONE_GO = 16


class S3Connection(Replaceable):
    """Serves one accepted socket."""

    def __init__(self, endpoint: S3Endpoint, roster: Roster) -> None:
        self._endpoint = endpoint
        self._roster = roster
        self._parser = HeadParser(endpoint.settings.headers_most)
        self._ahead = b""
        self._exchange: Exchange | None = None
        self._receiving: Inlet | None = None
        self._task: asyncio.Task[None] | None = None
        self._reading = True
        self._pumping = False
        self._last = False  # no request follows the one under way
        self._astray = False  # the client may send what we did not understand, or did not wait for
        self._ending = False  # the last reply has been written; what still arrives is thrown away
        self._half_closed = False
        self._vigil = Vigil(roster.now)

    # the transport's calls -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._outlet = Outlet(self._transport, self._endpoint.settings.write_bytes_ahead, self._endpoint.turn)
        peer = transport.get_extra_info("peername")
        self._remote = f"{peer[0]}" if isinstance(peer, tuple) else ""
        self._secure = transport.get_extra_info("sslcontext") is not None
        self._roster.enter(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._roster.leave(self)
        self._ending = True
        self._outlet.lose()
        self._fail_body(refusals.incomplete_body())
        if self._task is not None:
            self._task.cancel()

    def data_received(self, data: Buffer) -> None:
        if self._ending:
            return
        self.progressed()
        if self._receiving is not None:
            rest = self._feed(self._receiving, data)
            if rest is None:
                return
            data = rest
        self._ahead += data
        self._pump()

    def eof_received(self) -> bool:
        self._half_closed = True
        if self._receiving is not None:
            self._fail_body(refusals.incomplete_body())
        self._pump()
        return (self._exchange is not None or bool(self._ahead)) and not self._secure  # replies still find their reader

    def pause_writing(self) -> None:
        self._outlet.pause()

    def resume_writing(self) -> None:
        self._outlet.resume()
        self._pump()

    def progressed(self) -> None:
        if not self._ending:
            self._vigil.since = self._roster.now

    # requests ------------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Start what has arrived, up to a request that does not end at once."""
        if self._pumping:
            return
        self._pumping = True
        idle = False
        for _ in range(_IN_ONE_GO):
            if self._exchange is not None or self._receiving is not None or self._ending or self._outlet.paused:
                break
            if not self._ahead or not self._take_head():
                idle = True
                break
        else:
            asyncio.get_running_loop().call_soon(self._pump)
        self._pumping = False
        if self._exchange is None and self._receiving is None and (self._last or (idle and self._half_closed)):
            self._close()
        self._regulate()

    def _take_head(self) -> bool:
        """Start the next request if its head is here. False: it is not, or the connection ends."""
        ahead = self._ahead
        if ahead[:2] == b"\r\n":
            ahead = ahead[2:]  # one empty line before a request is to be ignored (RFC 9112 §2.2)
        end = ahead.find(b"\r\n\r\n") + 4
        most = self._endpoint.settings.head_bytes_most
        if end > most or (end < 4 and len(ahead) > most):
            self._refuse(refusals.head_too_large())
            return False
        if end < 4:
            if self._vigil.head_since is None:
                self._vigil.head_since = self._roster.now
            return False
        self._vigil.head_since = None
        self._ahead = ahead[end:]
        self._start(ahead[:end])
        return True

    def _start(self, raw: bytes) -> None:
        exchange = self._exchange = Exchange(self._endpoint, self._outlet.sent)
        self._endpoint.turn.work_begins(exchange.started)
        try:
            exchange.head = head = self._parser.parse(raw)
        except IsothermError as error:
            self._last = self._astray = True
            self._finish(exchange, self._endpoint.tell(error, exchange.facts(self._endpoint)))
            return
        if not head.keep_alive or self._roster.retiring:
            self._last = True
        if head.chunked or head.length:
            framing = ChunkFraming() if head.chunked else LengthFraming(head.length or 0)
            exchange.inlet = self._receiving = Inlet(framing, self._demanded, self._regulate)
            if self._ahead:
                self._ahead = bytes(self._feed(self._receiving, self._ahead) or b"")
            elif self._half_closed:
                self._fail_body(refusals.incomplete_body())
        try:
            request = admit(self._endpoint, exchange, head)
        except Exception as error:
            self._finish(exchange, self._endpoint.tell(error, exchange.facts(self._endpoint)))
            return
        if self._receiving is not None and not self._secure:
            stand_in(self, self._transport, self._receiving, self._endpoint.buffers)
        self._task = start_eagerly(self._answer(exchange, request))

    async def _answer(self, exchange: Exchange, request: Request | Later) -> None:
        self._outlet.begun, self._outlet.passage = False, None
        try:
            if not isinstance(request, Request):
                request = await request
            passage = exchange.passage
            if passage is not None and not passage.running:
                self._regulate()
                await passage.wait()
                self._regulate()
            reply = await self._endpoint.dispatch(request)
            body = reply.body
            if isinstance(body, Ranged) and body.length <= WHOLE_BYTES_MOST and exchange.wants_body(reply):
                try:
                    data = body.reading.now(body.offset, body.length)
                    reply.body = data if data is not None else await body.reading.read(body.offset, body.length)
                finally:
                    body.reading.close()
            if not isinstance(reply.body, bytes):
                await self._stream(exchange, reply)
            elif passage is not None and reply.body:
                passage.spend(len(reply.body))
        except asyncio.CancelledError:
            self._broken(exchange)
            raise
        except Exception as error:
            if self._outlet.begun or self._outlet.lost:
                if not isinstance(error, ConnectionError):
                    self._endpoint.note(error, exchange.id)
                self._broken(exchange)
                return
            reply = self._endpoint.tell(error, exchange.facts(self._endpoint))
        if isinstance(reply.body, bytes):
            self._finish(exchange, reply)
        else:
            self._end(exchange, reply)

    async def _stream(self, exchange: Exchange, reply: Reply) -> None:
        """Send a reply whose body is not bytes."""
        assert exchange.head is not None
        body = reply.body
        try:
            if not exchange.wants_body(reply):
                self._outlet.whole(self._head(exchange, reply), b"")
            elif isinstance(body, Ranged):
                if exchange.passage is not None:
                    exchange.passage = self._outlet.passage = exchange.passage.joined()
                await self._outlet.ranged(self._head(exchange, reply), body)
            elif not isinstance(body, bytes):
                length = reply.length
                chunked = length is None and exchange.head.version == "1.1"
                self._last = self._last or (length is None and not chunked)
                await self._outlet.pieces(self._head(exchange, reply), body, chunked=chunked, length=length)
        finally:
            if isinstance(body, Ranged):
                body.reading.close()

    def _head(self, exchange: Exchange, reply: Reply) -> bytes:
        head = exchange.head
        astray = self._receiving is not None and not exchange.worth_draining(self._endpoint.settings.drain_bytes_most)
        self._last = self._last or astray or self._roster.retiring
        return render_head(
            reply,
            head.method if head is not None else "",
            exchange.id,
            self._endpoint.preamble(self._endpoint.clock.now_ms()),
            version=head.version if head is not None else "1.1",
            close=self._last,
        )

    def _finish(self, exchange: Exchange, reply: Reply) -> None:
        """Send a reply whose body is bytes."""
        if self._outlet.lost:
            self._broken(exchange)
            return
        head = self._head(exchange, reply)
        body = reply.body
        self._outlet.whole(head, body if isinstance(body, bytes) and exchange.wants_body(reply) else b"")
        self._end(exchange, reply)

    def _end(self, exchange: Exchange, reply: Reply) -> None:
        """The reply has been handed over."""
        exchange.end(self._endpoint, self._remote, reply.status, reply.code, self._outlet.sent)
        self._exchange = self._task = None
        self._vigil.since = self._roster.now
        if exchange.access_key and not self._vigil.proven:
            self._vigil.proven = self._roster.know(self)
        if self._last:
            self._close()
            return
        if self._receiving is not None:
            self._receiving.discard()
        if not self._pumping:
            self._regulate()
            if self._ahead or self._half_closed:
                asyncio.get_running_loop().call_soon(self._pump)

    def _broken(self, exchange: Exchange) -> None:
        """The reply cannot be ended: the client is gone, or what it asked for is."""
        exchange.end(self._endpoint, self._remote, CLIENT_GONE, "", self._outlet.sent)
        self._exchange = self._task = None
        self._ending = True
        self._outlet.flush()  # earlier replies were whole
        self._transport.abort()

    # the body and the bounds ---------------------------------------------------------------------------------------

    def _feed(self, inlet: Inlet, data: Buffer) -> Buffer | None:
        """Give the body its part of `data`; what follows it, or None while it goes on."""
        try:
            rest = inlet.feed(data)
        except IsothermError:
            self._last = self._astray = True
            self._receiving = None
            return b""
        if rest is None:
            if self._half_closed:
                self._fail_body(refusals.incomplete_body())
            self._regulate()
            return None
        self._receiving = None
        return rest

    def _fail_body(self, error: IsothermError) -> None:
        """The rest of the body will not come."""
        inlet, self._receiving = self._receiving, None
        self._last = True
        if inlet is not None:
            inlet.fail(error)

    def _demanded(self) -> None:
        """The verb waits for bytes of the body."""
        self._vigil.since = self._roster.now
        exchange = self._exchange
        if exchange is not None and exchange.expects:
            exchange.expects = False
            if exchange.inlet is not None and not exchange.inlet.received:
                self._outlet.interim(CONTINUE)

    def _regulate(self) -> None:
        """Read from the socket only while there is room for it."""
        settings = self._endpoint.settings
        inlet = self._receiving
        most = settings.body_bytes_ahead if self._reading else settings.body_bytes_ahead // 2
        room = len(self._ahead) <= settings.pipelined_bytes_most and (inlet is None or inlet.may_grow(most))
        if room != self._reading and not self._half_closed and not self._transport.is_closing():
            self._reading = room
            if room:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    # ends ----------------------------------------------------------------------------------------------------------

    def _refuse(self, error: IsothermError) -> None:
        """Answer what never became a request, and end."""
        self._last = self._astray = True
        exchange = self._exchange = Exchange(self._endpoint, self._outlet.sent)
        self._finish(exchange, self._endpoint.tell(error, exchange.facts(self._endpoint)))

    def _close(self) -> None:
        """End after what has been written. While the client may still be sending, its bytes are read and thrown away for a
        moment: closing on unread bytes would reset the connection, and with it the reply that is on its way."""
        if self._ending:
            return
        self._ending = True
        self._outlet.flush()
        self._vigil.since = self._roster.now
        unread = self._astray or self._receiving is not None or bool(self._ahead)
        self._receiving, self._ahead = None, b""
        if not unread or self._half_closed or self._transport.is_closing():
            self._transport.close()
            return
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def retire(self) -> None:
        self._last = self._last or self._exchange is not None or self._receiving is not None
        if not self._last and not self._ahead:
            self._close()

    def abort(self) -> None:
        self._transport.abort()

    # time ----------------------------------------------------------------------------------------------------------

    @property
    def _at_rest(self) -> bool:
        return self._exchange is None and self._receiving is None and not self._ahead and not self._ending

    @property
    def spare(self) -> Spare:
        return self._vigil.spare(self._roster.now, at_rest=self._at_rest, answering=self._exchange is not None)

    def expire(self, now: float) -> None:
        """The roster's sweep: `now` is in the loop's seconds."""
        settings = self._endpoint.settings
        unsent = self._outlet.unsent
        if self._at_rest and not unsent and now - self._vigil.since <= settings.idle_s:
            return
        sent = (self._outlet.sent, self._transport.get_write_buffer_size())
        answering, receiving = self._exchange is not None, self._receiving
        self._vigil.watch(now, sent if unsent else None, answering=answering)
        awaited = receiving is not None and receiving.waiting
        doing = Doing(self._ending, answering, awaited, receiving is not None, self._half_closed)
        verdict = judge(self._vigil.lasting(now), doing, settings)
        if verdict is not Verdict.GO_ON:
            self._carry_out(verdict)

    def _carry_out(self, verdict: Verdict) -> None:
        if verdict is Verdict.CLOSE:
            self._close()
        elif verdict is Verdict.TELL:
            self._refuse(refusals.timed_out())
        elif verdict is Verdict.FAIL_BODY:
            self._astray = True
            self._fail_body(refusals.timed_out())
        elif verdict is Verdict.CANCEL and self._task is not None:
            self._task.cancel()
        elif verdict is Verdict.END:
            self._transport.close()
        elif verdict is Verdict.ABORT:
            self._transport.abort()
