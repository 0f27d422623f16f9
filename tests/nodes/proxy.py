"""An HTTP proxy in front of a bucket that fails on request: down, slow, erring, cutting bodies off, flipping bits.

Real connections and real responses: what stands behind it is a server, what asks is the product. Faults are attributes, to be
set between or during requests, from any thread.
"""

from __future__ import annotations

import http.client
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_PASSED_ON = {"connection", "transfer-encoding", "content-length"}


class FaultyProxy:
    """Use it with `with`; `url` is where it listens.

    `down`: connections are closed without an answer. `errors`: so many requests are answered by 503 first. `held`: requests
    wait until it is set again. `cut`: so many bodies of segments end in the middle. `flips`: in so many of them a bit is
    inverted. Each is counted down to 0; -1 never ends. `seen`: (method, path) of all requests.
    """

    def __init__(self, target):
        parts = urlsplit(target)
        self.host, self.port = parts.hostname, parts.port
        self.down = False
        self.errors = 0
        self.cut = 0
        self.flips = 0
        self.held = threading.Event()
        self.held.set()
        self.waiting = threading.Semaphore(0)
        self.seen = []
        self._lock = threading.Lock()
        proxy = self

        class Connection(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_any(self):
                proxy.handle(self)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = handle_any

            def log_message(self, *_):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Connection)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self):
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc):
        self.held.set()
        self._server.shutdown()
        self._server.server_close()

    def take(self, name):
        """Whether this request is to suffer the fault `name`."""
        with self._lock:
            left = getattr(self, name)
            if left > 0:
                setattr(self, name, left - 1)
            return left != 0

    def handle(self, request):
        self.seen.append((request.command, request.path))
        body = request.rfile.read(int(request.headers.get("Content-Length", 0)))
        if not self.held.is_set():
            self.waiting.release()
            self.held.wait()
        if self.down:
            request.close_connection = True
            return
        if self.take("errors"):
            request.send_response(503)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        try:
            self._forward(request, body)
        except OSError:
            request.close_connection = True

    def _forward(self, request, body):
        connection = http.client.HTTPConnection(self.host, self.port)
        try:
            connection.putrequest(request.command, request.path, skip_host=True, skip_accept_encoding=True)
            for name, value in request.headers.items():
                connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        of_segment = request.command == "GET" and ".seg" in request.path and len(data) > 1
        if of_segment and self.take("flips"):
            middle = len(data) // 2
            data = data[:middle] + bytes((data[middle] ^ 1,)) + data[middle + 1 :]
        request.send_response(answer.status)
        length = len(data) if request.command != "HEAD" else int(answer.headers.get("Content-Length", 0))
        for name, value in answer.headers.items():
            if name.lower() not in _PASSED_ON:
                request.send_header(name, value)
        request.send_header("Content-Length", str(length))
        request.end_headers()
        if of_segment and self.take("cut"):
            data = data[: len(data) // 2]
            request.close_connection = True
        with suppress(OSError):
            request.wfile.write(data)
