"""How the suite speaks to a server: byte for byte, signed or not, with nothing but the standard library.

No client library stands between: what is tried are targets, headers and signatures that no client would send. One thread; each
call has a connection of its own.
"""

from __future__ import annotations

import http.client
import json
import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from isotherm.clock import Clock
from isotherm.errors import Unavailable
from isotherm.protocols.s3 import sigv4
from isotherm.protocols.s3.timestamps import render_basic

_REGION = "us-east-1"
_LIMIT_S = 30.0
_PASSING = frozenset(("date", "x-amz-request-id", "x-amz-id-2", "server", "content-length", "connection"))


@dataclass(frozen=True, slots=True)
class Pair:
    """A credential, as a client has it."""

    access_key: str
    secret: str


@dataclass(frozen=True, slots=True)
class Answer:
    """Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def good(self) -> bool:
        return 200 <= self.status < 300

    @property
    def told(self) -> Any:
        """The body as JSON; None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    def find(self, tag: str) -> str:
        """The text of the first element of that name in an XML body; empty where there is none."""
        _, _, rest = self.body.decode("utf-8", "replace").partition(f"<{tag}>")
        return rest.partition(f"</{tag}>")[0]

    def all(self, tag: str) -> list[str]:
        pieces = self.body.decode("utf-8", "replace").split(f"<{tag}>")[1:]
        return [piece.partition(f"</{tag}>")[0] for piece in pieces]

    def lasting(self, names: Mapping[str, str]) -> tuple[int, dict[str, str], str]:
        """What of it would be the same another time, with names replaced: without ids of requests and times."""
        body = self.body.decode("utf-8", "replace")
        for tag in ("RequestId", "HostId"):
            body = body.replace(f"<{tag}>{self.find(tag)}</{tag}>", "")
        headers = {name: value for name, value in self.headers.items() if name not in _PASSING}
        for name, other in names.items():
            for old, new in ((name, other), (quote(name, ""), quote(other, ""))):
                body = body.replace(old, new)
                headers = {header: value.replace(old, new) for header, value in headers.items()}
        return self.status, headers, body


def apart(one: Answer, other: Answer, names: Mapping[str, str]) -> str | None:
    """What tells two answers apart beside the names that were asked for; None where nothing does."""
    first, second = one.lasting(names), other.lasting(names)
    if first == second:
        return None
    for mine, theirs in zip(first, second, strict=True):
        if mine != theirs:
            return f"{_short(mine)} for what is there, {_short(theirs)} for what is not"
    return None


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 300 else text[:300] + "…"


@dataclass(frozen=True, slots=True)
class Target:
    """A server: the URLs of its two ports. `domains`: those that it takes hosts for buckets in. `tls`: what to trust, for https."""

    s3_url: str
    admin_url: str
    clock: Clock
    domains: tuple[str, ...] = ()
    tls: ssl.SSLContext | None = field(default=None, repr=False)

    @property
    def host(self) -> str:
        """Of the first port, as a Host header names it."""
        return urlsplit(self.s3_url).netloc

    def s3(
        self,
        pair: Pair | None,
        method: str,
        target: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """A request of S3's, signed by `pair` as it is sent; a `host` among the headers replaces the server's own."""
        sent = {"host": self.host, **(headers or {})}
        if pair is not None:
            moment = render_basic(self.clock.now_ms())
            sent |= {"x-amz-date": moment, "x-amz-content-sha256": sha256(body).hexdigest()}
            names = tuple(sorted(name for name in sent if name == "host" or name.startswith("x-amz-")))
            scope = f"{moment[:8]}/{_REGION}/s3/{sigv4.TERMINATOR}"
            signature = _sign(pair, method, target, sent, names, moment, scope, sent["x-amz-content-sha256"])
            sent["authorization"] = (
                f"{sigv4.ALGORITHM} Credential={pair.access_key}/{scope}, SignedHeaders={';'.join(names)}, "
                f"Signature={signature}"
            )
        return self._call(self.s3_url, method, target, body, sent)

    def presigned(self, pair: Pair, method: str, target: str, *, expires_s: int = 300, age_s: int = 0) -> str:
        """A target that carries its signature; `age_s`: so long ago."""
        moment = render_basic(self.clock.now_ms() - age_s * 1_000)
        scope = f"{moment[:8]}/{_REGION}/s3/{sigv4.TERMINATOR}"
        query = (
            f"X-Amz-Algorithm={sigv4.ALGORITHM}&X-Amz-Credential={quote(f'{pair.access_key}/{scope}', '')}"
            f"&X-Amz-Date={moment}&X-Amz-Expires={expires_s}&X-Amz-SignedHeaders=host"
        )
        target += ("&" if "?" in target else "?") + query
        payload = sigv4.UNSIGNED_PAYLOAD
        signature = _sign(pair, method, target, {"host": self.host}, ("host",), moment, scope, payload)
        return f"{target}&X-Amz-Signature={signature}"

    def admin(
        self,
        pair: Pair | None,
        method: str,
        target: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """A request to the second port; `body` is sent as JSON."""
        sent = {"host": urlsplit(self.admin_url).netloc, **(headers or {})}
        if pair is not None:
            token = b64encode(f"{pair.access_key}:{pair.secret}".encode()).decode()
            sent["authorization"] = f"Basic {token}"
        data = b"" if body is None else json.dumps(body).encode()
        if data:
            sent["content-type"] = "application/json"
        return self._call(self.admin_url, method, target, data, sent)

    def _call(self, url: str, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        split = urlsplit(url)
        kept: http.client.HTTPConnection
        if split.scheme == "https":
            kept = http.client.HTTPSConnection(split.netloc, timeout=_LIMIT_S, context=self.tls)
        else:
            kept = http.client.HTTPConnection(split.netloc, timeout=_LIMIT_S)
        try:
            kept.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
            for name, value in headers.items():
                kept.putheader(name, value)
            if body or method in ("PUT", "POST", "PATCH"):
                kept.putheader("content-length", str(len(body)))
            kept.endheaders(body or None)
            reply = kept.getresponse()
            told = {name.lower(): value for name, value in reply.getheaders()}
            return Answer(reply.status, told, reply.read())
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(f"{method} {url}: {error or type(error).__name__}") from error
        finally:
            kept.close()


def _sign(
    pair: Pair,
    method: str,
    target: str,
    headers: Mapping[str, str],
    names: tuple[str, ...],
    moment: str,
    scope: str,
    payload: str,
) -> str:
    path, _, query = target.partition("?")
    pairs = parse_qsl(query, keep_blank_values=True)
    canonical = "\n".join(
        (
            method,
            sigv4.canonical_path(path),
            sigv4.canonical_query(pairs),
            sigv4.canonical_headers(headers, names),
            "",
            ";".join(names),
            payload,
        )
    )
    text = sigv4.string_to_sign(f"{sigv4.ALGORITHM}\n{moment}\n{scope}\n", canonical)
    return sigv4.Signer(sigv4.signing_key(pair.secret, scope)).sign(text)
