"""A client for large bodies that costs next to nothing: sendfile out, MSG_TRUNC in, one signed request a call.

What is compared is the server's CPU time; a client that copied the bytes would only take the core from it.
"""

from __future__ import annotations

import hashlib
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.s3._load import Site, Target, authorization

UNSIGNED = "UNSIGNED-PAYLOAD"
_EMPTY = hashlib.sha256(b"").hexdigest()
_WINDOW_BYTES = 4 << 20
_HEAD_BYTES = 65_536


class Transfer:
    """One keep-alive connection to a site. Blocks."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._socket = socket.create_connection(("127.0.0.1", site.port))

    def put(self, path: str, body: Path, payload: str, length: int | None = None) -> None:
        """PUT the first `length` bytes of a file. `payload` is what x-amz-content-sha256 says of them."""
        length = body.stat().st_size if length is None else length
        self._send_head("PUT", path, payload, length)
        with body.open("rb") as source:
            self._send(source.fileno(), length)
        self._read_head()

    def give_up(self, path: str, body: Path, length: int, sent: int, over: Callable[[], bool]) -> int:
        """Begin to PUT `length` bytes, a file's again and again, and go away after `sent` of them or when it is `over`.

        The bytes sent.
        """
        size, at = body.stat().st_size, 0
        self._send_head("PUT", path, UNSIGNED, length)
        with body.open("rb") as source:
            while at < sent and not over():
                self._send(source.fileno(), min(size, sent - at))
                at += size
        self._socket.close()
        return min(at, sent)

    def get(self, path: str, over: Callable[[], bool] = lambda: False) -> int:
        """GET and throw away, to the end or until it is `over`; the bytes received."""
        self._send_head("GET", path, _EMPTY, None)
        length, received = self._read_head()
        sink = bytearray(_WINDOW_BYTES)  # never touched: with MSG_TRUNC Linux drops what it would have copied
        while received < length and not over():
            taken = self._socket.recv_into(sink, 0, socket.MSG_TRUNC)
            if not taken:
                raise SystemExit(f"{self._site.name}: the body of {path} ended after {received} of {length} bytes")
            received += taken
        return received

    def close(self) -> None:
        self._socket.close()

    def _send(self, source: int, length: int) -> None:
        offset = 0
        while offset < length:
            offset += os.sendfile(self._socket.fileno(), source, offset, min(_WINDOW_BYTES, length - offset))

    def _send_head(self, method: str, path: str, payload: str, length: int | None) -> None:
        site = self._site
        lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{site.port}"]
        if site.secret:
            date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
            lines.append(f"Authorization: {authorization(site, method, Target(path), payload, date)}")
            lines += [f"x-amz-date: {date}", f"x-amz-content-sha256: {payload}"]
        if length is not None:
            lines.append(f"Content-Length: {length}")
        self._socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())

    def _read_head(self) -> tuple[int, int]:
        """(length of the body, bytes of it received already). Raises SystemExit for a refusal."""
        held = b""
        while b"\r\n\r\n" not in held:
            held += self._socket.recv(_HEAD_BYTES)
        head, _, rest = held.partition(b"\r\n\r\n")
        status, *fields = head.decode("latin-1").split("\r\n")
        if status.split()[1] != "200":
            raise SystemExit(f"{self._site.name}: {status}\n{rest.decode('latin-1')}")
        lengths = [field.split(":", 1)[1] for field in fields if field.lower().startswith("content-length:")]
        return int(lengths[0]) if lengths else 0, len(rest)
