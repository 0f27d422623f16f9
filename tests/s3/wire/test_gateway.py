"""The gateway on a real listener: accepting, TLS, limits, draining."""

import asyncio
import socket
from contextlib import suppress

import pytest

from isotherm.protocols.s3.limits import S3Settings
from isotherm.protocols.s3.wire import Ranged, Reply
from tests.s3.wire.harness import Wire, answers, run, sign
from tests.s3.wire.readings import FileReading
from tests.s3.wire.serving import Served, certify, listening


async def ask(reader, writer, request):
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    [answer] = answers(head.replace(b"Content-Length: ", b"X-Length: ").replace(b"content-length: ", b"X-Length: "))
    answer.body = await reader.readexactly(int(answer.headers["x-length"]))
    return answer


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    return certify(tmp_path_factory.mktemp("tls"))


def test_connections_are_served_with_small_delays_off():
    async def conversation():
        async with Served(Wire()) as served:
            reader, writer = await served.connect()
            answer = await ask(reader, writer, sign("PUT", "/b/k", body=b"hello"))
            [connection] = served.gateway.roster
            peer = connection._transport.get_extra_info("socket")
            assert peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            writer.close()
            return answer

    assert run(conversation()).body == b"hello"


def test_every_connection_is_counted():
    async def conversation():
        counts = []
        async with Served(Wire(), counted=counts.append) as served:
            clients = [await served.connect() for _ in range(5)]
            await served.accepted(5)
            for _, writer in clients:
                writer.close()
            await served.accepted(0)
        return counts

    counts = run(conversation())
    assert max(counts) >= 5
    assert counts[-1] == 0


def test_a_process_that_is_ahead_leaves_connections_to_its_sibling():
    async def conversation():
        listener = listening()
        inherited = listener.dup()  # as another process has it
        first = Served(Wire(), listener, may_accept=lambda: first.gateway.connections <= second.gateway.connections)
        second = Served(Wire(), inherited, may_accept=lambda: second.gateway.connections <= first.gateway.connections)
        async with first, second:
            clients = [await first.connect() for _ in range(32)]
            while first.gateway.connections + second.gateway.connections < 32:  # noqa: ASYNC110
                await asyncio.sleep(0)
            shares = [first.gateway.connections, second.gateway.connections]
            for _, writer in clients:
                writer.close()
        listener.close()
        inherited.close()
        return shares

    assert abs(int.__sub__(*run(conversation()))) <= 2


def test_a_sibling_that_hangs_does_not_hold_up_clients():
    async def conversation():
        async with Served(Wire(), may_accept=lambda: False) as served:
            return await ask(*await served.connect(), sign("GET", "/b/k"))

    assert run(conversation()).status == 200


def test_beyond_the_limit_idle_connections_make_room_and_busy_ones_do_not():
    async def conversation():
        gate = asyncio.Event()

        async def dispatch(request):
            await gate.wait()
            return Reply(200, [], request.key.encode())

        async with Served(Wire(dispatch, settings=S3Settings(connections_most=2))) as served:
            idle, busy, third = [await served.connect() for _ in range(3)]
            await served.accepted(2)
            busy[1].write(sign("GET", "/b/busy"))
            for _ in range(20):
                await asyncio.sleep(0)
            served.gateway.roster.now += 2
            gate.set()
            answer = await ask(*third, sign("GET", "/b/third"))
            assert await idle[0].read() == b""
            assert answers(await busy[0].readuntil(b"busy"))[0].body == b"busy"
            return answer

    assert run(conversation()).body == b"third"


def test_beyond_the_limit_strangers_make_room_before_clients():
    async def conversation():
        async with Served(Wire(settings=S3Settings(connections_most=2))) as served:
            client = await served.connect()
            await ask(*client, sign("GET", "/b/k"))
            stranger = await served.connect()
            stranger[1].write(sign("GET", "/b/half")[:20])
            await served.accepted(2)
            served.gateway.roster.now += 2
            third = await served.connect()
            answer = await ask(*third, sign("GET", "/b/third"))
            with suppress(ConnectionResetError):
                assert await stranger[0].read() == b""
            again = await ask(*client, sign("GET", "/b/again"))
            return answer.status, again.status

    assert run(conversation()) == (200, 200)


def test_beyond_the_limit_handshakes_that_do_not_get_on_make_room(certificate):
    async def conversation():
        wire = Wire(settings=S3Settings(connections_most=2))
        async with Served(wire, tls=certificate.server) as served:
            silent = [await served.connect() for _ in range(2)]
            await served.accepted(2)
            served.gateway.roster.now += 2
            reader, writer = await served.connect(ssl=certificate.client)
            answer = await ask(reader, writer, sign("GET", "/b/k"))
            with suppress(ConnectionResetError):
                assert await silent[0][0].read() == b""
            writer.close()
            silent[1][1].close()
            return answer.status, wire.said

    assert run(conversation()) == (200, [])


def test_draining_finishes_what_is_under_way_and_takes_nothing_new():
    async def conversation():
        gate = asyncio.Event()
        wire = Wire()

        async def dispatch(request):
            await gate.wait()
            return Reply(200, [], request.key.encode())

        wire.endpoint.dispatch = dispatch
        async with Served(wire) as served:
            idle, busy, half = [await served.connect() for _ in range(3)]
            busy[1].write(sign("GET", "/b/busy"))
            half[1].write(sign("GET", "/b/half")[:20])
            await served.accepted(3)
            for _ in range(20):
                await asyncio.sleep(0)
            draining = asyncio.create_task(served.gateway.drain(30.0))
            assert await idle[0].read() == b""
            late = await served.connect()
            gate.set()
            half[1].write(sign("GET", "/b/half")[20:])
            found = [answers(await reader.read())[0] for reader, _ in (busy, half)]
            finished = await draining
            late[1].close()
            return finished, found, wire.logged()

    finished, found, lines = run(conversation())
    assert finished
    assert [(answer.body, answer.headers["connection"]) for answer in found] == [(b"busy", "close"), (b"half", "close")]
    assert len(lines) == 2


def test_draining_cuts_off_what_does_not_finish():
    async def conversation():
        async def dispatch(request):
            await asyncio.Event().wait()

        async with Served(Wire(dispatch)) as served:
            reader, writer = await served.connect()
            writer.write(sign("GET", "/b/k"))
            await served.accepted(1)
            for _ in range(20):
                await asyncio.sleep(0)
            finished = await served.gateway.drain(0.01)
            return finished, await reader.read(), served.gateway.connections

    assert run(conversation()) == (False, b"", 0)


def test_tls_serves_all_that_plain_http_does(certificate, tmp_path):
    stored = tmp_path / "object"
    stored.write_bytes(b"0123456789abcdef" * 200_000)

    async def dispatch(request):
        body = b"".join([bytes(piece) async for piece in request.body.pieces])
        if body:
            return Reply(200, [], body)
        return Reply(200, [], Ranged(FileReading(stored, verified=True), 16, 3_000_000))

    async def conversation():
        async with Served(Wire(dispatch), tls=certificate.server) as served:
            reader, writer = await served.connect(ssl=certificate.client)
            small = await ask(reader, writer, sign("PUT", "/b/k", body=b"hello"))
            large = await ask(reader, writer, sign("PUT", "/b/k", body=b"x" * 3_000_000))
            read = await ask(reader, writer, sign("GET", "/b/k"))
            writer.write(b"nonsense\r\n\r\n")
            refused = answers(await reader.read())
            writer.close()
            return small.body, large.body, read.body, refused[0].code

    small, large, read, refused = run(conversation())
    assert (small, large, refused) == (b"hello", b"x" * 3_000_000, "BadRequest")
    assert read == stored.read_bytes()[16:3_000_016]


def test_a_client_that_speaks_no_tls_harms_nobody(certificate):
    async def conversation():
        wire = Wire()
        async with Served(wire, tls=certificate.server) as served:
            plain = await served.connect()
            plain[1].write(sign("GET", "/b/k"))
            assert await plain[0].read() == b""
            reader, writer = await served.connect(ssl=certificate.client)
            answer = await ask(reader, writer, sign("GET", "/b/k"))
            writer.close()
            return answer.status, wire.said

    assert run(conversation()) == (200, [])
