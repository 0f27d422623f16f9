"""Every error has its row, and a problem document tells what it should and no more."""

import inspect
import re
from pathlib import Path

import pytest

import isotherm
from isotherm import errors
from isotherm.errors import Corrupt, Denied, Invalid, IsothermError, NoSpace, NotFound, OverQuota, Retry
from isotherm.protocols.admin.authentication import NotSignedIn
from isotherm.protocols.admin.problems import CLASSES, CODES, problem

TREE = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, IsothermError)]


@pytest.mark.parametrize("kind", TREE)
def test_every_class_of_the_tree_has_a_row(kind):
    assert kind in CLASSES
    status, told, headers = problem(kind())
    assert 400 <= status <= 503
    assert told["status"] == status
    assert told["type"] == f"urn:isotherm:problem:{told['code']}"
    assert told["title"]
    assert told["detail"]
    assert headers["Cache-Control"] == "no-store"


def test_every_code_with_a_row_of_its_own_is_raised_somewhere():
    package = Path(isotherm.__file__).parent / "protocols" / "admin"
    texts = "".join(path.read_text() for path in package.rglob("*.py"))
    assert set(CODES) == set(re.findall(r'\bcode ?= ?"(\w+)"', texts)) & set(CODES)


@pytest.mark.parametrize("kind", [kind for kind in TREE if issubclass(kind, Retry)])
def test_what_may_be_tried_again_is_503_and_says_when(kind):
    status, _, headers = problem(kind())
    assert (status, headers["Retry-After"]) == (503, "30" if kind is NoSpace else "1")


def test_details_are_members_and_take_the_place_of_none():
    _, told, _ = problem(OverQuota("no", code="PromiseExceeded", left=5, status=1, title="x", nothing=None))
    assert (told["left"], told["status"], told["title"]) == (5, 409, "More than there is to promise")
    assert "nothing" not in told


@pytest.mark.parametrize("error", [ValueError("s3cret"), Corrupt("s3cret", key="s3cret"), MemoryError("s3cret")])
def test_an_internal_error_says_nothing_of_itself(error):
    status, told, _ = problem(error)
    assert (status, told["code"]) == (500, "InternalError")
    assert "s3cret" not in str(told)


def test_statuses_that_are_not_those_of_the_class():
    assert problem(NotSignedIn())[0] == 401
    assert "Basic" in problem(NotSignedIn())[2]["WWW-Authenticate"]
    assert problem(Denied())[0] == 403
    assert problem(Invalid(code="BodyTooLarge"))[0] == 413
    assert problem(Invalid(code="MethodNotAllowed", allow="GET, PUT"))[2]["Allow"] == "GET, PUT"
    assert problem(NotFound(code="NoSuchTenant"))[0] == 404
