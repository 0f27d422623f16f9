"""Every error has its row, and an error reply tells what it should and no more."""

import inspect
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

import isotherm
from isotherm import errors
from isotherm.errors import (
    Corrupt,
    Denied,
    Invalid,
    IsothermError,
    NoSpace,
    NotFound,
    PreconditionFailed,
    Retry,
    SlowDown,
)
from isotherm.protocols.s3.error_table import CLASSES, CODES, render_error, status_and_code
from isotherm.protocols.s3.wire import Facts

FACTS = Facts("ID", "HOST", "GET", "/b/k", "b", "k")
TREE = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, IsothermError)]


@pytest.mark.parametrize("kind", TREE)
def test_every_class_of_the_tree_has_a_row(kind):
    assert kind in CLASSES
    status, code = status_and_code(kind())
    assert 400 <= status <= 503
    assert code


def raised_codes() -> set[str]:
    """Every `code="…"` that the rooms S3 speaks to give an error."""
    package = Path(isotherm.__file__).parent
    texts = [path.read_text() for room in ("objects", "protocols/s3") for path in (package / room).rglob("*.py")]
    return set(re.findall(r'\bcode="(\w+)"', "".join(texts)))


def test_every_code_that_is_raised_has_a_row():
    assert raised_codes() - set(CODES) == set()


@pytest.mark.parametrize("kind", [kind for kind in TREE if issubclass(kind, Retry)])
def test_what_may_be_tried_again_is_503_and_says_when(kind):
    reply = render_error(kind(), FACTS)
    assert reply.status == 503
    assert int(dict(reply.headers)["Retry-After"]) == (30 if kind is NoSpace else 1)
    assert dict(render_error(SlowDown(retry_after_s=7), FACTS).headers)["Retry-After"] == "7"


def test_the_document():
    reply = render_error(NotFound("No <such> key", Key="a&b", secret="s3cret"), FACTS)
    assert (reply.status, reply.code) == (404, "NoSuchKey")
    assert ("Content-Type", "application/xml") in reply.headers
    root = ElementTree.fromstring(reply.body)
    assert {element.tag: element.text for element in root} == {
        "Code": "NoSuchKey",
        "Message": "No <such> key",
        "Key": "a&b",
        "Resource": "/b/k",
        "RequestId": "ID",
        "HostId": "HOST",
    }


@pytest.mark.parametrize(
    "error", [ValueError("s3cret"), KeyError("s3cret"), Corrupt("s3cret", Key="s3cret"), MemoryError()]
)
def test_an_internal_error_says_nothing_of_itself(error):
    reply = render_error(error, FACTS)
    assert (reply.status, reply.code) == (500, "InternalError")
    assert b"s3cret" not in reply.body


def test_a_reply_to_head_and_a_304_have_no_body():
    assert render_error(NotFound(), Facts("ID", "HOST", "HEAD")).body == b""
    assert render_error(PreconditionFailed(code="NotModified"), FACTS).body == b""
    assert render_error(PreconditionFailed(code="NotModified"), FACTS).status == 304


def test_what_no_xml_can_hold_does_not_break_the_document():
    root = ElementTree.fromstring(render_error(Invalid("\x00\ud800", ArgumentValue="\x1b<"), FACTS).body)
    assert (root.findtext("Message"), root.findtext("ArgumentValue")) == ("\ufffd\ufffd", "\ufffd<")


def test_an_unknown_code_of_a_known_class_keeps_the_status_of_its_class():
    assert status_and_code(Denied(code="SomethingNew")) == (403, "SomethingNew")
    assert status_and_code(Invalid(code="SomethingNew")) == (400, "SomethingNew")
