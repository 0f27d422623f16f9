"""The embedded store beside one locked SQLite connection (WAL, synchronous=FULL) that stores the same 4 KiB blobs.

Durable puts from 8 and 32 threads, then gets of what was put, alternating; wall-clock rates as ratios.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import isotherm
from benchmarks.s3._report import arguments, figure, write

_BLOB = os.urandom(4_096)


def _rate(threads: int, seconds: float, act: Callable[[int, int], object]) -> float:
    """Calls of `act(thread, n)` per second over all threads."""
    counts = [0] * threads
    end = time.monotonic() + seconds

    def work(thread: int) -> None:
        n = 0
        while time.monotonic() < end:
            act(thread, n)
            n += 1
        counts[thread] = n

    start = time.monotonic()
    workers = [threading.Thread(target=work, args=(thread,)) for thread in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / (time.monotonic() - start)


class Sqlite:
    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.execute("pragma journal_mode=wal")
        self._connection.execute("pragma synchronous=full")
        self._connection.execute("create table blobs (key text primary key, value blob) without rowid")

    def put(self, key: str) -> None:
        with self._lock:
            self._connection.execute("insert or replace into blobs values (?, ?)", (key, _BLOB))

    def get(self, key: str) -> None:
        with self._lock:
            row = self._connection.execute("select value from blobs where key = ?", (key,)).fetchone()
        assert len(row[0]) == len(_BLOB)


def main() -> None:
    given = arguments()
    rounds, seconds = (1, 1.0) if given.quick else (5, 3.0)
    runs: dict[str, list[float]] = {"put_8": [], "put_32": [], "get": []}
    with tempfile.TemporaryDirectory(prefix="isotherm-bench-") as name:
        scratch = Path(name)
        sqlite = Sqlite(scratch / "blobs.sqlite")
        with isotherm.open(scratch / "data") as store:
            store.create_bucket("bench")
            for round_number in range(rounds):
                for threads in (8, 32):

                    def path(thread: int, n: int, label: str = f"{round_number}/{threads}") -> str:
                        return f"{label}/{thread}/{n}"

                    ours = _rate(threads, seconds, lambda t, n, p=path: store.put("bench", p(t, n), _BLOB))  # type: ignore[misc]
                    theirs = _rate(threads, seconds, lambda t, n, p=path: sqlite.put(p(t, n)))  # type: ignore[misc]
                    runs[f"put_{threads}"].append(ours / theirs)
                    print(f"put, {threads:2} threads: {ours:8.0f}/s against SQLite {theirs:8.0f}/s", flush=True)
                ours = _rate(1, seconds, lambda _, n: store.get("bench", f"0/8/0/{n % 10}"))
                theirs = _rate(1, seconds, lambda _, n: sqlite.get(f"0/8/0/{n % 10}"))
                runs["get"].append(ours / theirs)
                print(f"get,  1 thread : {ours:8.0f}/s against SQLite {theirs:8.0f}/s", flush=True)
    figures = [
        figure("embedded_put_8_writers_against_sqlite", runs["put_8"], bar=0.8, better="higher"),
        figure("embedded_put_32_writers_against_sqlite", runs["put_32"], bar=1.5, better="higher"),
        figure("embedded_get_against_sqlite", runs["get"], bar=1, better="higher"),
    ]
    write(given.json, figures, {"sqlite": sqlite3.sqlite_version}, (__doc__ or "").strip())


if __name__ == "__main__":
    main()
