"""The table of operations: complete, consistent, and the source of routes, document and commands."""

import itertools
import re

import msgspec
import pytest

from isotherm.cli.operation import commands
from isotherm.protocols.admin.openapi import document
from isotherm.protocols.admin.operation import Idempotency
from isotherm.protocols.admin.operations import OPERATIONS
from isotherm.tenancy.roles import Need

DOCUMENT = document(OPERATIONS, "0")


def test_names_and_routes_are_unique():
    assert len({operation.name for operation in OPERATIONS}) == len(OPERATIONS)
    assert len({(operation.method, operation.path) for operation in OPERATIONS}) == len(OPERATIONS)


@pytest.mark.parametrize(("one", "two"), [*itertools.combinations(sorted({op.path for op in OPERATIONS}), 2)])
def test_no_path_could_be_taken_for_another(one, two):
    shape = re.sub(r"\{\w+\}", "[^/]+", one)
    assert not re.fullmatch(shape, two)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_a_row_does_not_contradict_itself(operation):
    reads = operation.method == "GET"
    assert reads == (operation.idempotency is Idempotency.SAFE)
    assert reads == (not operation.audited), "what changes something is audited"
    assert reads == (operation.need in (Need.LOOK, Need.SELF))
    assert operation.body is None or operation.query is None
    assert operation.summary.endswith(".")
    if operation.method in ("PUT", "DELETE"):
        assert operation.idempotency is not Idempotency.ANEW
    for struct in (operation.query, operation.body):
        assert struct is None or struct.__struct_config__.forbid_unknown_fields


def test_every_list_is_paged():
    for operation in OPERATIONS:
        if operation.name.endswith(".list"):
            assert {"after", "limit"} <= set(operation.query.__struct_fields__)
            assert "next" in operation.response.__struct_fields__
            assert bool(operation.columns) == (operation.command is not None), "what people see is said in the row"


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_the_document_says_what_the_row_says(operation):
    told = DOCUMENT["paths"][operation.path][operation.method.lower()]
    assert told["operationId"] == operation.name
    assert (told["x-audited"], told["x-idempotency"]) == (operation.audited, operation.idempotency.name.lower())
    assert [p["name"] for p in told["parameters"] if p["in"] == "path"] == operation.parameters
    assert ("requestBody" in told) == (operation.body is not None)
    assert {int(status) for status in told["responses"]} >= {*operation.statuses, 400, 401, 403, 404}


def test_the_documents_references_lead_somewhere_and_descriptions_are_there():
    text = msgspec.json.encode(DOCUMENT).decode()
    for name in set(re.findall(r'"#/components/schemas/(\w+)"', text)):
        assert DOCUMENT["components"]["schemas"][name]["description"]
    assert DOCUMENT["openapi"].startswith("3.1")


def test_every_row_with_a_command_has_it_with_all_it_takes():
    for operation in OPERATIONS:
        if operation.command:
            names = {
                parameter.name for parameter in commands(operation.name.partition(".")[0])[operation.command].params
            }
            struct = operation.body or operation.query
            fields = set(struct.__struct_fields__) if struct else set()
            assert names >= {*operation.parameters, *fields, "data", "meta", "segments", "root_key", "as_json"}
