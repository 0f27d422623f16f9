"""A client of the router: spells requests as the connection would and reads replies whole."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote
from xml.etree import ElementTree

from isotherm.devices.waiting import drive
from isotherm.objects.model import Body
from isotherm.objects.space import Space
from isotherm.protocols.s3.error_table import render_error
from isotherm.protocols.s3.router import dispatch
from isotherm.protocols.s3.wire import Facts, Ranged, Reply, Request

NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes
    reply: Reply
    operation: str

    @property
    def xml(self) -> ElementTree.Element:
        """The document, without namespaces."""
        root = ElementTree.fromstring(self.body)
        for element in root.iter():
            element.tag = element.tag.removeprefix(NAMESPACE)
        return root

    def text(self, path: str) -> str | None:
        return self.xml.findtext(path)

    def texts(self, path: str) -> list[str | None]:
        return [element.text for element in self.xml.findall(path)]

    @property
    def code(self) -> str:
        return self.reply.code


async def _pieces(data: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(data), size):
        yield data[at : at + size]


class Client:
    """Sends requests to `space` as its owner."""

    def __init__(self, space: Space, *, region: str = "us-east-1", owner: str = "owner-1") -> None:
        self.space = space
        self.region = region
        self.owner = owner

    def __call__(
        self,
        method: str,
        target: str,
        body: bytes = b"",
        *,
        trailers: dict[str, str] | None = None,
        piece_bytes: int = 65_536,
        sized: bool = True,
        **headers: str,
    ) -> Answer:
        """`target` is `/bucket/key?query`, percent-encoded; header names have _ for -."""
        return drive(self.call(method, target, body, trailers or {}, piece_bytes, sized, headers))

    async def call(self, method, target, body, trailers, piece_bytes, sized, headers) -> Answer:
        path, _, query = target.partition("?")
        bucket, _, key = unquote(path)[1:].partition("/")
        lower = {name.lower().replace("_", "-"): value for name, value in headers.items()}
        request = Request(
            id="REQUEST",
            method=method,
            path=unquote(path),
            bucket=bucket,
            key=key,
            query=dict(parse_qsl(query, keep_blank_values=True)),
            headers={"host": "localhost", "x-amz-date": "20260101T000000Z", **lower},
            body=Body(_pieces(body, piece_bytes), len(body) if sized else None),
            trailers=trailers,
            space=self.space,
            access_key="KEY",
            region=self.region,
            owner=self.owner,
        )
        try:
            reply = await dispatch(request)
        except Exception as error:
            reply = render_error(error, Facts("REQUEST", "HOST", method, path, bucket, key))
        return await self._read(request, reply)

    async def _read(self, request: Request, reply: Reply) -> Answer:
        content = reply.body
        if isinstance(content, Ranged):
            with content.reading as reading:
                content = b"".join([piece async for piece in reading.chunks(content.offset, content.length)])
        elif not isinstance(content, bytes):
            content = b"".join([piece async for piece in content])
        lines = [tuple(line.split(": ", 1)) for line in reply.lines.splitlines()]
        headers = {name.lower(): value for name, value in [*lines, *reply.headers]}
        assert len(headers) == len(lines) + len(reply.headers), "a header was given twice"
        assert all(value.encode("latin-1") is not None for value in headers.values())
        return Answer(reply.status, headers, content, reply, request.operation)
