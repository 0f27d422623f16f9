"""The OpenAPI document of a running server, tried by schemathesis: whatever it sends, the answers are those that are described.

One check is left out: that a request which fits its schema is accepted. Tenants are a tree, and whether a name is free, a parent
there and a promise possible is for the tree to say.
"""

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import CHECKS, load_all_checks

from isotherm.protocols.admin.operations import OPERATIONS
from tests.server.clients import basic, serving

load_all_checks()
CHECKED = [CHECKS.get_one(name) for name in CHECKS.get_all_names() if name != "positive_data_acceptance"]
BOUNDED = settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("openapi") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def schema(server):
    return schemathesis.openapi.from_url(server.address.admin + "/v1/openapi.json")


@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_answers_are_those_that_are_described(schema, server, operation, mode):
    described = schema[operation.path][operation.method]

    @BOUNDED
    @given(case=described.as_strategy(generation_mode=mode))
    def attempt(case):
        case.call_and_validate(headers=basic(server.credential), checks=CHECKED)

    attempt()


def test_nothing_that_was_sent_broke_the_server(server):
    assert "an operation of the administrative API failed" not in server.log
