"""Memory of the gateways while 16 clients write objects of 4 GiB and 16 others read one.

Two gateways. Each writer announces 4 GiB, sends at most 1.25 GiB of them, past the end of a segment, and goes away, so that
the disk need not hold 64 GiB; then it begins anew. Each reader reads an object of 4 GiB to its end or until the time is over,
the first time with every block verified. RssAnon of each gateway (proc(5)) is sampled ten times a second; the figure is the
largest sample of any, in MB of 1,000,000 bytes. A quick
run sends 128 MiB and reads an object of 512 MiB.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import threading
import time
from pathlib import Path

import isotherm
from benchmarks.s3._load import Site
from benchmarks.s3._memory import anonymous_bytes
from benchmarks.s3._report import arguments, figure, write
from benchmarks.s3._transfer import Transfer
from isotherm.testing.server import RunningServer

_GIB = 1 << 30
_CLIENTS = 16
_SAMPLE_S = 0.1


class _Load:
    """Clients until `seconds` are over; what they moved, in bytes."""

    def __init__(self, site: Site, body: Path, sent: int, seconds: float) -> None:
        self._site = site
        self._body = body
        self._sent = sent
        self._until = time.monotonic() + seconds
        self._lock = threading.Lock()
        self.written = self.read = 0

    @property
    def over(self) -> bool:
        return time.monotonic() >= self._until

    def write(self, number: int) -> None:
        while not self.over:
            connection = Transfer(self._site)
            sent = connection.give_up(f"/bench/w-{number}", self._body, 4 * _GIB, self._sent, lambda: self.over)
            with self._lock:
                self.written += sent

    def read_on(self) -> None:
        while not self.over:
            connection = Transfer(self._site)
            received = connection.get("/bench/large", lambda: self.over)
            connection.close()
            with self._lock:
                self.read += received


def _sampled(pids: list[int], load: _Load) -> list[int]:
    """The largest sample of each process while clients are at it."""
    clients = [threading.Thread(target=load.write, args=(number,)) for number in range(_CLIENTS)]
    clients += [threading.Thread(target=load.read_on) for _ in range(_CLIENTS)]
    for client in clients:
        client.start()
    most = [0] * len(pids)
    while any(client.is_alive() for client in clients):
        most = [max(before, anonymous_bytes(pid)) for before, pid in zip(most, pids, strict=True)]
        time.sleep(_SAMPLE_S)
    for client in clients:
        client.join()
    return most


def _store(directory: Path, body: Path, size: int) -> None:
    pieces = size // body.stat().st_size
    with isotherm.open(directory) as store:
        store.create_bucket("bench")
        store.put("bench", "large", itertools.repeat(body.read_bytes(), pieces))


def main() -> None:
    given = arguments()
    rounds, seconds, stored, sent = (1, 4, _GIB // 2, _GIB // 8) if given.quick else (2, 20, 4 * _GIB, 5 * _GIB // 4)
    figures = []
    with tempfile.TemporaryDirectory(prefix="isotherm-bench-") as name:
        data, body = Path(name) / "data", Path(name) / "body"
        body.write_bytes(os.urandom(64 << 20))
        _store(data, body, stored)
        runs = []
        for _ in range(rounds):
            with RunningServer(data, gateways=2) as server:
                credential = server.credential
                port = int(server.address.s3.rsplit(":", 1)[1])
                site = Site("isotherm", port, server.process.pid, credential.access_key, credential.secret)
                pids = [server.pid(f"gateway-{number}") for number in range(2)]
                idle = [anonymous_bytes(pid) / 1e6 for pid in pids]
                load = _Load(site, body, sent, seconds)
                most = [each / 1e6 for each in _sampled(pids, load)]
            runs.append(max(most))
            moved = f"written {load.written / _GIB:.1f} GiB, read {load.read / _GIB:.1f} GiB"
            print(
                f"idle {idle[0]:.0f} and {idle[1]:.0f} MB, most {most[0]:.0f} and {most[1]:.0f} MB; {moved}", flush=True
            )
        figures.append(figure("gateway_memory_streaming", runs, bar=200, better="lower", unit="MB"))
    write(given.json, figures, {}, (__doc__ or "").strip())


if __name__ == "__main__":
    main()
