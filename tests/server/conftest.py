"""What the tests of this room start hears every signal, however the tests themselves were started."""

import signal

import pytest


@pytest.fixture(scope="session", autouse=True)
def heard_signals():
    """In the background of a shell, and under nohup, signals are ignored; that would be inherited by a server, which heeds it."""
    ignored = [n for n in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM) if signal.getsignal(n) is signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)
