"""Replies that leave together: none is kept behind what takes long, none overtakes another, none is forgotten."""

import asyncio

from isotherm.clock import VirtualClock
from isotherm.protocols.s3.limits import S3Settings
from isotherm.protocols.s3.turn import HELD_S, TOGETHER_MOST, Turn
from isotherm.protocols.s3.wire import Reply
from tests.s3.wire.harness import Wire, answers, run, sign


class Letter:
    """Something that is held until it is flushed."""

    def __init__(self, sent):
        self._sent = sent

    def flush(self):
        self._sent.append(self)


def test_what_is_held_goes_out_when_the_loop_has_done_what_was_ready():
    async def scenario():
        sent = []
        turn = Turn(VirtualClock())
        letters = [Letter(sent) for _ in range(3)]
        for letter in letters:
            turn.hold(letter)
        assert not sent
        await asyncio.sleep(0)
        assert sent == letters
        await asyncio.sleep(0)
        assert sent == letters

    run(scenario())


def test_one_that_cannot_be_sent_holds_nobody_up():
    async def scenario():
        failures = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context["exception"]))

        class Broken(Letter):
            def flush(self):
                raise ZeroDivisionError

        sent = []
        turn = Turn(VirtualClock())
        letters = [Letter(sent), Broken(sent), Letter(sent)]
        for letter in letters:
            turn.hold(letter)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert sent == [letters[0], letters[2]]
        assert [type(failure) for failure in failures] == [ZeroDivisionError]

    run(scenario())


def test_a_bounded_number_waits():
    async def scenario():
        sent = []
        turn = Turn(VirtualClock())
        for _ in range(TOGETHER_MOST + 1):
            turn.hold(Letter(sent))
        assert len(sent) == TOGETHER_MOST

    run(scenario())


def test_nothing_waits_for_a_request_that_begins_much_later():
    async def scenario():
        sent = []
        clock = VirtualClock()
        turn = Turn(clock)
        turn.hold(Letter(sent))
        turn.work_begins(clock.monotonic() + HELD_S / 2)
        assert not sent
        turn.work_begins(clock.monotonic() + 2 * HELD_S)
        assert len(sent) == 1

    run(scenario())


def test_latency_runs_to_the_hand_over_of_the_reply():
    async def dispatch(request):
        asyncio.get_running_loop().call_soon(wire.clock.advance, 0.5)  # before the turn ends: it was ready earlier
        return Reply(200, [], b"x")

    wire = Wire(dispatch)
    run(wire.converse(sign("GET", "/b/k")))
    [line] = wire.logged()
    assert line["ms"] == 500


def test_pipelined_replies_of_every_kind_keep_their_order():
    async def pieces():
        yield b"first of many "
        yield b"and second"

    async def dispatch(request):
        bodies = {"small": b"s" * 10, "large": b"l" * 100_000, "none": b"", "stream": pieces()}
        return Reply(200, [("x-key", request.key)], bodies[request.key])

    kinds = ["small", "stream", "small", "large", "none", "small", "large", "stream", "stream", "small"] * 3
    wire = Wire(dispatch)
    data = run(wire.converse(b"".join(sign("GET", f"/b/{kind}") for kind in kinds)))
    found = answers(data)
    assert [answer.headers["x-key"] for answer in found] == kinds
    assert {len(answer.body) for answer in found if answer.headers["x-key"] == "large"} == {100_000}


def test_replies_held_for_one_connection_are_bounded():
    """A client that pipelines without reading makes the server hold what its bound allows, not a reply for each request."""
    wire = Wire(settings=S3Settings(write_bytes_ahead=1))
    seen = []

    async def dispatch(request):
        seen.append(request.key)
        return Reply(200, [], b"x" * 60_000)

    async def scenario():
        reader, writer = await wire.connect()
        for number in range(200):
            writer.write(sign("GET", f"/b/{number}"))
        for _ in range(50):
            await asyncio.sleep(0)
        count = len(seen)
        writer.close()
        del reader
        return count

    wire.dispatch = wire.endpoint.dispatch = dispatch
    assert 0 < run(scenario()) < 100


def test_whole_replies_that_wait_are_sent_before_the_connection_ends():
    wire = Wire()
    data = run(wire.converse(sign("GET", "/b/1") + sign("GET", "/b/2") + b"nonsense\r\n\r\n"))
    assert [answer.status for answer in answers(data)] == [200, 200, 400]


def test_earlier_replies_survive_one_that_breaks_off():
    async def broken():
        yield b"begun"
        raise ZeroDivisionError

    async def dispatch(request):
        return Reply(200, [], broken() if request.key == "bad" else b"good")

    wire = Wire(dispatch)

    async def scenario():
        reader, writer = await wire.connect()
        writer.write(sign("GET", "/b/1") + sign("GET", "/b/bad"))
        data = b""
        try:
            while piece := await reader.read(65_536):
                data += piece
        except ConnectionResetError:
            pass
        writer.close()
        return data

    assert b"good" in run(scenario())
