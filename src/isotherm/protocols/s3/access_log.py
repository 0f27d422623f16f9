"""One line a request, as JSON, written in batches. docs/formats/access-log.md describes the fields.

Quoting is JSON's, so that no key, header or query can make a line of its own. Nothing secret is written: of a presigned URL
the path alone. On one loop's thread; `flush` is called by the connections' sweep and when a batch is full.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from isotherm.protocols.s3.timestamps import render_extended

_LINES_MOST = 256


class Writer(Protocol):
    """Takes whole lines. It must not block for long: it is called on the event loop."""

    def write(self, data: bytes, /) -> object: ...


class Line(msgspec.Struct, frozen=True, gc=False):
    time: str
    remote: str
    access_key: str
    tenant: int | None
    request_id: str
    operation: str
    method: str
    bucket: str
    key: str
    path: str
    status: int
    error: str
    bytes_in: int
    bytes_out: int
    ms: float
    agent: str


class AccessLog:
    __slots__ = ("_encode_lines", "_lines", "_second", "_writer")

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._lines: list[Line] = []
        self._encode_lines = msgspec.json.Encoder().encode_lines
        self._second = (-1, "")

    def add(self, line: Line) -> None:
        self._lines.append(line)
        if len(self._lines) >= _LINES_MOST:
            self.flush()

    def time(self, moment_ms: int) -> str:
        """The moment as a line tells it, to the millisecond."""
        second, millisecond = divmod(moment_ms, 1000)
        if second != self._second[0]:
            self._second = (second, render_extended(moment_ms)[:-1])
        return f"{self._second[1]}.{millisecond:03}Z"

    def flush(self) -> None:
        if self._lines:
            lines, self._lines = self._lines, []
            self._writer.write(self._encode_lines(lines))
