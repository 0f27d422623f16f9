"""S3 over a bare socket: signed requests, replies, and connections that are cut at a chosen place.

A client like this costs little beside the server, tries nothing again, and knows how much of a request has been sent.
"""

from __future__ import annotations

import hashlib
import hmac
import socket
import struct
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

SCOPE = "us-east-1/s3/aws4_request"
RESET = struct.pack("ii", 1, 0)


class Lost(Exception):
    """The connection ended before the reply was there: nobody knows what became of the request."""


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: dict
    body: bytes


class Connection:
    """One connection to one gateway. Raises OSError where none can be made."""

    def __init__(self, url, credential, patience_s):
        parts = urlsplit(url)
        self.host = parts.netloc
        self.credential = credential
        self.socket = socket.create_connection((parts.hostname, parts.port), timeout=30)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(patience_s)
        self.pending = b""

    def ask(self, method, target, headers=None, body=b""):
        """The reply. Raises Lost."""
        try:
            self.socket.sendall(self.signed(method, target, headers or {}, body))
            return self.reply(method)
        except (OSError, ValueError) as error:
            self.close()
            raise Lost(str(error)) from error

    def send_and_cut(self, method, target, headers, body, part=None):
        """Send a request, or its head and `part` bytes of its body, and reset the connection."""
        request = self.signed(method, target, headers, body)
        if part is not None:
            request = request[: len(request) - len(body) + part]
        try:
            self.socket.sendall(request)
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        except OSError:
            pass
        self.close()

    def close(self):
        self.socket.close()

    def signed(self, method, target, headers, body):
        path, _, query = target.partition("?")
        payload = hashlib.sha256(body).hexdigest()
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        signed = {"host": self.host, "x-amz-content-sha256": payload, "x-amz-date": moment, **headers}
        names = ";".join(sorted(signed))
        lines = "".join(f"{name}:{signed[name]}\n" for name in sorted(signed))
        canonical = f"{method}\n{path}\n{query}\n{lines}\n{names}\n{payload}"
        day = moment[:8]
        text = f"AWS4-HMAC-SHA256\n{moment}\n{day}/{SCOPE}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        key = f"AWS4{self.credential.secret}".encode()
        for part in (day, *SCOPE.split("/")):
            key = hmac.digest(key, part.encode(), "sha256")
        signature = hmac.digest(key, text.encode(), "sha256").hex()
        who = f"{self.credential.access_key}/{day}/{SCOPE}"
        signed["authorization"] = f"AWS4-HMAC-SHA256 Credential={who}, SignedHeaders={names}, Signature={signature}"
        if body or method in ("PUT", "POST"):
            signed["content-length"] = str(len(body))
        lines = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
        return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + body

    def reply(self, method):
        while (end := self.pending.find(b"\r\n\r\n")) < 0:
            self.receive()
        first, *lines = self.pending[:end].decode("latin-1").split("\r\n")
        self.pending = self.pending[end + 4 :]
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        status = int(first.split()[1])
        length = 0 if method == "HEAD" or status in (204, 304) else int(headers["content-length"])
        while len(self.pending) < length:
            self.receive()
        body, self.pending = self.pending[:length], self.pending[length:]
        if headers.get("connection") == "close":
            self.close()
        return Reply(status, headers, body)

    def receive(self):
        received = self.socket.recv(1 << 20)
        if not received:
            raise Lost("the server ended the connection")
        self.pending += received

    @property
    def closed(self):
        return self.socket.fileno() < 0
