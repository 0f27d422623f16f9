"""The administrative API over HTTP: routes, decoding, permission and rendering, all from the table of operations.

An ASGI application for everything below /v1 but the feed. Paths are split before they are percent-decoded, so that a tenant's
path is one segment. Who asks is proved by HTTP basic authentication and never taken from the request otherwise; a
credential whose tenant is suspended is refused before anything is looked at. Used on one event loop.
"""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from isotherm.errors import Invalid, NotFound
from isotherm.protocols.admin.authentication import Credentials, authenticate
from isotherm.protocols.admin.decoding import BODY_BYTES_MOST, body_of, query_of, segments_of
from isotherm.protocols.admin.openapi import document
from isotherm.protocols.admin.operation import Administration, Answer, Call, Operation
from isotherm.protocols.admin.operations import OPERATIONS
from isotherm.protocols.admin.problems import MEDIA_TYPE, problem
from isotherm.telemetry import Log
from isotherm.tenancy.audit.recorder import Recorder
from isotherm.tenancy.register import Credential
from isotherm.tenancy.roles import Caller, demand_role
from isotherm.tenancy.tree import TenantState

DOCUMENT_PATH = "/v1/openapi.json"
_NO_STORE = {"Cache-Control": "no-store"}
_SEGMENT_BYTES_MOST = 8_192
_TENANT = "{tenant}"
_ASKED = {"tenant": "tenant", "key": "access_key"}


class AdminApi:
    """The application.

    Args:
        recorder: tells the audit log of what is refused.
        log: for errors that are nobody's fault but ours.
        version: of this program, for the document.
    """

    def __init__(
        self, administration: Administration, credentials: Credentials, recorder: Recorder, log: Log, version: str
    ) -> None:
        self._administration = administration
        self._recorder = recorder
        self._credentials = credentials
        self._log = log
        self._document = msgspec.json.encode(document(OPERATIONS, version))
        self._routes = [(operation.path.split("/")[1:], operation) for operation in OPERATIONS]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except ClientDisconnect:
            return
        except Exception as error:
            response = self._refused(error)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        raw_path: bytes = request.scope.get("raw_path") or request.url.path.encode()
        method = "GET" if request.method == "HEAD" else request.method
        if raw_path == DOCUMENT_PATH.encode() and method == "GET":
            return Response(self._document, media_type="application/json", headers=_NO_STORE)
        operation, parameters = self._route(method, raw_path)
        credential = await authenticate(request.headers.get("authorization"), self._credentials)
        caller = Caller(credential.tenant, credential.roles, credential.access_key)
        if not operation.audited:
            return _rendered(await self._perform(request, operation, credential, Call(caller, parameters)))
        deed = self._recorder.begin(operation.name, caller, remote=request.client.host if request.client else "")
        act = self._perform(request, operation, credential, Call(caller, parameters, deed=deed))
        asked = {name: parameters.get(parameter, "") for name, parameter in _ASKED.items()}
        return _rendered(await self._recorder.watch(deed, act, **asked))

    async def _perform(self, request: Request, operation: Operation, credential: Credential, call: Call) -> Answer:
        """From here on whoever asks is known: what is refused is refused to him."""
        credential.demand_served()
        demand_role(call.caller, operation.need)
        query = query_of(request.query_params.multi_items(), operation.query)
        body = body_of(await _read(request), request.headers.get("content-type", ""), operation.body)
        return await operation.act(self._administration, replace(call, query=query, body=body))

    def _route(self, method: str, raw_path: bytes) -> tuple[Operation, Mapping[str, str]]:
        """Raises NotFound and Invalid(MethodNotAllowed)."""
        segments = segments_of(raw_path[:_SEGMENT_BYTES_MOST])
        fitting = [
            operation
            for template, operation in self._routes
            if len(template) == len(segments) and _begins(segments, template)
        ]
        if not fitting:
            raise NotFound(self._nothing(segments), code="NoSuchOperation")
        for operation in fitting:
            if operation.method == method:
                parts = zip(operation.path.split("/")[1:], segments, strict=True)
                return operation, {part[1:-1]: segment for part, segment in parts if part[0] == "{"}
        allowed = ", ".join(sorted({operation.method for operation in fitting}))
        raise Invalid(f"{method[:16]} is not offered here, but {allowed}", code="MethodNotAllowed", allow=allowed)

    def _nothing(self, segments: list[str]) -> str:
        """What to say of a path that no operation has."""
        states = {
            template[-1]
            for template, _ in self._routes
            if template[-2:-1] == ["state"] and len(template) == len(segments) and _begins(segments, template[:-1])
        }
        if states:
            *most, last = [state.value for state in TenantState if state.value in states]
            return f"nothing lies there: a state is {', '.join(most)} or {last}"
        upto_tenant = [template[: template.index(_TENANT) + 1] for template, _ in self._routes if _TENANT in template]
        if any(len(segments) > len(start) and _begins(segments, start) for start in upto_tenant):
            return "nothing lies there; the slashes of a tenant's path are written %2F"
        return "nothing lies there"

    def _refused(self, error: Exception) -> Response:
        status, told, headers = problem(error)
        if status == 500:
            self._log.error("an operation of the administrative API failed", error=type(error).__name__)
            traceback.print_exception(error)
        return Response(msgspec.json.encode(told, enc_hook=str), status, headers, MEDIA_TYPE)


def _begins(segments: Sequence[str], template: Sequence[str]) -> bool:
    """Whether a path begins as a template says."""
    return len(segments) >= len(template) and all(
        part == segment or (part[0] == "{" and segment != "") for part, segment in zip(template, segments, strict=False)
    )


def _rendered(answer: Answer) -> Response:
    if answer.body is None:
        return Response(status_code=204, headers=_NO_STORE)
    status = 201 if answer.made else 200
    return Response(msgspec.json.encode(answer.body), status, _NO_STORE, "application/json")


async def _read(request: Request) -> bytes:
    """The body. Raises Invalid(BodyTooLarge), without having read more of it than is allowed."""
    too_large = Invalid(f"a body has at most {BODY_BYTES_MOST:,} bytes", code="BodyTooLarge")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) > BODY_BYTES_MOST:
        raise too_large
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > BODY_BYTES_MOST:
            raise too_large
    return bytes(data)
