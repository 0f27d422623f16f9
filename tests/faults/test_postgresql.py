"""PostgreSQL that dies, stands still, is full, turns read-only or fails over, under writers on two gateways.

Whatever happens to it: requests are answered in bounded time, with 503 where there is no other answer; nothing acknowledged is
lost; and the gateways go on by themselves when it does.
"""

import asyncio
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request

import asyncpg
import pytest

from isotherm.testing.postgres import TemporaryPostgres, programs
from isotherm.testing.server import RunningServer
from tests.faults.outages import Writers

pytestmark = pytest.mark.skipif(programs() is None, reason="PostgreSQL is not installed")

WRITERS = 4


@pytest.fixture
def postgres():
    with TemporaryPostgres() as server:
        yield server


def serving(path, meta):
    return RunningServer(path / "data", options=["--meta", meta], gateways=2)


def fsck(server, meta):
    command = [sys.executable, "-m", "isotherm.cli", "fsck", "--data", str(server.data), "--meta", meta]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def anonymous(server):
    """The status of a request that no database is needed for."""
    try:
        with urllib.request.urlopen(server.address.s3 + "/box/key", timeout=3) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def kill_in_rounds(path, postgres, rounds):
    meta = postgres.database()
    with serving(path, meta) as server:
        with Writers(server, WRITERS) as writers:
            for turn in range(rounds):
                writers.go_on(5)
                (postgres.crash, postgres.kill, postgres.stop)[turn % 3]()
                writers.suffer(2 * WRITERS)
                postgres.start()
            writers.go_on(5)
        pids = server.address.pids
        assert all(server.pid(name) == pids[name] for name in pids if name.startswith("gateway")), server.log
        writers.check(meta)
        fsck(server, meta)


def test_it_is_killed_and_started_again_in_rounds(tmp_path, postgres):
    kill_in_rounds(tmp_path, postgres, 3)


@pytest.mark.torture
def test_it_is_killed_and_started_again_in_many_rounds(tmp_path, postgres):
    kill_in_rounds(tmp_path, postgres, 100)


def fail_over_in_rounds(path, rounds):
    """A primary whose commits wait for a standby dies; the standby is promoted and gets a standby of its own."""
    first = TemporaryPostgres()
    servers = [first]
    try:
        first.start()
        name = first.database().split("/")[3].partition("?")[0]
        servers.append(follower(first))
        meta = address(name, servers)
        with serving(path, meta) as server:
            with Writers(server, WRITERS) as writers:
                for turn in range(rounds):
                    writers.go_on(5)
                    dead, standby = servers
                    (dead.crash if turn % 2 == 0 else dead.kill)()
                    writers.suffer(WRITERS)
                    standby.promote()
                    writers.go_on(5)
                    if turn + 1 < rounds:  # the dead one's place is taken by a new standby under the same address
                        dead.start_over(follow=standby)
                        standby.configure("synchronous_standby_names", "*")
                        servers = [standby, dead]
            writers.check(meta)
            fsck(server, meta)
    finally:
        for each in servers:
            each.__exit__(None, None, None)


def follower(primary):
    standby = TemporaryPostgres(follow=primary)
    standby.start()
    primary.configure("synchronous_standby_names", "*")
    return standby


def address(name, servers):
    hosts = ",".join(str(server.folder) for server in servers)
    return f"postgresql://isotherm@/{name}?host={hosts}&target_session_attrs=read-write"


def test_it_fails_over_to_a_synchronous_standby(tmp_path):
    fail_over_in_rounds(tmp_path, 1)


@pytest.mark.torture
def test_it_fails_over_again_and_again(tmp_path):
    fail_over_in_rounds(tmp_path, 10)


def test_it_stands_still(tmp_path, postgres):
    """No answer at all: other requests of the gateways do not wait for it, and those that need it end in bounded time."""
    meta = postgres.database()
    with serving(tmp_path, meta) as server, Writers(server, WRITERS) as writers:
        writers.go_on(5)
        postgres.pause()
        assert anonymous(server) == 403
        writers.suffer(2 * WRITERS)
        assert anonymous(server) == 403
        postgres.go_on()
        writers.go_on(5)
    writers.check(meta)


def test_it_turns_read_only(tmp_path, postgres):
    meta = postgres.database()
    with serving(tmp_path, meta) as server, Writers(server, WRITERS) as writers:
        writers.go_on(3)
        postgres.configure("default_transaction_read_only", "on")
        writers.suffer(2 * WRITERS)
        postgres.configure("default_transaction_read_only", "off")
        writers.go_on(3)
    writers.check(meta)


def test_it_has_no_connections_left(tmp_path):
    async def take_all(meta):
        taken = []
        try:
            while True:
                taken.append(await asyncpg.connect(meta))
        except asyncpg.TooManyConnectionsError:
            return taken

    async def crowd(meta, postgres, server, writers):
        gateways = [server.pid(f"gateway-{number}") for number in range(2)]
        for pid in gateways:
            os.kill(pid, signal.SIGSTOP)  # or they would be the first to come back
        try:
            postgres.crash()
            postgres.start()
            taken = await take_all(meta)
        finally:
            for pid in gateways:
                os.kill(pid, signal.SIGCONT)
        await asyncio.to_thread(writers.suffer, 2 * WRITERS)
        for connection in taken:
            await connection.close()

    with TemporaryPostgres(settings={"max_connections": "30"}) as postgres:
        meta = postgres.database()
        with serving(tmp_path, meta) as server, Writers(server, WRITERS) as writers:
            writers.go_on(3)
            asyncio.run(crowd(meta, postgres, server, writers))
            writers.go_on(3)
        writers.check(meta)
