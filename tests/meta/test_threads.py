"""One handle used by many threads, with and without event loops, and closed under them."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

from isotherm.clock import SystemClock
from isotherm.devices.waiting import drive
from isotherm.errors import Closed
from isotherm.ids import SystemIds
from isotherm.meta.lmdb import LmdbMeta

THREADS = 8
ROUNDS = 60


def open_meta(directory):
    return LmdbMeta.open(directory, clock=SystemClock(), ids=SystemIds(), role="foreign", sync=False)


async def increment(txn):
    number = int(await txn.get(b"n") or b"0") + 1
    txn.put(b"n", b"%d" % number)
    txn.put(b"row/%06d" % number, b"")
    txn.put(b"l" * 700 + b"%06d" % number, b"")
    return number


async def consistent(meta):
    with meta.snapshot() as snapshot:
        number = int(await snapshot.get(b"n") or b"0")
        assert len(await snapshot.range(b"row/", b"row0", 10_000)) == number
        assert len(await snapshot.range(b"l" * 700, b"l" * 700 + b"\xff", 10_000, reverse=True)) == number


async def work(meta):
    numbers = []
    for _ in range(ROUNDS):
        numbers.append((await meta.transact(increment))[0])
        await consistent(meta)
    return numbers


def test_threads_with_and_without_loops_share_a_handle(tmp_path):
    with open_meta(tmp_path) as meta, ThreadPoolExecutor(THREADS) as pool:
        runs = [drive, asyncio.run] * (THREADS // 2)
        results = [future.result() for future in [pool.submit(run, work(meta)) for run in runs]]
    assert sorted(chain.from_iterable(results)) == list(range(1, THREADS * ROUNDS + 1))
    for numbers in results:
        assert numbers == sorted(numbers)


def test_a_handle_may_be_closed_while_others_use_it(tmp_path):
    for _ in range(20):
        meta = open_meta(tmp_path)
        started = threading.Barrier(THREADS + 1)

        def use(meta=meta, started=started):
            started.wait()
            try:
                while True:
                    drive(meta.transact(increment))
                    drive(consistent(meta))
            except Closed:
                return True

        with ThreadPoolExecutor(THREADS) as pool:
            futures = [pool.submit(use) for _ in range(THREADS)]
            started.wait()
            meta.close()
            assert all(future.result() for future in futures)
    with open_meta(tmp_path) as meta:
        drive(consistent(meta))
