"""The wire format between a foreign process and the server that commits for it, over a Unix socket.

A frame is `length u32 ‖ version u8 ‖ body`, big-endian, the length counting version and body. A request's body is the
MessagePack of [id, request], an answer's of [id, answer]; answers come in any order. An answer with the id GOODBYE says
that the server has read nothing since: what it has not answered before it, it has not done and will not do. Pure
functions, and a buffer that cuts a stream into frames. Format: docs/formats/meta-lmdb.md.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from isotherm import errors
from isotherm.meta.lmdb import rows
from isotherm.meta.member import Outcome, Request

VERSION = 2
FRAME_BYTES_MOST = 32 << 20
GOODBYE = -1
_LENGTH_BYTES = 4


class Failure(msgspec.Struct, frozen=True, array_like=True):
    """An error in place of an outcome: its class in the error tree, its message, its code."""

    kind: str
    message: str
    code: str


Answer = bytes | int | None | Failure

_encoder = msgspec.msgpack.Encoder()
_requests = msgspec.msgpack.Decoder(tuple[int, Request])
_answers = msgspec.msgpack.Decoder(tuple[int, Answer])


def request_frame(number: int, request: Request) -> bytes:
    """Raises `errors.Invalid` when it would be longer than a frame may be."""
    frame = _frame((number, request))
    if len(frame) > FRAME_BYTES_MOST:
        raise errors.Invalid("the transaction is too large to be handed to the server")
    return frame


def answer_frame(number: int, outcome: Outcome) -> bytes:
    if isinstance(outcome, errors.IsothermError):
        return _frame((number, Failure(type(outcome).__name__, str(outcome), outcome.code)))
    if isinstance(outcome, BaseException):
        return _frame((number, Failure("Unavailable", f"the server failed: {outcome!r}", errors.Unavailable.code)))
    return _frame((number, outcome))


def _frame(body: object) -> bytes:
    encoded = _encoder.encode(body)
    return rows.U32.pack(len(encoded) + 1) + bytes((VERSION,)) + encoded


def request_of(body: bytes) -> tuple[int, Request]:
    """Raises `msgspec.DecodeError` for anything but a request."""
    return _requests.decode(body)


def answer_of(body: bytes) -> tuple[int, Outcome]:
    """Raises `msgspec.DecodeError` for anything but an answer."""
    number, answer = _answers.decode(body)
    return number, _error(answer) if isinstance(answer, Failure) else answer


def _error(failure: Failure) -> errors.IsothermError:
    kind = getattr(errors, failure.kind, None)
    if not (isinstance(kind, type) and issubclass(kind, errors.IsothermError)):
        kind = errors.Unavailable
    return kind(failure.message, code=failure.code)


class Frames:
    """Cuts what arrives into frames."""

    __slots__ = ("_buffer",)

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The bodies that are complete with `data`.

        Raises:
            VersionMismatch: a frame of another version of this protocol.
            Invalid: no frame at all.
        """
        self._buffer += data
        start = 0
        while len(self._buffer) - start >= _LENGTH_BYTES:
            (length,) = rows.U32.unpack_from(self._buffer, start)
            if not 1 <= length <= FRAME_BYTES_MOST:
                raise errors.Invalid("what arrived is no frame")
            if len(self._buffer) - start == _LENGTH_BYTES:
                break
            if self._buffer[start + 4] != VERSION:
                raise errors.VersionMismatch(
                    f"the other process speaks version {self._buffer[start + 4]} of the committer's protocol, this one "
                    f"{VERSION}; run the same version of Isotherm in both"
                )
            end = start + 4 + length
            if len(self._buffer) < end:
                break
            yield bytes(self._buffer[start + 5 : end])
            start = end
        del self._buffer[:start]
