"""Settings: where they come from, and what is said of wrong ones."""

import json
from pathlib import Path

import pytest

from isotherm.errors import Invalid
from isotherm.settings import ServerSettings, Settings, Tls, decode, encode, environment, load


def test_the_command_line_goes_before_the_environment_and_that_before_the_default():
    settings = load({"data": "/d", "port": "1", "host": None}, {"port": "2", "host": "::1", "data": "/e"})
    assert settings.data == Path("/d")
    assert (settings.server.port, settings.server.host, settings.server.admin_port) == (1, "::1", 9_001)
    assert settings.server.gateways >= 1


def test_only_variables_of_isotherm_are_read(monkeypatch):
    monkeypatch.setenv("ISOTHERM_ADMIN_PORT", "7")
    monkeypatch.setenv("ADMIN_PORT", "8")
    assert environment()["admin_port"] == "7"
    assert load({"data": "d"}, environment()).server.admin_port == 7


def test_lists_come_from_repeated_options_or_separated_variables():
    given = load({"data": "d", "domain": ["A.example", "b.example."], "capacity": ["/x", "/y"]}, {})
    told = load({"data": "d"}, {"domain": "a.example,b.example", "capacity": "/x:/y"})
    assert given == told
    assert given.server.domains == ("a.example", "b.example")
    assert given.capacity == (Path("/x"), Path("/y"))


def test_paths_are_absolute_before_they_travel_to_other_processes(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert load({"data": "d"}, {}).data == tmp_path / "d"


@pytest.mark.parametrize(
    ("given", "variables", "message"),
    [
        ({}, {}, "--data DIR or set ISOTHERM_DATA"),
        ({"data": ""}, {}, "--data is empty"),
        ({"data": "d", "port": "http"}, {}, "--port is 'http'; it must be a whole number from 0 to 65_535"),
        ({"data": "d"}, {"port": "65536"}, "ISOTHERM_PORT is '65536'"),
        ({"data": "d"}, {"port": "tcp://10.0.0.1:9000"}, "ISOTHERM_PORT is 'tcp"),
        ({"data": "d", "gateways": "0"}, {}, "--gateways is '0'; it must be a whole number from 1 to 64"),
        ({"data": "d", "port": "9001"}, {}, "--port and --admin-port are both 9001"),
        ({"data": "d", "drain_s": "nan"}, {}, "--drain-s is 'nan'"),
        ({"data": "d", "log": "loud"}, {}, "--log is 'loud'; it must be one of debug, info, warning, error"),
        ({"data": "d"}, {"access_log": "maybe"}, "ISOTHERM_ACCESS_LOG is 'maybe'; it must be true or false"),
        ({"data": "d", "tls_cert": __file__}, {}, "both --tls-cert and --tls-key"),
        ({"data": "d", "tls_cert": "/nowhere.pem"}, {}, "--tls-cert is '/nowhere.pem'; there is no such file"),
        ({"data": "d", "domain": ["http://x"]}, {}, "--domain has 'http://x', which is not a host name"),
        ({"data": "d"}, {"admin_prot": "1"}, "ISOTHERM_ADMIN_PROT is not a setting; did you mean ISOTHERM_ADMIN_PORT?"),
    ],
)
def test_a_wrong_setting_is_named_with_its_source_and_what_it_may_be(given, variables, message):
    with pytest.raises(Invalid) as refused:
        load(given, variables)
    assert message in str(refused.value)


def test_what_an_orchestrator_sets_is_no_setting_of_ours():
    told = {"service_host": "10.0.0.1", "service_port": "9000", "port_9000_tcp_addr": "10.0.0.1"}
    assert load({"data": "d"}, told) == load({"data": "d"}, {})


def test_both_ports_may_be_left_to_the_system():
    assert load({"data": "d", "port": "0", "admin_port": "0"}, {}).server.port == 0


def test_the_tree_travels_as_json():
    tls = Tls(Path("/c.pem"), Path("/k.pem"))
    settings = Settings(Path("/d"), (Path("/p"),), (), ServerSettings(tls=tls, domains=("a.b",), gateways=3))
    assert decode(json.loads(json.dumps(encode(settings)))) == settings
