"""The routes of the second port.

Below /v1 lies the administrative API (rest.py) and the feed. /healthz answers while the process lives. /readyz is 200 when the server can do what clients ask, else 503 with the
reasons. /metrics is for Prometheus, /v1/feed for followers. All below /v1 asks who one is, but for the API's own description; the
others tell nothing of tenants, keys or objects, unless /metrics is asked by one who signs in as the root's admin or auditor.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from isotherm.errors import Denied
from isotherm.protocols.admin.authentication import CHALLENGE, Credentials, NotSignedIn, authenticate
from isotherm.protocols.admin.feed import FeedOverHttp
from isotherm.protocols.admin.health import Readiness
from isotherm.protocols.admin.metrics import Exposition
from isotherm.protocols.admin.rest import AdminApi
from isotherm.tenancy.roles import ROOT_TENANT, Role

_WELCOME = """Isotherm: the administrative port. S3 is on the other one.

/healthz   this process lives
/readyz    the server can do its work, or the reasons why not
/metrics   numbers for Prometheus
/v1/feed   what changed: ?bucket= &prefix= &cursor= &limit= &wait=; sign in with access key and secret key (basic)
/v1/…      tenants and their access keys; described in /v1/openapi.json
"""
_NO_STORE = {"Cache-Control": "no-store"}


def application(
    readiness: Readiness,
    exposition: Exposition,
    of_tenants: Exposition,
    credentials: Credentials,
    feed: FeedOverHttp,
    api: AdminApi,
    look: Callable[[], Awaitable[None]],
) -> Starlette:
    """`exposition` is for anybody, `of_tenants` for those alone who may look at all tenants, after a `look` at them."""

    async def welcome(request: Request) -> Response:
        return PlainTextResponse(_WELCOME)

    async def healthz(request: Request) -> Response:
        return PlainTextResponse("ok\n", headers=_NO_STORE)

    async def readyz(request: Request) -> Response:
        health = await readiness.health()
        body = {"ready": health.ready, "wrong": dict(health.wrong)}
        return Response(json.dumps(body, indent=2) + "\n", 200 if health.ready else 503, _NO_STORE, "application/json")

    async def metrics(request: Request) -> Response:
        shown = exposition
        authorization = request.headers.get("authorization")
        if authorization is not None:
            try:
                await _demand_auditor(authorization, credentials)
            except NotSignedIn:
                return PlainTextResponse("sign in\n", 401, {**_NO_STORE, "WWW-Authenticate": CHALLENGE})
            except Denied as error:
                return PlainTextResponse(f"{error}\n", 403, _NO_STORE)
            await look()
            shown = of_tenants
        body, media_type = shown.render(request.headers.get("accept", ""))
        return Response(body, media_type=media_type, headers=_NO_STORE)

    beneath = Mount("/v1", api)
    beneath.path_regex = re.compile(r"^/v1/(?P<path>.*)$", re.DOTALL)  # Starlette's own ends at a line feed
    return Starlette(
        routes=[
            Route("/", welcome),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
            Route("/v1/feed", feed.answer),
            beneath,
        ]
    )


async def _demand_auditor(authorization: str, credentials: Credentials) -> None:
    """Raises Denied for all but the root's admins and auditors, and what looking a credential up raises."""
    credential = await authenticate(authorization, credentials)
    credential.demand_served()
    if credential.tenant != ROOT_TENANT or not credential.roles & {Role.ADMIN, Role.AUDITOR}:
        raise Denied("The numbers of all tenants are for the root's admins and auditors.")
