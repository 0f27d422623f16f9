"""Coroutines that are begun at once, and become tasks only if they must wait."""

import asyncio

import pytest
import uvloop

from isotherm.devices.waiting import Completion, resolve_all, start_eagerly

LOOPS = [asyncio.new_event_loop, uvloop.new_event_loop]


def run(coroutine, factory):
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(coroutine)


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def factory(request):
    return request.param


def test_what_never_waits_has_ended_when_it_was_begun(factory):
    async def main():
        done = []

        async def work():
            done.append(1)

        assert start_eagerly(work()) is None
        return done

    assert run(main(), factory) == [1]


def test_an_error_of_the_first_step_is_raised_at_once(factory):
    async def main():
        async def work():
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            start_eagerly(work())

    run(main(), factory)


def test_what_waits_goes_on_as_a_task(factory):
    async def main():
        completion = Completion()

        async def work():
            await asyncio.sleep(0)
            first = await completion
            return first + await asyncio.to_thread(lambda: 1)

        task = start_eagerly(work())
        asyncio.get_running_loop().call_soon(resolve_all, [(completion, 41)])
        return await task

    assert run(main(), factory) == 42


def test_an_error_of_a_later_step_is_the_tasks(factory):
    async def main():
        async def work():
            await asyncio.sleep(0)
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await start_eagerly(work())

    run(main(), factory)


@pytest.mark.parametrize("steps", [0, 1, 2])
def test_a_cancellation_reaches_the_coroutine_whenever_it_comes(factory, steps):
    async def main():
        seen = []

        async def work():
            try:
                await asyncio.sleep(0)
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append("cancelled")
                await asyncio.sleep(0)
                seen.append("cleaned up")
                raise

        task = start_eagerly(work())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return seen

    assert run(main(), factory) == ["cancelled", "cleaned up"]


def test_a_coroutine_may_refuse_to_be_cancelled(factory):
    async def main():
        async def work():
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                return "no"

        task = start_eagerly(work())
        task.cancel()
        return await task

    assert run(main(), factory) == "no"
