"""The head of a reply as bytes. Pure."""

from __future__ import annotations

from http import HTTPStatus

from isotherm.protocols.s3.wire import Ranged, Reply

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus if status.value >= 200
}
_BODILESS = (204, 304)
_BREAKS = str.maketrans({"\r": " ", "\n": " ", "\0": " "})


def length_of(reply: Reply, method: str) -> int | None:
    """Of the body, as Content-Length tells it; None for one sent in chunks."""
    body = reply.body
    if isinstance(body, bytes):
        return reply.length if method == "HEAD" and reply.length is not None else len(body)
    return body.length if isinstance(body, Ranged) else reply.length


def has_body(method: str, status: int) -> bool:
    return method != "HEAD" and status not in _BODILESS


def render_head(reply: Reply, method: str, request_id: str, preamble: str, *, version: str, close: bool) -> bytes:
    """From the status line to the empty line.

    `version` is the request's: to HTTP/1.0, a body without a length is sent up to the connection's end.
    """
    headers = reply.headers
    lines = ""
    if headers:
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
        if lines.count("\n") != len(headers) or "\0" in lines:
            # Metadata that came through another door than HTTP may hold anything; a header may not.
            lines = "".join([f"{f'{name}: {value}'.translate(_BREAKS)}\r\n" for name, value in headers])
    length = length_of(reply, method)
    if reply.status in _BODILESS or (method == "HEAD" and not length and reply.length is None):
        framing = ""
    elif length is not None:
        framing = f"Content-Length: {length}\r\n"
    else:
        framing = "Transfer-Encoding: chunked\r\n" if version == "1.1" else ""
    if close:
        framing += "Connection: close\r\n"
    elif version == "1.0":
        framing += "Connection: keep-alive\r\n"
    status_line = _STATUS_LINES.get(reply.status) or f"HTTP/1.1 {reply.status} Unknown\r\n"
    head = f"{status_line}{preamble}x-amz-request-id: {request_id}\r\n{reply.lines}{lines}{framing}\r\n"
    try:
        return head.encode("latin-1")
    except UnicodeEncodeError:
        return head.encode("utf-8", "replace")
