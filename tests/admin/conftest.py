"""An administrative API over a store with a small tree, and credentials of every kind in it."""

from dataclasses import dataclass

import pytest

from isotherm.tenancy.identity import Credential
from isotherm.tenancy.roles import Role
from tests.admin.calling import Api
from tests.tenancy.forest import planted


@dataclass
class Grown:
    api: Api
    root: Credential
    admin: Credential  # of acme
    auditor: Credential  # of acme
    data: Credential  # of acme


@pytest.fixture
def grown(tmp_path):
    with planted(tmp_path) as forest:
        for path in ("acme", "acme/research", "beta"):
            forest.make(path)
        yield Grown(
            Api(forest),
            forest.key("/", *Role),
            forest.key("acme", Role.ADMIN),
            forest.key("acme", Role.AUDITOR),
            forest.key("acme", Role.DATA),
        )
