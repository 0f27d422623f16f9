"""One request's body on its way from the socket to the verb.

The connection feeds what arrives; the verb takes pieces through the asynchronous iterator, which checks them on the way
(payload.py) and raises what is wrong with the body before it ends. Between the two lies a bounded queue: the connection
stops reading while `ahead` is over its bound. Pieces wait for their turn at the gate; while the client is waited for the
request holds nothing there. On one loop's thread.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from isotherm.protocols.s3.framing import ChunkFraming, LengthFraming
from isotherm.protocols.s3.payload import Check, HashCheck
from isotherm.segments.port import Buffer, Witness
from isotherm.tenancy.passage import Passage

_SMALL_BYTES = 16 << 10


class Inlet:
    """An asynchronous iterator over a body's pieces. `check`, if set before the first is taken, is what must hold of them.

    Args:
        framing: tells where the body ends.
        demanded: called when the verb waits for bytes that are not here; the connection answers 100 Continue at the first.
        taken: called when the verb has taken a piece, so that reading may go on.
    """

    __slots__ = (
        "_checked",
        "_demanded",
        "_discarding",
        "_error",
        "_framing",
        "_queue",
        "_taken",
        "_waiter",
        "ahead",
        "check",
        "complete",
        "passage",
        "received",
        "waiting",
    )

    def __init__(
        self, framing: LengthFraming | ChunkFraming, demanded: Callable[[], None], taken: Callable[[], None]
    ) -> None:
        self._framing = framing
        self._checked: deque[Buffer] = deque()
        self._queue: deque[Buffer] = deque()
        self._error: BaseException | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._demanded = demanded
        self._taken = taken
        self._discarding = False
        self.ahead = 0
        self.check: Check | None = None
        self.complete = False
        self.passage: Passage | None = None
        self.received = 0
        self.waiting = False

    @property
    def remaining(self) -> int | None:
        """Bytes that have not arrived; None where only the sender knows."""
        if self.complete:
            return 0
        return self._framing.remaining if isinstance(self._framing, LengthFraming) else None

    @property
    def looked_at_whole(self) -> bool:
        """Whether pieces reach the verb as they arrive, however long they are."""
        return self.check is None or isinstance(self.check, HashCheck)

    def may_grow(self, bytes_most: int) -> bool:
        """Whether more of it is wanted: its queue has room, and its verb does not wait for its turn."""
        return self.ahead <= bytes_most and (self.passage is None or not self.passage.waiting)

    def feed(self, data: Buffer) -> Buffer | None:
        """Take what belongs to the body; the rest of `data` when it has ended, else None.

        Raises:
            Invalid: the chunks are malformed. The iterator raises it too.
        """
        try:
            pieces, rest = self._framing.feed(data)
        except Exception as error:
            self.fail(error)
            raise
        self.complete = rest is not None
        for piece in pieces:
            self.received += len(piece)
            if not self._discarding:
                self._queue.append(piece)
                self.ahead += len(piece)
        if self._waiter is not None:
            self._wake()
        return rest

    def fail(self, error: BaseException) -> None:
        """No more will come: the iterator raises `error` once it has given what is here."""
        if self._error is None:
            self._error = error
        self.complete = True
        self._wake()

    def hand_over(self) -> Witness | None:
        """See `Body.hand_over`: a check that gives back what it is fed is no longer the iterator's to make."""
        if not isinstance(self.check, HashCheck):
            return None
        check, self.check = self.check, None
        return check

    def discard(self) -> None:
        """Nobody wants the rest."""
        self._discarding = True
        self._queue.clear()
        self._checked.clear()
        self.ahead = 0

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def __aiter__(self) -> Inlet:
        return self

    async def __anext__(self) -> Buffer:
        while True:
            if self._checked:
                return self._checked.popleft()
            if self._queue:
                passage = self.passage
                if passage is not None and not passage.take(len(self._queue[0]), self.ahead):
                    await passage.wait()
                    continue
                piece = self._queue.popleft()
                self.ahead -= len(piece)
                self._taken()
                if self.check is None:
                    return piece
                self._checked.extend(self._checking(piece))
            elif self._error is not None:
                raise self._error
            elif self.complete:
                if self.check is not None:
                    self._finish(self.check)
                raise StopAsyncIteration
            else:
                await self._more()

    def _checking(self, piece: Buffer) -> tuple[Buffer, ...]:
        assert self.check is not None
        try:
            pieces = tuple(self.check.feed(piece))
        except Exception as error:
            self._error = error
            self._queue.clear()
            raise
        if len(pieces) > 1 and len(pieces) * _SMALL_BYTES > len(piece):
            return (b"".join(pieces),)  # a copy costs less than a turn of everyone behind for each small chunk
        return pieces

    def _finish(self, check: Check) -> None:
        try:
            check.finish()
        except Exception as error:
            self._error = error
            raise
        self.check = None

    async def _more(self) -> None:
        self._demanded()
        if self.passage is not None:
            self.passage.rest()
        self._waiter = asyncio.get_running_loop().create_future()
        self.waiting = True
        try:
            await self._waiter
        finally:
            self.waiting = False


class NoBody:
    """The body of a request without one."""

    __slots__ = ()

    def __aiter__(self) -> NoBody:
        return self

    async def __anext__(self) -> Buffer:
        raise StopAsyncIteration
