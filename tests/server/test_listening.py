"""The listening sockets, and what is said when they cannot be had."""

import socket

import pytest

from isotherm.errors import Invalid, Unavailable
from isotherm.server.listening import is_loopback, listen, url


def never(seconds):
    raise AssertionError("there was nothing to wait for")


def test_a_free_port_is_chosen_and_told():
    with listen("127.0.0.1", 0, sleep=never) as listener:
        port = listener.getsockname()[1]
        assert url("http", listener) == f"http://127.0.0.1:{port}"
        with socket.create_connection(("127.0.0.1", port), timeout=10):
            pass


def test_a_taken_port_is_refused_at_once():
    with listen("127.0.0.1", 0, sleep=never) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(Unavailable, match=f"port {port} on 127.0.0.1 is taken"):
            listen("127.0.0.1", port, sleep=never)


def test_a_port_that_a_dying_server_leaves_is_waited_for():
    left = listen("127.0.0.1", 0, sleep=never)
    port = left.getsockname()[1]
    waits = []

    def sleep(seconds):
        waits.append(seconds)
        if len(waits) == 3:
            left.close()

    with listen("127.0.0.1", port, patience_s=5.0, sleep=sleep) as listener:
        assert listener.getsockname()[1] == port
    assert len(waits) == 3


def test_patience_ends():
    waits = []
    with listen("127.0.0.1", 0, sleep=never) as left, pytest.raises(Unavailable, match="taken"):
        listen("127.0.0.1", left.getsockname()[1], patience_s=0.2, sleep=waits.append)
    assert sum(waits) == pytest.approx(0.2, abs=0.051)


@pytest.mark.parametrize(
    ("host", "message"), [("203.0.113.7", "not an address of this machine"), ("no.such.invalid", "--host")]
)
def test_a_host_that_is_not_this_machine_is_refused(host, message):
    with pytest.raises(Invalid, match=message):
        listen(host, 0, sleep=never)


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("a.b", False),
    ],
)
def test_loopback_is_told_from_the_rest(host, expected):
    assert is_loopback(host) is expected


def test_a_wildcard_address_is_told_as_loopback():
    with listen("0.0.0.0", 0, sleep=never) as listener:
        assert url("https", listener).startswith("https://127.0.0.1:")
