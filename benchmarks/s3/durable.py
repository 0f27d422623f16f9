"""Durable PUT of 4 KiB through two gateways (32 connections, signed) beside 32 writers in one process that do the least a durable
put can do: append to one file and fdatasync it, then commit one row to LMDB, both for all writers that wait.

Alternating; wall-clock rates as ratios. Nothing is pinned: server, writers and load share all cores, and wrk's part is the
server's loss.
"""

from __future__ import annotations

import os
import struct
import tempfile
import threading
import time
from pathlib import Path

import lmdb
from awscrt.checksums import crc32c

import isotherm
from benchmarks.s3 import _peers
from benchmarks.s3._load import Replay, Target
from benchmarks.s3._report import arguments, figure, write

_BODY_BYTES = 4_096
_WRITERS = 32
_ROW = struct.Struct(">QII")  # offset, length, crc32c
_EVERYWHERE = f"0-{(os.cpu_count() or 1) - 1}"


class _Put:
    __slots__ = ("data", "done", "gate", "key")

    def __init__(self, key: bytes, data: bytes) -> None:
        self.key, self.data = key, data
        self.done = False
        self.gate = threading.Lock()
        self.gate.acquire()


class Bare:
    """Group commit without a store: of the threads that wait one commits for all, then the next one leads."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self._env = lmdb.open(str(directory), map_size=1 << 40)
        self._file = os.open(directory / "segment", os.O_WRONLY | os.O_CREAT)
        self._end = 0
        self._lock = threading.Lock()
        self._waiting: list[_Put] = []
        self._led = False

    def put(self, key: bytes, data: bytes) -> None:
        """Durable on return."""
        own = _Put(key, data)
        with self._lock:
            self._waiting.append(own)
            follows, self._led = self._led, True
        if follows:
            own.gate.acquire()
            if own.done:
                return
        with self._lock:
            batch, self._waiting = self._waiting, []
        self._commit(batch)
        with self._lock:
            heir = self._waiting[0] if self._waiting else None
            self._led = heir is not None
        for each in (*batch, heir):
            if each is not None and each is not own:
                each.done = each is not heir
                each.gate.release()

    def _commit(self, batch: list[_Put]) -> None:
        os.pwritev(self._file, [each.data for each in batch], self._end)
        os.fdatasync(self._file)
        with self._env.begin(write=True) as txn:
            for each in batch:
                size = len(each.data)
                txn.put(each.key, _ROW.pack(self._end, size, crc32c(each.data)))
                self._end += size


def _bare_rate(bare: Bare, body: bytes, seconds: float, label: int) -> float:
    """Puts per second of all writers."""
    counts = [0] * _WRITERS
    end = time.monotonic() + seconds

    def work(writer: int) -> None:
        while time.monotonic() < end:
            bare.put(b"%d/%d/%d" % (label, writer, counts[writer]), body)
            counts[writer] += 1

    start = time.monotonic()
    threads = [threading.Thread(target=work, args=(writer,)) for writer in range(_WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / (time.monotonic() - start)


def main() -> None:
    given = arguments()
    _peers.need("wrk", "taskset")
    rounds, seconds = (2, 2) if given.quick else (7, 4)
    ratios: list[float] = []
    with tempfile.TemporaryDirectory(prefix="isotherm-bench-") as name:
        scratch = Path(name)
        body = scratch / "body"
        body.write_bytes(os.urandom(_BODY_BYTES))
        bare = Bare(scratch / "bare")
        with isotherm.open(scratch / "data") as store:
            store.create_bucket("bench")
        with _peers.isotherm(scratch / "data", gateways=2, pin=False) as site:
            fresh = [Target(f"/bench/w/{number:06d}") for number in range(200_000)]
            load = Replay(scratch, site, "PUT", fresh, body)
            load.run(1, _WRITERS, cores=_EVERYWHERE)
            for number in range(rounds):
                floor = _bare_rate(bare, body.read_bytes(), seconds, number)
                outcome = load.run(seconds, _WRITERS, cores=_EVERYWHERE)
                if outcome.refused or not outcome.requests:
                    raise SystemExit(f"{outcome.refused} of {outcome.requests} requests refused")
                rate = outcome.requests / outcome.wall_s
                ratios.append(rate / floor)
                print(f"two gateways {rate:8.0f}/s against bare {floor:8.0f}/s", flush=True)
    figures = [figure("put_4k_two_gateways_against_bare_group_commit", ratios, bar=0.4, better="higher")]
    write(given.json, figures, {"lmdb": ".".join(map(str, lmdb.version()))}, (__doc__ or "").strip())


if __name__ == "__main__":
    main()
