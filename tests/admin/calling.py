"""The administrative API called inside the test's own process, byte for byte as a server would call it, on a real store."""

import asyncio
import base64
import json
from dataclasses import dataclass, field
from functools import partial

from isotherm.clock import VirtualClock
from isotherm.ids import SeededIds
from isotherm.movers.counting import all_counted
from isotherm.protocols.admin.operation import Administration
from isotherm.protocols.admin.rest import AdminApi
from isotherm.telemetry import Level, Log
from isotherm.tenancy.audit.log import AuditLog
from isotherm.tenancy.audit.recorder import Recorder


@dataclass
class Answer:
    status: int = 0
    headers: dict = field(default_factory=dict)
    body: bytes = b""

    @property
    def told(self):
        return json.loads(self.body) if self.body else None


class Api:
    """Calls as whoever holds a credential."""

    def __init__(self, forest):
        self.forest = forest
        log = Log("test", VirtualClock(), least=Level.ERROR)
        on = Administration(
            tenants=forest.tenants,
            register=forest.credentials,
            audit=AuditLog(forest.meta),
            erasures=forest.erasures,
            grants=forest.grants,
            all_counted=partial(all_counted, forest.meta),
        )
        self.recorder = Recorder(forest.meta, forest.clock, SeededIds(4))
        self.app = AdminApi(on, forest.credentials, self.recorder, log, "0")

    def __call__(self, credential, method, target, body=None, *, headers=None, pieces=1):
        """`body`: bytes as they are, or a value to be sent as JSON."""
        sent = {"content-type": "application/json"} if body is not None else {}
        if credential is not None:
            pair = f"{credential.access_key}:{credential.secret}".encode()
            sent["authorization"] = "Basic " + base64.b64encode(pair).decode()
        sent |= headers or {}
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return asyncio.run(self._call(method, target, sent, data, pieces))

    async def _call(self, method, target, headers, data, pieces):
        raw_path, _, query = target.encode("latin-1").partition(b"?")
        scope = {
            "type": "http",
            "method": method,
            "raw_path": raw_path,
            "path": "",  # a server decodes it; the application must not look at it
            "query_string": query,
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
            "server": ("test", 80),
            "scheme": "http",
            "client": ("192.0.2.7", 4711),
        }
        size = -(-len(data) // pieces) or 1
        parts = [data[at : at + size] for at in range(0, len(data), size)] or [b""]
        answer = Answer()

        async def receive():
            if not parts:
                return {"type": "http.disconnect"}
            part = parts.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(parts)}

        async def send(message):
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                answer.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            else:
                answer.body += message.get("body", b"")

        await self.app(scope, receive, send)
        return answer
