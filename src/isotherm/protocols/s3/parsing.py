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

from isotherm.errors import IsothermError, Unsupported
from isotherm.protocols.s3 import refusals

_ONCE = frozenset(
    {"host", "content-length", "transfer-encoding", "authorization", "content-type", "expect", "date"}
    | {"x-amz-date", "x-amz-content-sha256", "x-amz-decoded-content-length", "x-amz-security-token"}
)
_HOST = re.compile(r"[A-Za-z0-9._\-]+(:[0-9]{0,5})?|\[[0-9A-Fa-f:.]+\](:[0-9]{0,5})?").fullmatch
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})").search
_LENGTH_DIGITS_MOST = 18


class Head:
    """A request's head. `target` is raw; `headers` by lower-case name, ISO 8859-1, repeated ones joined with ",".

    `length` is the declared length of the body, None where there is none; `chunked`: its framing instead.
    """

    __slots__ = ("chunked", "headers", "keep_alive", "length", "method", "path", "query", "target", "version")

    method: str
    target: str
    path: str
    query: str
    version: str
    headers: dict[str, str]
    length: int | None
    chunked: bool
    keep_alive: bool


class HeadParser:
    """Reads heads, one after another."""

    __slots__ = ("_complete", "_count", "_headers", "_most", "_parser", "_refusal", "_target")

    def __init__(self, headers_most: int) -> None:
        self._most = headers_most
        self._parser: Any = None

    def parse(self, raw: bytes) -> Head:
        """Read one head, from its request line to its empty line.

        Raises:
            Invalid: BadRequest, RequestHeaderSectionTooLarge; Unsupported for a transfer coding or an HTTP version.
        """
        parser = self._parser
        if parser is None:
            parser = httptools.HttpRequestParser(self)
        self._parser = None  # kept only where the message is known to have ended with its head
        self._target = b""
        self._headers: dict[str, str] = {}
        self._count = 0
        self._complete = False
        self._refusal: IsothermError | None = None
        try:
            parser.feed_data(raw)
        except httptools.HttpParserUpgrade:
            self._complete = False  # an offer to change protocols may be ignored (RFC 9110 §7.8)
        except httptools.HttpParserError as error:
            raise self._refusal or refusals.bad_request(str(error) or "malformed") from None
        if self._refusal is not None:
            raise self._refusal
        head = self._head(parser, raw)
        if self._complete and head.keep_alive:
            self._parser = parser
        return head

    def _head(self, parser: Any, raw: bytes) -> Head:
        head = Head()
        method = parser.get_method()
        version = parser.get_http_version()
        if not raw.startswith(b"%b %b HTTP/" % (method, self._target)):
            raise refusals.bad_request("the request line is not of the form METHOD TARGET HTTP/1.1")
        if version != "1.1" and version != "1.0":
            raise Unsupported("This server speaks HTTP/1.1.")
        target = self._target.decode("latin-1")
        if target[:1] != "/" or "#" in target:
            raise refusals.bad_request("the request target must be a path")
        headers = self._headers
        host = headers.get("host")
        if host is None or _HOST(host) is None:
            raise refusals.bad_request("one valid Host header is required")
        head.method = method.decode()
        head.target = target
        head.path, _, head.query = target.partition("?")
        head.version = version
        head.headers = headers
        head.keep_alive = parser.should_keep_alive()
        head.chunked = False
        head.length = None
        length = headers.get("content-length")
        if length is not None:
            head.length = _length(length)
        elif "transfer-encoding" in headers:
            _demand_chunked(headers["transfer-encoding"], version)
            head.chunked = True
        return head

    def on_url(self, target: bytes) -> None:
        self._target += target

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count += 1
        if self._count > self._most:
            self._refusal = refusals.head_too_large()
            return
        key = name.lower().decode("latin-1")
        text = value.decode("latin-1")
        if text[-1:] in (" ", "\t"):
            text = text.rstrip(" \t")
        headers = self._headers
        if key in headers:
            if key in _ONCE:
                self._refusal = refusals.bad_request(f"{key} was given twice")
            headers[key] += "," + text
        else:
            headers[key] = text

    def on_message_complete(self) -> None:
        self._complete = True


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
