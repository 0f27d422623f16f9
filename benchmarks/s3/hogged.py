"""The tail of a server's durable 4 KiB PUTs while a program beside it, which has the same store open and writes to it, keeps its
own interpreter lock busy.

Alternating: alone; beside such a program that never opened the store, which shows what the processor's share costs; beside
one that writes. The program runs on the load's core, niced.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import isotherm
from benchmarks.s3 import _peers
from benchmarks.s3._load import LOAD_CORE, Outcome, Replay, Target
from benchmarks.s3._report import arguments, figure, write

_BODY_BYTES = 4_096
_CONNECTIONS = 8


@contextlib.contextmanager
def _hog(arguments: Sequence[str]) -> Iterator[None]:
    command = ["taskset", "-c", str(LOAD_CORE), sys.executable, "-m", "benchmarks.s3._hog", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            if process.stdout.readline() != "ready\n":
                raise SystemExit("the program beside the server did not start")
            yield
        finally:
            process.kill()


def _run(load: Replay, seconds: int) -> Outcome:
    outcome = load.run(seconds, _CONNECTIONS)
    if outcome.refused or not outcome.requests:
        raise SystemExit(f"{outcome.refused} of {outcome.requests} requests refused")
    return outcome


def main() -> None:
    given = arguments()
    _peers.need("wrk", "taskset")
    rounds, seconds = (1, 2) if given.quick else (7, 4)
    against_alone: list[float] = []
    against_stranger: list[float] = []
    with tempfile.TemporaryDirectory(prefix="isotherm-bench-") as name:
        scratch = Path(name)
        body = scratch / "body"
        body.write_bytes(os.urandom(_BODY_BYTES))
        data = scratch / "data"
        with isotherm.open(data) as store:
            store.create_bucket("bench")
        with _peers.isotherm(data) as site:
            load = Replay(scratch, site, "PUT", [Target(f"/bench/w/{number:06d}") for number in range(200_000)], body)
            _run(load, 1)
            for _ in range(rounds):
                alone = _run(load, seconds)
                with _hog([]):
                    stranger = _run(load, seconds)
                with _hog([str(data)]):
                    beside = _run(load, seconds)
                against_alone.append(beside.p99_ms / alone.p99_ms)
                against_stranger.append(beside.p99_ms / stranger.p99_ms)
                print(
                    f"PUT p99: alone {alone.p99_ms:6.2f} ms, beside a busy stranger {stranger.p99_ms:6.2f} ms, beside a busy "
                    f"writer {beside.p99_ms:6.2f} ms",
                    flush=True,
                )
    figures = [
        figure("put_4k_p99_beside_a_busy_writer", against_alone, bar=2, better="lower"),
        figure("put_4k_p99_beside_a_busy_writer_against_a_stranger", against_stranger, bar=None, better="lower"),
    ]
    write(given.json, figures, {}, (__doc__ or "").strip())


if __name__ == "__main__":
    main()
