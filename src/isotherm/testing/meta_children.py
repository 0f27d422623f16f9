"""Programs that the `meta` suite runs in processes of their own. Each takes an opener, a place, and one end of a pipe.

Spawned, never forked; whatever one of them has to say goes through its pipe, so that its parent can kill it at a known
point. The parent's side is `Child`.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from typing import Any, Protocol, TypeVar

from isotherm.clock import Clock, SystemClock
from isotherm.errors import ForkedHandle
from isotherm.ids import SeededIds
from isotherm.meta.port import NO_STAMP, Meta, Transaction

T = TypeVar("T")
Operation = tuple[str, Any, Any]
"""Its name, its key or bounds, and what it read or wrote."""

READY = "ready"
PATIENCE_S = 60.0


class Draw:
    """Repeatable choices."""

    def __init__(self, seed: int) -> None:
        self._ids = SeededIds(seed)

    def below(self, bound: int) -> int:
        return int.from_bytes(self._ids.token(4), "big") % bound

    def coin(self) -> bool:
        return self.below(2) == 0

    def choice(self, options: Sequence[T]) -> T:
        return options[self.below(len(options))]


class Opener(Protocol):
    """Opens the store at a place (a path, an address). A function at the top of a module, so that children find it."""

    def __call__(self, place: str, clock: Clock) -> Awaitable[Meta]: ...


Program = Callable[..., Awaitable[None]]


class Child:
    """A process that runs `program(meta, pipe, *args)` on the store at `place`. It has opened it when this returns."""

    def __init__(self, opener: Opener, place: str, program: Program, *args: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self._process = context.Process(target=_main, args=(opener, place, program, theirs, args), daemon=True)
        self._process.start()
        theirs.close()
        assert self.receive() == READY

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def receive(self) -> Any:
        """The next thing it says. Raises EOFError when it has ended."""
        if not self.pipe.poll(PATIENCE_S):
            raise TimeoutError("a child process says nothing")
        return self.pipe.recv()

    def said(self) -> list[Any]:
        """Everything it has said, up to its end."""
        words = []
        with suppress(EOFError, ConnectionResetError):
            while True:
                words.append(self.receive())
        return words

    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.is_alive()

    def kill(self) -> None:
        """SIGKILL; returns when it is dead."""
        os.kill(self.pid, signal.SIGKILL)
        self._process.join(PATIENCE_S)

    def end(self) -> list[Any]:
        """Wait for it to end by itself; what it said last. Fails unless it ended well."""
        words = self.said()
        self._process.join(PATIENCE_S)
        assert self._process.exitcode == 0, f"the child ended with {self._process.exitcode}"
        return words


def _main(opener: Opener, place: str, program: Program, pipe: Connection, args: tuple[Any, ...]) -> None:
    async def run() -> None:
        meta = await opener(place, SystemClock())
        pipe.send(READY)
        await program(meta, pipe, *args)
        meta.close()

    asyncio.run(run())
    pipe.close()


async def append_records(meta: Meta, pipe: Connection, name: bytes, count: int, tasks: int) -> None:
    """Append name/0…count-1 to the feed b"f", several at a time but those of one task in order."""

    async def write(task: int) -> None:
        for number in range(task, count, tasks):

            async def append(txn: Transaction, number: int = number) -> None:
                txn.append(b"f", b"%s/%d/%d" % (name, task, number))

            await meta.transact(append)

    await asyncio.gather(*(write(task) for task in range(tasks)))


async def increment(meta: Meta, pipe: Connection, key: bytes, count: int, tasks: int) -> None:
    """Count a decimal number up by reading and writing it."""

    async def one(txn: Transaction) -> None:
        txn.put(key, b"%d" % (int(await txn.get(key) or b"0") + 1))

    async def write() -> None:
        for _ in range(count):
            await meta.transact(one)

    await asyncio.gather(*(write() for _ in range(tasks)))


async def commit_pairs(meta: Meta, pipe: Connection, round_: int, tasks: int) -> None:
    """Write left/… and right/… in one transaction, say the number once it is acknowledged, for ever."""

    async def write(task: int) -> None:
        number = 0
        while True:
            key = b"%d/%d/%d" % (round_, task, number)

            async def one(txn: Transaction, key: bytes = key) -> None:
                await txn.get(b"left/" + key)
                txn.put(b"left/" + key, b"x" * 200)
                txn.put(b"right/" + key, b"y" * 2000)
                txn.add(b"pairs", 1)
                txn.append(b"pairs", key)

            await meta.transact(one)
            pipe.send(key)
            number += 1

    await asyncio.gather(*(write(task) for task in range(tasks)))


async def transact_at_random(meta: Meta, pipe: Connection, seed: int, tasks: int, count: int) -> None:
    """Run random transactions on a handful of keys; say each one's stamp, and what it read and wrote, in order."""
    draw = Draw(seed)
    keys = [bytes((97 + number,)) * length for number in range(4) for length in (1, 600)]

    async def fn(txn: Transaction) -> list[Operation]:
        done: list[Operation] = []
        for _ in range(1 + draw.below(6)):
            key, other = draw.choice(keys), draw.choice(keys)
            match draw.below(4):
                case 0:
                    done.append(("get", key, await txn.get(key)))
                case 1:
                    done.append(("range", (key, other), await txn.range(key, other, 3)))
                case 2:
                    value = b"%d" % draw.below(1_000_000)
                    txn.put(key, value)
                    done.append(("put", key, value))
                case _:
                    txn.delete(key)
                    done.append(("delete", key, None))
            await asyncio.sleep(0)
        return done

    async def write() -> None:
        for _ in range(count):
            done, committed = await meta.transact(fn)
            if committed.base != NO_STAMP:
                pipe.send((committed.base, done))

    await asyncio.gather(*(write() for _ in range(tasks)))


async def read_key(meta: Meta, pipe: Connection, key: bytes) -> None:
    """Say what is at a key."""
    pipe.send(await meta.get(key))


async def fork_and_try(meta: Meta, pipe: Connection, opener: Opener, place: str) -> None:
    """Fork with the store open; the forked process says what its parent's handle does there, and opens its own.

    Then the parent goes on with its handle and a snapshot it held across the fork.
    """
    await meta.transact(_put_parent)
    snapshot = meta.snapshot()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            pipe.send(_forked_half(meta, opener, place))
            status = 0
        finally:
            os._exit(status)
    _, status = await asyncio.to_thread(os.waitpid, pid, 0)
    pipe.send(("forked process ended with", status))
    pipe.send(("snapshot", await snapshot.get(b"parent")))
    snapshot.close()
    await meta.transact(_put_parent)
    pipe.send(("parent", await meta.get(b"child")))


async def _put_parent(txn: Transaction) -> None:
    txn.put(b"parent", b"1")


def _forked_half(meta: Meta, opener: Opener, place: str) -> tuple[str, list[str], bytes | None]:
    refused = []
    for name, call in _uses(meta):
        try:
            asyncio.new_event_loop().run_until_complete(call())
        except ForkedHandle:
            refused.append(name)
    meta.close()

    async def anew() -> bytes | None:
        own = await opener(place, SystemClock())

        async def put(txn: Transaction) -> None:
            txn.put(b"child", await txn.get(b"parent") or b"")

        await own.transact(put)
        value = await own.get(b"child")
        own.close()
        return value

    return ("refused", refused, asyncio.new_event_loop().run_until_complete(anew()))


def _uses(meta: Meta) -> list[tuple[str, Callable[[], Awaitable[Any]]]]:
    async def snapshot() -> None:
        meta.snapshot()

    return [
        ("get", lambda: meta.get(b"parent")),
        ("range", lambda: meta.range(b"a", b"z", 1)),
        ("transact", lambda: meta.transact(_put_parent)),
        ("feed", lambda: meta.feed(b"f", None, 1)),
        ("snapshot", snapshot),
    ]
