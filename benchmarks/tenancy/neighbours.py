"""Noisy neighbours over S3: the p99 of a tenant that stays within its reservation while another floods the gateway, against the
same tenant alone and against the same flood with contracts switched off; and what contracts cost a tenant that is alone.

4 KiB GETs. The quiet tenant asks 200 times a second on one connection, the flood with 128 connections as fast as it is answered.
One gateway on core 0, clients on the last core, the flood's niced. Rounds alternate between a server with contracts and one
without; the cost is CPU a request of 32 connections of one tenant that has terms, of which none binds.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from benchmarks.s3 import _peers
from benchmarks.s3._load import LOAD_CORE, Outcome, Replay, Site, Target, authorization, pinned
from benchmarks.s3._report import arguments, figure, write
from isotherm.clock import SystemClock
from isotherm.devices.waiting import drive
from isotherm.ids import SystemIds
from isotherm.settings import Settings
from isotherm.store import compose
from isotherm.tenancy.identity import Credentials
from isotherm.tenancy.roles import OWNER
from isotherm.tenancy.tenants import Tenants
from isotherm.tenancy.terms import Terms
from isotherm.testing.server import RunningServer

FLOOD_CONNECTIONS = 128
RATE = 200
KEYS = 100
QUIET = Terms(iops_reservation=2 * RATE)
Pairs = dict[str, dict[str, tuple[str, str]]]
"""Server → tenant → access key and secret."""
TARGETS = [Target(f"/bench/{number:03d}") for number in range(KEYS)]


def _plant(data: Path) -> dict[str, tuple[str, str]]:
    """Two tenants with objects; access key and secret of each."""
    pairs = {}
    engines = compose(Settings(data), role="foreign")
    try:
        clock, ids = SystemClock(), SystemIds()
        tenants, credentials = (
            Tenants(engines.meta, clock, engines.vault),
            Credentials(engines.meta, engines.keys, clock, ids),
        )
        for name, terms in (("quiet", QUIET), ("flood", Terms(iops_limit=10**6))):
            drive(tenants.create(OWNER, name, {}, terms))
            pair = drive(credentials.create(tenant=tenants.place(OWNER, name)))
            pairs[name] = (pair.access_key, pair.secret)
            space = engines.space(pair.tenant)
            drive(space.create_bucket("bench"))
            for target in TARGETS:
                drive(space.put("bench", target.path.rsplit("/", 1)[1], os.urandom(4_096)))
    finally:
        engines.close()
    return pairs


@contextlib.contextmanager
def _served(data: Path, name: str, *options: str) -> Iterator[Site]:
    with pinned():
        server = RunningServer(data, options=options)
        server.start()
    try:
        port = int(server.address.s3.rsplit(":", 1)[1])
        yield Site(name, port, server.process.pid)
    finally:
        server.stop()


def _as(site: Site, pair: tuple[str, str]) -> Site:
    return replace(site, access_key=pair[0], secret=pair[1])


class _Quiet:
    """The quiet tenant's client: asks at its own pace, whatever the answers take."""

    def __init__(self, site: Site) -> None:
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        empty = hashlib.sha256(b"").hexdigest()
        self.requests = [
            f"GET {target.path} HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\nx-amz-date: {date}\r\nx-amz-content-sha256: {empty}\r\n"
            f"Authorization: {authorization(site, 'GET', target, empty, date)}\r\n\r\n".encode()
            for target in TARGETS
        ]
        self.peer = socket.create_connection(("127.0.0.1", site.port))
        self.peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def p99_ms(self, seconds: float) -> float:
        latencies = []
        began_s = time.monotonic()
        for number in range(int(seconds * RATE)):
            due_s = began_s + number / RATE
            time.sleep(max(0.0, due_s - time.monotonic()))
            asked_s = time.monotonic()
            self.peer.sendall(self.requests[number % KEYS])
            self._answer()
            latencies.append(time.monotonic() - asked_s)
        return sorted(latencies)[int(len(latencies) * 0.99)] * 1_000

    def _answer(self) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        if b" 200 " not in head[:20]:
            raise SystemExit(f"refused: {head!r}")
        while len(body) < 4_096:
            body += self._more()

    def _more(self) -> bytes:
        data = self.peer.recv(65_536)
        if not data:
            raise SystemExit("the server closed the connection")
        return data


@contextlib.contextmanager
def _flooded(load: Replay, seconds: float) -> Iterator[None]:
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(load.run(int(seconds) + 2, FLOOD_CONNECTIONS)))
    thread.start()
    time.sleep(1.0)
    try:
        yield
    finally:
        thread.join()
        print(f"   the flood got {outcomes[0].requests / outcomes[0].wall_s:.0f}/s", flush=True)


def _neighbours(scratch: Path, sites: list[Site], pairs: Pairs, rounds: int, seconds: float) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for _ in range(rounds):
        for site in sites:
            quiet = _Quiet(_as(site, pairs[site.name]["quiet"]))
            alone = quiet.p99_ms(seconds)
            with _flooded(Replay(scratch, _as(site, pairs[site.name]["flood"]), "GET", TARGETS), seconds):
                beside = quiet.p99_ms(seconds)
            found.setdefault(f"{site.name}_alone", []).append(alone)
            found.setdefault(f"{site.name}_beside", []).append(beside)
            print(f"contracts {site.name:>3}: p99 alone {alone:6.2f} ms, beside the flood {beside:6.2f} ms", flush=True)
    return found


def _cost(scratch: Path, sites: list[Site], pairs: Pairs, rounds: int, seconds: int) -> list[float]:
    loads = [Replay(scratch, _as(site, pairs[site.name]["flood"]), "GET", TARGETS) for site in sites]
    for load in loads:
        load.run(1)
    ratios = []
    for number in range(rounds):
        cpu_us = {}
        for load in loads if number % 2 else loads[::-1]:
            outcome = load.run(seconds)
            if outcome.refused:
                raise SystemExit(f"{outcome.refused} requests refused")
            cpu_us[load.site.name] = outcome.cpu_us
        print(f"CPU a GET: contracts on {cpu_us['on']:6.1f} µs, off {cpu_us['off']:6.1f} µs", flush=True)
        ratios.append(cpu_us["off"] / cpu_us["on"])
    return ratios


def main() -> None:
    given = arguments()
    _peers.need("wrk", "taskset")
    rounds, seconds = (1, 3) if given.quick else (5, 6)
    os.sched_setaffinity(0, {LOAD_CORE})
    subprocess.run(["renice", "-n", "-5", "-p", str(os.getpid())], check=False, capture_output=True)
    with tempfile.TemporaryDirectory(prefix="isotherm-bench-") as name, contextlib.ExitStack() as stack:
        scratch = Path(name)
        sites, pairs = [], {}
        for how, options in (("on", ()), ("off", ("--no-qos",))):
            pairs[how] = _plant(scratch / how)
            sites.append(stack.enter_context(_served(scratch / how, how, *options)))
        found = _neighbours(scratch, sites, pairs, rounds, seconds)
        cost = _cost(scratch, sites, pairs, 2 * rounds, int(seconds))
    beside, alone, off = found["on_beside"], found["on_alone"], found["off_beside"]
    figures = [
        figure("quiet_p99_beside_a_flood", [b / a for b, a in zip(beside, alone, strict=True)], bar=4, better="lower"),
        figure(
            "quiet_p99_beside_a_flood_against_contracts_off",
            [b / o for b, o in zip(beside, off, strict=True)],
            bar=0.1,
            better="lower",
        ),
        figure("get_4k_cpu_contracts_off_against_on", cost, bar=0.95, better="higher"),
        figure("quiet_p99_beside_a_flood_ms", beside, bar=None, better="lower", unit="ms"),
        figure("quiet_p99_alone_ms", alone, bar=None, better="lower", unit="ms"),
        figure("quiet_p99_beside_a_flood_contracts_off_ms", off, bar=None, better="lower", unit="ms"),
    ]
    write(given.json, figures, {}, (__doc__ or "").strip())


if __name__ == "__main__":
    main()
