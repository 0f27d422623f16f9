"""One connection in this process: its own loop, a socket pair, a clock that stands still, and a dispatch given by the test."""

import asyncio
import hashlib
import hmac
import io
import json
import socket
from dataclasses import dataclass, field

import uvloop

from isotherm.clock import VirtualClock
from isotherm.errors import NotFound
from isotherm.ids import SeededIds
from isotherm.protocols.s3.access_log import AccessLog
from isotherm.protocols.s3.connection import S3Connection
from isotherm.protocols.s3.counters import Counters
from isotherm.protocols.s3.endpoint import S3Endpoint
from isotherm.protocols.s3.error_table import status_and_code
from isotherm.protocols.s3.limits import S3Settings
from isotherm.protocols.s3.roster import Roster
from isotherm.protocols.s3.wire import Reply
from isotherm.telemetry import Log
from isotherm.tenancy.identity import Credential
from isotherm.tenancy.tree import TenantState

ACCESS, SECRET, TENANT = "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", 7
DATE = "20231114T221320Z"  # what a VirtualClock begins with
EMPTY = hashlib.sha256(b"").hexdigest()


class Keys:
    """Credentials that a test may change."""

    def __init__(self):
        self.active = {
            ACCESS: Credential(ACCESS, SECRET, TENANT),
            OTHER_ACCESS: Credential(OTHER_ACCESS, SECRET, OTHER),
        }

    def find(self, access_key):
        return self.active.get(access_key)


OTHER_ACCESS, OTHER = "AKIDNEIGHBOUR", 9


class Generations:
    """As if something changed all the time."""

    number = 0

    async def renew(self):
        self.number += 1
        return self.number


class Promises:
    """What tenants are promised, and how they stand, as a test says; in the place of what is read from a store."""

    def __init__(self, **contracts):
        self.lines, self.states = {}, {}
        self.generation = Generations()
        for name, contract in contracts.items():
            self.promise(int(name.removeprefix("t")), contract)

    def promise(self, tenant, contract, above=()):
        self.lines[tenant] = (*above, (str(tenant), contract))

    async def of(self, tenant):
        return self.states.get(tenant, TenantState.ACTIVE), 0.0


def render(error, facts):
    """Errors as one line of JSON: what a test wants to see of them."""
    status, code = status_and_code(error)
    detail = {name: str(value) for name, value in getattr(error, "detail", {}).items()}
    told = {"code": code, "message": str(error), "request": facts.id, "path": facts.path, **detail}
    return Reply(status, [], json.dumps(told).encode(), code=code)


async def echo(request):
    """Tells what it was asked; a body comes back as it went in."""
    request.operation = "GetObject"
    body = b"".join([bytes(piece) async for piece in request.body.pieces])
    headers = [("x-bucket", request.bucket), ("x-key", request.key.encode().hex()), ("x-size", str(request.body.size))]
    return Reply(200, headers, body)


async def missing(request):
    raise NotFound("no such key", Key=request.key)


def sign(
    method, target, headers=None, body=b"", *, payload=None, date=DATE, access=ACCESS, secret=SECRET, region="eu-x-1"
):
    """A request with an Authorization header, as bytes. `target` must be canonical already."""
    payload = payload or hashlib.sha256(body).hexdigest()
    headers = {"host": "s3.test", "x-amz-date": date, "x-amz-content-sha256": payload, **(headers or {})}
    signed = {name.lower(): value for name, value in headers.items() if value is not None}
    names = sorted(signed)
    path, _, query = target.partition("?")
    lines = "".join(f"{name}:{signed[name]}\n" for name in names)
    canonical = f"{method}\n{path}\n{query}\n{lines}\n{';'.join(names)}\n{payload}"
    scope = f"{date[:8]}/{region}/s3/aws4_request"
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, text.encode(), "sha256").hex()
    signed["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={access}/{scope}, SignedHeaders={';'.join(names)}, Signature={signature}"
    )
    if (body and "transfer-encoding" not in signed) or method == "PUT":
        signed.setdefault("content-length", str(len(body)))
    lines = "".join(f"{name}: {value}\r\n" for name, value in signed.items())
    return f"{method} {target} HTTP/1.1\r\n{lines}\r\n".encode() + body


@dataclass
class Answer:
    status: int
    headers: dict
    body: bytes

    @property
    def code(self):
        return json.loads(self.body)["code"]


def answers(data, methods=()):
    """Split a stream of replies. `methods`: those of the requests, where HEAD is among them."""
    stream, found = io.BytesIO(data), []
    while (line := stream.readline()) != b"":
        assert line.startswith(b"HTTP/1.1 "), line
        status = int(line.split()[1])
        headers = {}
        while (line := stream.readline()) != b"\r\n":
            assert line.endswith(b"\r\n"), "a reply's head is cut off"
            name, _, value = line[:-2].decode("latin-1").partition(": ")
            headers[name.lower()] = value
        if status == 100:
            continue
        method = methods[len(found)] if methods else "GET"
        body = b""
        if method == "HEAD" or status in (204, 304):
            pass
        elif headers.get("transfer-encoding") == "chunked":
            while size := int(stream.readline(), 16):
                body += stream.read(size)
                assert stream.readline() == b"\r\n"
            assert stream.readline() == b"\r\n"
        elif "content-length" in headers:
            body = stream.read(int(headers["content-length"]))
            assert len(body) == int(headers["content-length"]), "a reply's body is cut off"
        else:
            body = stream.read()
        found.append(Answer(status, headers, body))
    return found


@dataclass
class Wire:
    """A server side, and clients of it."""

    dispatch: object = echo
    settings: S3Settings = field(default_factory=S3Settings)
    keys: Keys = field(default_factory=Keys)
    clock: VirtualClock = field(default_factory=VirtualClock)
    said: list = field(default_factory=list)
    lines: io.BytesIO = field(default_factory=io.BytesIO)
    gate: object = None

    def __post_init__(self):
        self.counters = Counters()
        self.access_log = AccessLog(self.lines)
        self.roster = Roster(0.0)
        self.endpoint = S3Endpoint(
            credentials=self.keys,
            space_of=lambda tenant: f"space of {tenant}",
            owner_of=lambda tenant: f"owner {tenant}",
            dispatch=self.dispatch,
            render_error=render,
            settings=self.settings,
            clock=self.clock,
            ids=SeededIds(1),
            log=Log("test", self.clock, write=self.said.append),
            counters=self.counters,
            access_log=self.access_log,
            gate=self.gate,
        )

    def connection(self):
        return S3Connection(self.endpoint, self.roster)

    async def connect(self):
        """(reader, writer) of a client whose connection is served on this loop."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        await asyncio.get_running_loop().connect_accepted_socket(self.connection, ours)
        return await asyncio.open_connection(sock=theirs)

    async def converse(self, *pieces):
        """Send pieces, one after the other, then read to the end."""
        reader, writer = await self.connect()
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        writer.write_eof()
        data = await reader.read()
        writer.close()
        return data

    def logged(self):
        self.endpoint.turn.end()
        self.access_log.flush()
        return [json.loads(line) for line in self.lines.getvalue().splitlines()]


HANGS_S = 20  # uvloop keeps pytest's own time-out from interrupting it


def run(coroutine):
    """Run to the end on a loop of its own; a conversation that hangs fails."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asyncio.wait_for(coroutine, HANGS_S))


def talk(*pieces, methods=(), **settings):
    """The answers of one connection to `pieces`."""
    return answers(run(Wire(**settings).converse(*pieces)), methods)
