"""The processes of a server are killed, or stand still, in turn while S3 clients and a program work: nothing acknowledged is lost.

Whoever reads meanwhile sees what was written last. At the end `fsck` finds nothing.
"""

import os
import signal
from contextlib import contextmanager

import pytest

import isotherm
from isotherm.objects.model import Versioning
from tests.faults.load import KEPT, PLAIN, Load, Program, Remote
from tests.faults.looking import assert_clean
from tests.faults.writer import open_store, space_of
from tests.server.clients import s3, serving

HUNG_S = 3
NAMES = ("gateway-0", "gateway-1", "committer", "mover", "control")
LONG_ROUNDS = int(os.environ.get("ROUNDS", "10"))


@contextmanager
def loaded(path, *, remotes, options=()):
    """(server, load): a server whose store is written to by S3 clients and by a program beside it."""
    with serving(path, gateways=2, options=("--hung-s", str(HUNG_S), *options)) as server, isotherm.open(path) as store:
        for bucket in (PLAIN, KEPT):
            store.create_bucket(bucket)
        store.set_versioning(KEPT, Versioning.ENABLED)
        clients = {f"s3-{number}": Remote(lambda: s3(server, config=CONFIG)) for number in range(remotes)}
        with Load({**clients, "program": Program(store)}) as load:
            yield server, load


CONFIG = {"read_timeout": 60, "connect_timeout": 5}  # longer than a process that stands still lives


def ended(path, scratch, load):
    engines = open_store(path)
    try:
        load.compare(space_of(engines))
        assert_clean(engines, scratch)
    finally:
        engines.close()


def kill(server, name):
    if name == "supervisor":
        server.kill_supervisor()
        server.start()
    elif name == "all":
        server.kill_all()
        server.start()
    else:
        server.kill(name)


def stand_still(server, name):
    """Until the supervisor takes it for dead and replaces it; it cannot replace itself."""
    if name == "supervisor":
        pid = server.process.pid
        os.kill(pid, signal.SIGSTOP)
        return lambda: os.kill(pid, signal.SIGCONT)
    pid = server.pid(name)
    os.kill(pid, signal.SIGSTOP)
    return lambda: server.until(lambda: server.address.pids[name] not in (0, pid), 60, f"{name} was not replaced")


def halt_for_a_while(server, name):
    """Shorter than it takes to be replaced: it goes on where it was."""
    pid = server.process.pid if name == "supervisor" else server.pid(name)
    os.kill(pid, signal.SIGSTOP)
    return lambda: os.kill(pid, signal.SIGCONT)


@pytest.mark.timeout(300)
def test_whoever_is_killed_under_load_nothing_acknowledged_is_lost(tmp_path):
    with loaded(tmp_path / "data", remotes=2) as (server, load):
        load.further(3)
        for name in ("gateway-0", "committer", "supervisor"):
            kill(server, name)
            load.further(3)
    ended(tmp_path / "data", tmp_path, load)
    assert load.failures


@pytest.mark.torture
def test_all_are_killed_again_and_again_under_load(tmp_path):
    kills = 0
    with loaded(tmp_path / "data", remotes=4) as (server, load):
        for _ in range(LONG_ROUNDS):
            for name in (*NAMES, "supervisor", "all"):
                kill(server, name)
                kills += 1
                load.further(2)
    print(f"{kills} kills, {load.done} operations acknowledged, {load.failures} attempts failed")
    ended(tmp_path / "data", tmp_path, load)


@pytest.mark.torture
def test_all_stand_still_in_turn_under_load(tmp_path):
    halts = 0
    with loaded(tmp_path / "data", remotes=4) as (server, load):
        for _ in range(LONG_ROUNDS):
            for name in (*NAMES, "supervisor"):
                for halt in (halt_for_a_while, stand_still):
                    go_on = halt(server, name)
                    halts += 1
                    if name not in ("committer", "gateway-0", "gateway-1"):  # others wait for these
                        load.further(2)
                    go_on()
                    load.further(2)
    print(f"{halts} halts, {load.done} operations acknowledged, {load.failures} attempts failed")
    ended(tmp_path / "data", tmp_path, load)
