"""The head of an HTTP/1 request: llhttp's strict reading of it, and what this server demands beyond.

A head is fed to llhttp whole and by itself, so that neither a body nor a pipelined request ever passes through it, and
the two of us cannot disagree on where a body begins. Whatever can be read in two ways is refused: a proxy in front might
take the other one (RFC 9112 §11.2).

A client that asks again and again sends the same headers again and again, but for their signature. They are read once: a
`Section` is what they say, and the connection's last one is taken again when the same bytes come again. llhttp still reads
every request line.

One `HeadParser` serves one connection, on its loop's thread. The functions are pure.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

import httptools

from isotherm.errors import Unsupported
from isotherm.protocols.s3 import refusals

if TYPE_CHECKING:
    from isotherm.protocols.s3.authentication import Signed

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
_MARK = "Signature="
_SEEN_BYTES_MOST = 2_048  # of a section that a connection keeps


class Section:
    """What the headers of a request say, by lower-case name, ISO 8859-1, repeated ones joined with ",". Nobody changes them.

    `authorization` is that header up to its signature, and is not among `headers`. `length` is the declared length of the body,
    None where there is none; `chunked`: its framing instead. `signed` is the authenticator's: what it has understood of them.
    """

    __slots__ = ("authorization", "chunked", "headers", "length", "signed")

    headers: dict[str, str]
    authorization: str
    length: int | None
    chunked: bool
    signed: Signed | None


class Head:
    """A request's head. `path` and `query` are raw. `headers` are those of `section`: who changes them puts a copy in their
    place. `signature` is what ends the Authorization header.
    """

    __slots__ = (
        "chunked",
        "headers",
        "keep_alive",
        "length",
        "method",
        "path",
        "query",
        "section",
        "signature",
        "version",
    )

    method: str
    path: str
    query: str
    version: str
    section: Section
    headers: dict[str, str]
    signature: str
    length: int | None
    chunked: bool
    keep_alive: bool


class _Seen:
    """A section that may come again: its bytes before and after the signature, which has none where nothing is signed."""

    __slots__ = ("after", "before", "begin", "end", "section", "signed")

    def __init__(self, raw: bytes, cut: int, section: Section, signature: str) -> None:
        ending = f"{_MARK}{signature}\r\n".encode("latin-1")
        at = raw.find(ending) + len(_MARK) if signature else len(raw)
        end = at + len(signature)
        self.before = raw[cut:at]
        self.after = raw[end:]
        self.begin = at - cut
        self.end = end - cut
        self.signed = bool(signature)
        self.section = section


class HeadParser:
    """Reads heads, one after another.

    The common head is taken by `dict.setdefault` itself as llhttp's callback; one that repeats a name is read again by
    `_Careful`.
    """

    __slots__ = ("_fields", "_most", "_parser", "_seen", "on_header")

    def __init__(self, headers_most: int) -> None:
        self._most = headers_most
        self._fields: dict[bytes, bytes] = {}
        self.on_header = self._fields.setdefault
        self._parser: Any = None
        self._seen: _Seen | None = None

    def parse(self, raw: bytes) -> Head:
        """Read one head, from its request line to its empty line.

        Raises:
            Invalid: BadRequest, RequestHeaderSectionTooLarge; Unsupported for a transfer coding or an HTTP version.
        """
        cut = raw.find(b"\r\n")
        seen = self._seen
        if seen is not None:
            begin, end = cut + seen.begin, cut + seen.end
            signature = raw[begin:end]
            # a signature of letters and digits alone cannot end its line and begin another
            if raw[cut:begin] == seen.before and raw[end:] == seen.after and signature.isalnum() is seen.signed:
                head = self._again(raw[:cut], seen.section, signature)
                if head is not None:
                    return head
        return self._anew(raw, cut)

    def _again(self, line: bytes, section: Section, signature: bytes) -> Head | None:
        """The head of a request line and a section that is known. None where the line says more than what is asked for."""
        if line[-9:] != b" HTTP/1.1":
            return None
        parser, self._parser = self._parser, None
        if not _feed(parser, line + b"\r\n\r\n"):
            return None
        self._parser = parser
        return _head(line, section, signature.decode())

    def _anew(self, raw: bytes, cut: int) -> Head:
        fields = self._fields
        fields.clear()
        parser = self._parser
        if parser is None:
            parser = httptools.HttpRequestParser(self)
        # kept only where the message is known to have ended with its head
        self._parser = self._seen = None
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
        signature = headers.get("authorization", "").rpartition(_MARK)[2]
        section = _section(headers, signature)
        head = _head(raw[:cut], section, signature)
        if whole and head.keep_alive and not head.length and not head.chunked:
            self._parser = parser
            if head.version == "1.1" and len(raw) - cut <= _SEEN_BYTES_MOST and _ends_once(raw, section, signature):
                self._seen = _Seen(raw, cut, section, signature)
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


def _section(headers: dict[str, str], signature: str) -> Section:
    section = Section()
    host = headers.get("host")
    if host is None or _HOST(host) is None:
        raise refusals.bad_request("one valid Host header is required")
    section.headers = headers
    section.authorization = headers.pop("authorization", "").removesuffix(signature)
    section.chunked = False
    section.length = None
    section.signed = None
    length = headers.get("content-length")
    if length is not None:
        section.length = _length(length)
    elif "transfer-encoding" in headers:
        if headers["transfer-encoding"].lower() != "chunked":
            raise refusals.not_implemented("Transfer-Encoding")
        section.chunked = True
    return section


def _ends_once(raw: bytes, section: Section, signature: str) -> bool:
    """Whether the signature, if there is one, ends a line that no other ends as."""
    if not section.authorization and not signature:
        return True
    ending = f"{_MARK}{signature}\r\n".encode("latin-1")
    return section.authorization.endswith(_MARK) and signature.isalnum() and raw.count(ending) == 1


def _head(line: bytes, section: Section, signature: str) -> Head:
    words = line.decode("latin-1").split(" ")
    if len(words) != 3:
        raise refusals.bad_request("the request line is not of the form METHOD TARGET HTTP/1.1")
    head = Head()
    head.method, target, version = words
    if version != "HTTP/1.1" and version != "HTTP/1.0":
        raise Unsupported("This server speaks HTTP/1.1.")
    if target[:1] != "/" or "#" in target:
        raise refusals.bad_request("the request target must be a path")
    head.version = version = version[5:]
    head.path, _, head.query = target.partition("?")
    head.section = section
    head.headers = headers = section.headers
    head.signature = signature
    head.keep_alive = _keep_alive(headers.get("connection"), version)
    head.length = section.length
    head.chunked = section.chunked
    if head.chunked and version == "1.0":
        raise refusals.bad_request("HTTP/1.0 knows no Transfer-Encoding")
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
