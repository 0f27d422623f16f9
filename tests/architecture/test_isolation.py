"""Whatever can be asked of a server is tried by the isolation self-test: protocols, operations, routes."""

from isotherm.protocols.admin.operations import OPERATIONS
from isotherm.protocols.s3.routes import ROUTES
from isotherm.testing.isolation import of_admin
from isotherm.testing.isolation.registry import PROTOCOLS, all_probes
from tests.architecture.tree import PACKAGE


def test_every_protocol_has_probes():
    folders = {path.name for path in (PACKAGE / "protocols").iterdir() if (path / "__init__.py").exists()}
    assert set(PROTOCOLS) == folders
    assert all(make() for makers in PROTOCOLS.values() for make in makers)


def test_every_operation_of_the_administrative_api_has_a_probe_and_a_body_to_be_tried_with():
    names = {probe.name for probe in all_probes()}
    assert not [operation.name for operation in OPERATIONS if f"admin.{operation.name}" not in names]
    assert {operation.name for operation in OPERATIONS if operation.body is not None} == set(of_admin.BODIES)
    others = {name for operation in OPERATIONS for name in operation.parameters[1:]}
    assert others <= set(of_admin.OTHER_PARAMETERS)


def test_every_route_of_s3_has_a_probe():
    names = {probe.name for probe in all_probes()}
    assert not [route.operation for route in ROUTES.values() if f"s3.{route.operation}" not in names]


def test_no_two_probes_have_one_name_and_the_last_looks_for_harm():
    names = [probe.name for probe in all_probes()]
    assert len(names) == len(set(names))
    assert names[-1] == "s3.unharmed"
