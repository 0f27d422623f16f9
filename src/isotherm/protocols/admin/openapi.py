"""The OpenAPI 3.1 document of the administrative API, made from the table of operations. Pure.

Source: https://spec.openapis.org/oas/v3.1.0. Schemas are those of the structs that decode and encode, so that the document
cannot say anything else than what happens.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from isotherm.protocols.admin import problems
from isotherm.protocols.admin.operation import Operation
from isotherm.protocols.admin.problems import Problem
from isotherm.tenancy.tree import NAME_PATTERN

_REFERENCE = "#/components/schemas/{name}"
_PARAMETERS = {
    "tenant": {
        "description": "A tenant: its path, percent-encoded as one segment (acme%2Fresearch), or its id (@17).",
        "schema": {"type": "string", "pattern": f"^(@[1-9][0-9]{{0,9}}|/|{NAME_PATTERN}(/{NAME_PATTERN}){{0,15}})$"},
        "example": "@17",
    },
    "grant": {
        "description": "A grant's name.",
        "schema": {"type": "string", "pattern": f"^{NAME_PATTERN}$"},
        "example": "datasets-for-research",
    },
    "alias": {
        "description": "The name of a bucket.",
        "schema": {"type": "string", "pattern": "^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"},
        "example": "datasets",
    },
    "access_key": {
        "description": "An access key, as it is listed.",
        "schema": {"type": "string", "pattern": "^[A-Za-z0-9]{1,128}$"},
        "example": "ISOTABCDEFGHIJKLMNOP",
    },
}
_ERRORS = (400, 401, 403, 404, 405, 409, 413, 415, 503)
Document = dict[str, Any]


def document(operations: Sequence[Operation], version: str) -> Document:
    """The whole document, as plain values."""
    structs: set[type[msgspec.Struct]] = {Problem}
    for operation in operations:
        structs |= {struct for struct in (operation.query, operation.body, operation.response) if struct is not None}
    ordered = sorted(structs, key=lambda struct: struct.__name__)
    _, components = msgspec.json.schema_components(ordered, ref_template=_REFERENCE)
    paths: dict[str, Document] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Isotherm: the administrative API",
            "version": version,
            "description": "Errors are RFC 9457 problem details. What lies outside of your tenant is told as what is not there.",
        },
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"keys": {"type": "http", "scheme": "basic"}}},
        "security": [{"keys": []}],
    }


def _operation(operation: Operation, components: Document) -> Document:
    told: Document = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": f"{operation.idempotency.value} Needs: {operation.need.value}.",
        "tags": [operation.name.partition(".")[0]],
        "parameters": [*_path_parameters(operation), *_query_parameters(operation, components)],
        "responses": {str(status): _success(operation) for status in operation.statuses} | _failures(),
        "x-idempotency": operation.idempotency.name.lower(),
        "x-audited": operation.audited,
        "x-needs": operation.need.value,
    }
    if operation.body is not None:
        told["requestBody"] = {"required": True, "content": _content("application/json", operation.body.__name__)}
    return told


def _path_parameters(operation: Operation) -> list[Document]:
    return [{"name": name, "in": "path", "required": True, **_PARAMETERS[name]} for name in operation.parameters]


def _query_parameters(operation: Operation, components: Document) -> list[Document]:
    if operation.query is None:
        return []
    schema = components[operation.query.__name__]
    return [
        {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": property_}
        for name, property_ in schema["properties"].items()
    ]


def _success(operation: Operation) -> Document:
    if operation.response is None:
        return {"description": "Done."}
    return {
        "description": operation.response.__doc__ or "Done.",
        "content": _content("application/json", operation.response.__name__),
    }


def _failures() -> Document:
    titles = dict(problems.CODES.values())
    for status, title, _ in problems.CLASSES.values():
        titles.setdefault(status, title)
    return {
        str(status): {"description": titles[status], "content": _content(problems.MEDIA_TYPE, Problem.__name__)}
        for status in _ERRORS
    }


def _content(media_type: str, name: str) -> Document:
    return {media_type: {"schema": {"$ref": _REFERENCE.format(name=name)}}}
