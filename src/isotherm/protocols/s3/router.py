"""Which verb answers a request, and everything that is refused because nobody here understands it.

A request is (method, level, subresource): a row of routes.py. The subresource is the query parameter that chooses the
operation, if any. Beside it a verb understands the query parameters and headers its row names. What no row names is
answered 501 NotImplemented: it never falls through to another verb and is never accepted and ignored. That holds for
every unknown query parameter, for every unknown x-amz- header and for conditions on writes that have none.

Three exceptions, all S3's own. Query parameters that begin with `x-` but not with `x-amz-` are the client's notes and
are ignored (`x-id`, the name SDKs give an operation, is one). The x-amz- parameters of a presigned URL, which stand for
headers, have become headers before (presigned.py). Headers that ask for what this store is anyway are understood (harmless.py).

Called on the connection's event loop.
"""

from __future__ import annotations

from collections.abc import Mapping

from isotherm.errors import Invalid, Unsupported
from isotherm.protocols.s3 import refusals
from isotherm.protocols.s3.harmless import CHECKED, COMMON
from isotherm.protocols.s3.parameters import invalid_argument
from isotherm.protocols.s3.routes import ROUTES, SUBRESOURCES, Route
from isotherm.protocols.s3.wire import Reply, Request

_META = "x-amz-meta-"
_NOTHING = ""


async def dispatch(request: Request) -> Reply:
    """Answer an authenticated request. Sets `request.operation`.

    Raises:
        IsothermError: what the verb raises; Unsupported and Invalid for what no verb understands.
    """
    level = "object" if request.key else "bucket" if request.bucket else "service"
    query = request.query
    subresource = _subresource(query) if query else _NOTHING
    method = request.method
    if method == "PUT" and "x-amz-copy-source" in request.headers:
        subresource += "+copy"
    route = ROUTES.get((method, level, subresource))
    if route is None:
        raise _no_route(request, level, subresource)
    request.operation = route.operation
    if query:
        _check_query(request, route, subresource)
    if not request.headers.keys() <= COMMON:
        _check_headers(request, route)
    return await route.verb(request)


def _subresource(query: Mapping[str, str]) -> str:
    found = [name for name in query if name in SUBRESOURCES]
    if len(found) > 1:
        raise Invalid(f"Conflicting query string parameters: {', '.join(sorted(found))}", code="InvalidArgument")
    return found[0] if found else _NOTHING


def _check_query(request: Request, route: Route, subresource: str) -> None:
    for name, value in request.query.items():
        if name in route.query or name == subresource or f"{name}+copy" == subresource:
            continue
        if name == "versionId":
            raise invalid_argument("This operation does not accept a version-id.", "versionId", value)
        lower = name.lower()
        if not lower.startswith("x-") or lower.startswith("x-amz-"):
            raise Unsupported(f"The query parameter {name[:64]} is not implemented.", Parameter=name[:64])


def _check_headers(request: Request, route: Route) -> None:
    writes = request.method not in ("GET", "HEAD")
    for name, value in request.headers.items():
        if name in COMMON or name in route.headers:
            continue
        if name.startswith("x-amz-"):
            check = CHECKED.get(name)
            if check is not None:
                check(request, value)
            elif not (name.startswith(_META) and _META in route.headers):
                raise _unknown_header(name)
        elif writes and (name.startswith("if-") or name == "content-range"):
            raise _unknown_header(name)


def _unknown_header(name: str) -> Unsupported:
    return Unsupported("A header you provided implies functionality that is not implemented", Header=name[:64])


def _no_route(request: Request, level: str, subresource: str) -> Invalid:
    if not subresource:
        unknown = next((name for name in request.query if not name.lower().startswith("x-")), None)
        if unknown is not None:
            return Unsupported(f"The query parameter {unknown[:64]} is not implemented.", Parameter=unknown[:64])
        if level == "bucket" and refusals.is_form(request.method, request.headers):
            return refusals.form()
    allowed = sorted({method for method, where, what in ROUTES if where == level and what == subresource})
    if not allowed:
        return Unsupported(f"The subresource {subresource} is not implemented at the level of a {level}.")
    return Invalid(
        "The specified method is not allowed against this resource.",
        code="MethodNotAllowed",
        Method=request.method[:16],
        ResourceType=level.upper(),
        allow=", ".join(allowed),
    )
