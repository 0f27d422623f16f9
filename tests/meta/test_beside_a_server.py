"""A program that opened the directory while a server runs, comes, goes, hangs or is killed."""

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
import threading

import pytest

from isotherm.clock import SystemClock
from isotherm.devices import sockets
from isotherm.devices.waiting import drive
from isotherm.errors import Closed, NotEmpty, Unavailable, VersionMismatch
from isotherm.ids import SystemIds
from isotherm.meta.lmdb import CommitService, LmdbMeta, ServerLock, wire
from isotherm.meta.lmdb.presence import Turns
from isotherm.meta.lmdb.remote import ForeignCommitter, RemoteCommitter
from isotherm.meta.member import Trim
from isotherm.testing.meta_children import Child, commit_pairs
from tests.meta.stores import ServerProcess, open_foreign


def open_meta(directory, role):
    return LmdbMeta.open(directory, clock=SystemClock(), ids=SystemIds(), role=role, sync=False)


def put(key, value=b"v"):
    async def fn(txn):
        txn.put(key, value)

    return fn


async def writes_until_told(meta, pipe):
    """Count up by reading and writing; say each number that was acknowledged, "lost" where the outcome is unknown."""
    number = 0

    async def increment(txn):
        nonlocal number
        number = int(await txn.get(b"n") or b"0") + 1
        txn.put(b"n", b"%d" % number)
        txn.put(b"row/%08d" % number, b"")

    while not pipe.poll():
        try:
            await meta.transact(increment)
        except Unavailable:
            pipe.send("lost")
        else:
            pipe.send(number)


def acknowledged_by(child, count):
    """The next `count` numbers it said, and how many outcomes were unknown meanwhile."""
    words = [child.receive() for _ in range(count)]
    return [word for word in words if word != "lost"], words.count("lost")


def check_rows(directory, acknowledged, lost):
    """Every acknowledged row is there once, and rows and counter agree; unknown outcomes may have been either."""
    with open_meta(directory, "foreign") as meta:
        rows = [int(key.removeprefix(b"row/")) for key, _ in drive(meta.range(b"row/", b"row0", 100_000))]
        assert int(drive(meta.get(b"n"))) == len(rows) == rows[-1]
    assert sorted(set(acknowledged)) == acknowledged
    assert set(acknowledged) <= set(rows)
    assert len(rows) - len(acknowledged) <= lost


def test_a_foreign_program_writes_on_while_servers_come_and_go_and_are_killed(tmp_path):
    directory = tmp_path / "meta"
    child = Child(open_foreign, str(directory), writes_until_told)
    numbers, lost = acknowledged_by(child, 20)
    for kill in (False, True, True, False):
        server = ServerProcess(directory).start()
        more, unknown = acknowledged_by(child, 50)
        server.kill() if kill else server.stop()
        after, unknown_after = acknowledged_by(child, 50)
        numbers, lost = numbers + more + after, lost + unknown + unknown_after
    child.pipe.send("enough")
    rest = child.end()
    numbers += [word for word in rest if word != "lost"]
    check_rows(directory, numbers, lost + rest.count("lost"))
    assert lost <= 2  # one outcome may be unknown for each server that was killed


def test_a_stopped_foreign_program_never_holds_the_writer_lock_of_a_server(tmp_path):
    """Stopped at whatever point it has reached: were it one where it holds LMDB's lock, the server would wait for ever."""
    with ServerProcess(tmp_path) as server:
        foreign = Child(open_foreign, str(server.directory), commit_pairs, 0, 8)
        with open_meta(tmp_path, "server") as meta:
            try:
                for round_ in range(40):
                    foreign.receive()
                    os.kill(foreign.pid, signal.SIGSTOP)
                    drive(meta.transact(put(b"server/%d" % round_)))
                    os.kill(foreign.pid, signal.SIGCONT)
            finally:
                foreign.kill()


def test_a_busy_interpreter_beside_it_does_not_hinder_a_server(tmp_path):
    with ServerProcess(tmp_path) as server:
        foreign = Child(open_foreign, str(server.directory), hogs_the_interpreter)
        with open_meta(tmp_path, "server") as meta:
            for number in range(200):
                drive(meta.transact(put(b"server/%d" % number)))
            foreign.pipe.send("enough")
            foreign.end()
            assert len(drive(meta.range(b"server/", b"server0", 1000))) == 200
            assert len(drive(meta.range(b"foreign/", b"foreign0", 1000))) > 0


async def hogs_the_interpreter(meta, pipe):
    enough = threading.Event()

    def hog():
        while not enough.is_set():
            sum(range(1_000_000))

    thread = threading.Thread(target=hog)
    thread.start()
    number = 0
    while not pipe.poll() or not number:
        await meta.transact(put(b"foreign/%d" % number))
        number += 1
    enough.set()
    thread.join()


def test_a_server_waits_for_the_batch_a_foreign_program_is_committing(tmp_path):
    turns = Turns(tmp_path)
    assert turns.take()
    lock = ServerLock(tmp_path)
    acquiring = threading.Thread(target=lock.acquire)
    acquiring.start()
    other = Turns(tmp_path)
    while other.take():  # until the server has announced itself; from then on nobody else gets a turn
        other.give_back()
    assert lock.descriptor == -1
    turns.give_back()
    acquiring.join()
    assert lock.descriptor >= 0
    assert not turns.take()
    lock.release()
    assert turns.take()


def test_there_is_one_server_a_directory(tmp_path):
    with ServerLock(tmp_path), pytest.raises(Unavailable, match="server is running"):
        ServerLock(tmp_path).acquire()
    with ServerLock(tmp_path):
        pass


def test_the_lock_lasts_until_the_last_process_of_the_server_has_ended(tmp_path):
    lock = ServerLock(tmp_path)
    lock.acquire()
    child = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE, pass_fds=[lock.descriptor]
    )
    lock.release()
    turns = Turns(tmp_path)
    assert not turns.take()
    child.communicate()
    assert turns.take()


def test_a_foreign_program_waits_for_a_committer_that_restarts(tmp_path):
    async def main():
        server = open_meta(tmp_path, "server")
        with ServerLock(tmp_path), server:
            first = CommitService(server, tmp_path)
            await first.start()
            child = await asyncio.to_thread(Child, open_foreign, str(tmp_path), writes_until_told)
            numbers = (await asyncio.to_thread(acknowledged_by, child, 20))[0]
            await first.close()
            second = CommitService(server, tmp_path)
            await second.start()
            more, lost = await asyncio.to_thread(acknowledged_by, child, 50)
            child.pipe.send("enough")
            rest = await asyncio.to_thread(child.end)
            await second.close()
        assert lost == rest.count("lost") == 0
        check_rows(tmp_path, numbers + more + rest, 0)

    asyncio.run(main())


class Asked:
    """A server's handle, and whether it has been asked after it closed."""

    def __init__(self, meta):
        self._meta = meta
        self.late = asyncio.Event()

    def submit(self, request):
        try:
            return self._meta.submit(request)
        except Closed:
            self.late.set()
            raise


def test_a_server_whose_handle_has_closed_sends_its_programs_elsewhere(tmp_path):
    """Its committer may be asked once more while it ends: it took nothing, and no program is told that a handle is closed."""

    async def main():
        with ServerLock(tmp_path):
            with open_meta(tmp_path, "server") as ending:
                asked = Asked(ending)
                first = CommitService(asked, tmp_path)
                await first.start()
                child = await asyncio.to_thread(Child, open_foreign, str(tmp_path), writes_until_told)
                numbers = (await asyncio.to_thread(acknowledged_by, child, 20))[0]
            await asked.late.wait()
            await first.close()
            with open_meta(tmp_path, "server") as following:
                second = CommitService(following, tmp_path)
                await second.start()
                more, _ = await asyncio.to_thread(acknowledged_by, child, 50)
                child.pipe.send("enough")
                rest = await asyncio.to_thread(child.end)
                await second.close()
        check_rows(tmp_path, numbers + more + [word for word in rest if word != "lost"], len(more) + len(rest))

    asyncio.run(main())


def test_a_server_without_a_committer_is_reported_and_nothing_was_written(tmp_path):
    with open_meta(tmp_path, "foreign") as meta, ServerLock(tmp_path):
        local, turns = meta._local, Turns(tmp_path)
        foreign = ForeignCommitter(local, turns, RemoteCommitter(tmp_path), attempts=3)
        (outcome,) = foreign.commit([Trim(b"f", 0, 1)])
        assert isinstance(outcome, Unavailable)
        assert "nothing was written" in str(outcome)


def test_closing_does_not_wait_for_a_committer_that_stays_away(tmp_path):
    async def main():
        meta = open_meta(tmp_path, "foreign")
        with ServerLock(tmp_path):
            writing = asyncio.ensure_future(meta.transact(put(b"k")))
            await asyncio.sleep(0)
            meta.close()
            with pytest.raises(Unavailable):
                await writing

    asyncio.run(main())


def test_reading_needs_no_server(tmp_path):
    with open_meta(tmp_path, "foreign") as meta:
        drive(meta.transact(put(b"k")))
        with ServerLock(tmp_path):
            assert drive(meta.get(b"k")) == b"v"


def test_a_directory_with_a_very_long_name_is_served(tmp_path):
    directory = tmp_path / ("d" * 120) / ("e" * 120)
    with ServerProcess(directory), open_meta(directory, "foreign") as meta:
        drive(meta.transact(put(b"k")))
        assert drive(meta.get(b"k")) == b"v"


def test_the_socket_is_for_its_user_alone(tmp_path):
    with ServerProcess(tmp_path):
        assert stat.S_IMODE((tmp_path / "committer.sock").stat().st_mode) == 0o600
        assert {path.name for path in tmp_path.iterdir()} == {"committer.sock", "data.mdb", "lock.mdb", "server.lock"}


HOSTILE = {
    "not a frame": b"GET / HTTP/1.1\r\n\r\n",
    "a frame without end": (1 << 31).to_bytes(4, "big") + b"\x01",
    "an empty frame": bytes(4),
    "another version": (2).to_bytes(4, "big") + b"\x63\xc0",
    "no MessagePack": (2).to_bytes(4, "big") + b"\x01\xc1",
    "another shape": (4).to_bytes(4, "big") + b"\x01\x92\x01\x90",
}


@pytest.mark.parametrize("sent", HOSTILE.values(), ids=HOSTILE.keys())
def test_what_is_no_request_ends_its_connection_and_nothing_else(tmp_path, sent):
    with ServerProcess(tmp_path), open_meta(tmp_path, "foreign") as meta:
        with sockets.connect(tmp_path / "committer.sock", 30) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
        assert b"does not understand" in answer
        drive(meta.transact(put(b"k")))


def test_a_program_of_another_version_is_told_so(tmp_path, monkeypatch):
    with ServerProcess(tmp_path), open_meta(tmp_path, "foreign") as meta:
        monkeypatch.setattr(wire, "VERSION", 99)
        with pytest.raises(VersionMismatch, match="same version"):
            drive(meta.transact(put(b"k")))


def test_an_error_crosses_the_socket_with_its_class_and_code():
    frame = wire.answer_frame(7, NotEmpty("still in use", code="BucketNotEmpty"))
    number, outcome = wire.answer_of(frame[5:])
    assert number == 7
    assert (type(outcome), str(outcome), outcome.code) == (NotEmpty, "still in use", "BucketNotEmpty")
