"""GET and durable PUT of 4 KiB with the metadata in PostgreSQL, beside the same with LMDB, one gateway each.

All through 32 keep-alive connections, everything on. PostgreSQL is Debian's, with its own settings but for 256 MB of shared
buffers, on a Unix socket, and syncs what it commits. It shares the gateway's core, so that requests per second are those of one
core for both; CPU is counted with PostgreSQL's share and without it.
"""

from __future__ import annotations

import os
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import isotherm
from benchmarks.s3 import _peers
from benchmarks.s3._load import Outcome, Replay, Site, Target, cpu_seconds, pinned
from benchmarks.s3._report import arguments, figure, write
from isotherm.settings import Settings
from isotherm.testing.postgres import TemporaryPostgres, programs

_BODY_BYTES = 4_096
_FILLERS = 16


@dataclass(frozen=True, slots=True)
class _Run:
    """Per request: microseconds of CPU of the server's processes, and of PostgreSQL's."""

    server_us: float
    database_us: float
    per_s: float

    @property
    def whole_us(self) -> float:
        return self.server_us + self.database_us


def _fill(data: Path, meta: str, body: bytes, keys: int) -> None:
    with isotherm.open(data, settings=Settings(data, meta=meta)) as store:
        store.create_bucket("bench")
        with ThreadPoolExecutor(_FILLERS) as pool:
            for _ in pool.map(lambda number: store.put("bench", f"n/{number:06d}", body), range(keys)):
                pass


def _alternate(replays: list[Replay], database: int, rounds: int, seconds: int) -> dict[str, list[_Run]]:
    found: dict[str, list[_Run]] = {}
    for replay in replays:
        replay.run(1)
    for _ in range(rounds):
        for replay in replays:
            before_s, began_s = cpu_seconds(database), time.monotonic()
            outcome: Outcome = replay.run(seconds)
            if outcome.refused or not outcome.requests:
                raise SystemExit(f"{replay.site.name}: {outcome.refused} of {outcome.requests} requests refused")
            spent_us = (cpu_seconds(database) - before_s) / outcome.requests * 1e6
            run = _Run(outcome.cpu_us, spent_us, outcome.requests / (time.monotonic() - began_s))
            found.setdefault(replay.site.name, []).append(run)
            print(
                f"{replay.site.name:>10}  {run.per_s:8.0f}/s  {run.server_us:7.1f} + {run.database_us:6.1f} µs CPU each",
                flush=True,
            )
    return found


def _measure(
    scratch: Path, sites: list[Site], database: int, keys: int, rounds: int, seconds: int
) -> dict[str, dict[str, list[_Run]]]:
    body = scratch / "body"
    some = [Target(f"/bench/n/{number * 7919 % keys:06d}") for number in range(keys)]
    fresh = [Target(f"/bench/w/{number:06d}") for number in range(200_000)]
    print("GET 4 KiB", flush=True)
    got = _alternate([Replay(scratch, site, "GET", some) for site in sites], database, rounds, seconds)
    print("PUT 4 KiB, distinct keys", flush=True)
    put = _alternate([Replay(scratch, site, "PUT", fresh, body) for site in sites], database, rounds, seconds)
    return {"get_4k": got, "put_4k": put}


def main() -> None:
    given = arguments()
    _peers.need("wrk", "taskset")
    keys, rounds, seconds = (1_000, 1, 2) if given.quick else (20_000, 5, 4)
    with tempfile.TemporaryDirectory(prefix="isotherm-bench-") as name:
        scratch = Path(name)
        body = scratch / "body"
        body.write_bytes(os.urandom(_BODY_BYTES))
        with pinned():
            postgres = TemporaryPostgres(settings={"shared_buffers": "256MB"})
            postgres.start()
        with postgres:
            meta = postgres.database()
            for folder, address in (("lmdb", ""), ("postgresql", meta)):
                _fill(scratch / folder, address, body.read_bytes(), keys)
            with (
                _peers.isotherm(scratch / "lmdb", name="lmdb") as embedded,
                _peers.isotherm(scratch / "postgresql", meta=meta, name="postgresql") as database,
            ):
                measured = _measure(scratch, [embedded, database], postgres.pid, keys, rounds, seconds)
    figures = []
    for operation, runs in measured.items():
        pairs = list(zip(runs["lmdb"], runs["postgresql"], strict=True))
        named = f"{operation}_postgresql"
        gateway = [ours.server_us / theirs.server_us for ours, theirs in pairs]
        figures.append(figure(f"{named}_against_lmdb", gateway, bar=0.3, better="higher"))
        whole = [ours.whole_us / theirs.whole_us for ours, theirs in pairs]
        figures.append(figure(f"{named}_against_lmdb_with_the_database", whole, bar=None, better="higher"))
        for what in ("server_us", "database_us"):
            spent = [getattr(theirs, what) for _, theirs in pairs]
            figures.append(
                figure(f"{named}_{what.removesuffix('_us')}_cpu", spent, bar=None, better="lower", unit="µs")
            )
    found = programs()
    versions = {"postgresql": found.parent.name if found else ""}
    write(given.json, figures, versions, (__doc__ or "").strip())


if __name__ == "__main__":
    main()
