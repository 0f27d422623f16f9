"""The head of an HTTP/1 request: llhttp's strict reading of it, and what this server demands beyond.

A head is fed to llhttp whole and by itself, so that neither a body nor a pipelined request ever passes through it, and
the two of us cannot disagree on where a body begins. Whatever can be read in two ways is refused: a proxy in front might
take the other one (RFC 9112 §11.2).

One `HeadParser` serves one connection, on its loop's thread. The functions are pure.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote_to_bytes

import httptools

from isotherm.errors import Unsupported
from isotherm.protocols.s3 import refusals

_ONCE = frozenset(
    {"host", "content-length", "transfer-encoding", "authorization", "content-type", "expect", "date"}
    | {"x-amz-date", "x-amz-content-sha256", "x-amz-decoded-content-length", "x-amz-security-token"}
)
_COMMON_NAMES = [
    "Accept",
    "Accept-Encoding",
    "Amz-Sdk-Invocation-Id",
    "Amz-Sdk-Request",
    "Authorization",
    "Connection",
    "Content-Encoding",
    "Content-Length",
    "Content-MD5",
    "Content-Type",
    "Date",
    "Expect",
    "Host",
    "If-Match",
    "If-None-Match",
    "Range",
    "Transfer-Encoding",
    "User-Agent",
    "X-Amz-Content-Sha256",
    "X-Amz-Date",
    "X-Amz-Decoded-Content-Length",
    "X-Amz-Trailer",
    "X-Amz-Checksum-Crc32",
    "X-Amz-Sdk-Checksum-Algorithm",
]
_COMMON = {spelt.encode(): name.lower() for name in _COMMON_NAMES for spelt in (name, name.lower())}
_HOST = re.compile(r"[A-Za-z0-9._\-]+(:[0-9]{0,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{0,5})?").fullmatch
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})").search
_LENGTH_DIGITS_MOST = 18


class Head:
    """A request's head. `path` and `query` are raw; `headers` by lower-case name, ISO 8859-1, repeated ones joined with ",".

    `length` is the declared length of the body, None where there is none; `chunked`: its framing instead.
    """

    __slots__ = ("chunked", "headers", "keep_alive", "length", "method", "path", "query", "version")

    method: str
    path: str
    query: str
    version: str
    headers: dict[str, str]
    length: int | None
    chunked: bool
    keep_alive: bool


class HeadParser:
    """Reads heads, one after another.

    The common head is taken by `dict.setdefault` itself as llhttp's callback; one that repeats a name is read again by
    `_Careful`.
    """

    __slots__ = ("_fields", "_most", "_parser", "on_header")

    def __init__(self, headers_most: int) -> None:
        self._most = headers_most
        self._fields: dict[bytes, bytes] = {}
        self.on_header = self._fields.setdefault
        self._parser: Any = None

    def parse(self, raw: bytes) -> Head:
        """Read one head, from its request line to its empty line.

        Raises:
            Invalid: BadRequest, RequestHeaderSectionTooLarge; Unsupported for a transfer coding or an HTTP version.
        """
        fields = self._fields
        fields.clear()
        parser = self._parser
        if parser is None:
            parser = httptools.HttpRequestParser(self)
        self._parser = None  # kept only where the message is known to have ended with its head
        whole = _feed(parser, raw)
        count = raw.count(b"\n") - 2
        if count > self._most:
            raise refusals.head_too_large()
        headers = {
            _COMMON.get(name) or name.lower().decode("latin-1"): value.rstrip().decode("latin-1")
            for name, value in fields.items()
        }
        if len(headers) != count:
            headers = _Careful().read(raw)
        head = _head(raw, headers)
        if whole and head.keep_alive and not head.length and not head.chunked:
            self._parser = parser
        return head


class _Careful:
    """Reads the headers of a head that llhttp has accepted, with all their repetitions."""

    __slots__ = ("_headers",)

    def __init__(self) -> None:
        self._headers: dict[str, list[str]] = {}

    def read(self, raw: bytes) -> dict[str, str]:
        _feed(httptools.HttpRequestParser(self), raw)
        for name, values in self._headers.items():
            if len(values) > 1 and name in _ONCE:
                raise refusals.bad_request(f"{name} was given twice")
        return {name: ",".join(values) for name, values in self._headers.items()}

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.setdefault(name.lower().decode("latin-1"), []).append(value.decode("latin-1").strip(" \t"))


def _feed(parser: Any, raw: bytes) -> bool:
    """False where the client offers to change protocols, which may be ignored (RFC 9110 §7.8)."""
    try:
        parser.feed_data(raw)
    except httptools.HttpParserUpgrade:
        return False
    except httptools.HttpParserError as error:
        raise refusals.bad_request(str(error) or "malformed") from None
    return True


def _head(raw: bytes, headers: dict[str, str]) -> Head:
    words = raw[: raw.find(b"\r\n")].decode("latin-1").split(" ")
    if len(words) != 3:
        raise refusals.bad_request("the request line is not of the form METHOD TARGET HTTP/1.1")
    head = Head()
    head.method, target, version = words
    if version != "HTTP/1.1" and version != "HTTP/1.0":
        raise Unsupported("This server speaks HTTP/1.1.")
    head.version = version[5:]
    if target[:1] != "/" or "#" in target:
        raise refusals.bad_request("the request target must be a path")
    host = headers.get("host")
    if host is None or _HOST(host) is None:
        raise refusals.bad_request("one valid Host header is required")
    head.path, _, head.query = target.partition("?")
    head.headers = headers
    head.keep_alive = _keep_alive(headers.get("connection"), head.version)
    head.chunked = False
    head.length = None
    length = headers.get("content-length")
    if length is not None:
        head.length = _length(length)
    elif "transfer-encoding" in headers:
        _demand_chunked(headers["transfer-encoding"], head.version)
        head.chunked = True
    return head


def _keep_alive(connection: str | None, version: str) -> bool:
    if connection is None:
        return version == "1.1"
    words = {word.strip(" \t") for word in connection.lower().split(",")}
    return "close" not in words and (version == "1.1" or "keep-alive" in words)


def _length(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > _LENGTH_DIGITS_MOST:
        raise refusals.bad_request("Content-Length is not a number of bytes")
    return int(text)


def _demand_chunked(coding: str, version: str) -> None:
    if version == "1.0":
        raise refusals.bad_request("HTTP/1.0 knows no Transfer-Encoding")
    if coding.lower() != "chunked":
        raise refusals.not_implemented("Transfer-Encoding")


def decoded(text: str) -> str:
    """Percent-decoded UTF-8.

    Raises:
        Invalid: InvalidURI.
    """
    if "%" not in text:
        if text.isascii():
            return text
        raise refusals.bad_uri()
    if _BAD_ESCAPE(text) is not None:
        raise refusals.bad_uri()
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise refusals.bad_uri() from None


def decoded_query(raw: str) -> list[tuple[str, str]]:
    """Names and values in the order they came; "+" is a space, as in forms. A bare name has the value "".

    Raises:
        Invalid: InvalidURI.
    """
    if "+" in raw:
        raw = raw.replace("+", " ")
    pairs = []
    for item in raw.split("&"):
        if item:
            name, _, value = item.partition("=")
            pairs.append((decoded(name), decoded(value)))
    return pairs


def bucket_of_host(host: str, domains: tuple[str, ...]) -> str:
    """The bucket that a virtual-host style Host names, else ""."""
    if not domains:
        return ""
    name = host.lower()
    if name[-1:] != "]":
        name = name.rpartition(":")[0] or name
    for domain in domains:
        if name.endswith(domain) and name[-len(domain) - 1 : -len(domain)] == ".":
            return name[: -len(domain) - 1]
    return ""
