"""What sealing costs: GETs of a tenant, whose objects are encrypted, beside the same of the root's own, whose are not.

One gateway, without contracts, so that nothing but the seal differs. 4 KiB: 32 connections over 10,000 keys, CPU of a request, in turns.
1 GiB: one connection, bytes for a CPU second, of the first GET and of those after it; what is not encrypted goes by sendfile then.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.s3 import _peers
from benchmarks.s3._cost import measure, random_file
from benchmarks.s3._load import Replay, Site, Target, alternate, pinned
from benchmarks.s3._report import arguments, figure, write
from benchmarks.s3._transfer import UNSIGNED, Transfer
from isotherm.clock import SystemClock
from isotherm.devices.waiting import drive
from isotherm.ids import SystemIds
from isotherm.settings import Settings
from isotherm.store import compose
from isotherm.tenancy.identity import Credentials
from isotherm.tenancy.roles import OWNER, ROOT_TENANT
from isotherm.tenancy.tenants import Tenants
from isotherm.tenancy.terms import Terms
from isotherm.testing.server import RunningServer

_MIB = 1 << 20
_BODY_BYTES = 4_096


def _plant(data: Path, keys: int) -> dict[str, tuple[str, str]]:
    """Access keys of the root and of a tenant, each with objects of 4 KiB."""
    pairs = {}
    engines = compose(Settings(data), role="foreign")
    try:
        clock, ids = SystemClock(), SystemIds()
        tenants, credentials = (
            Tenants(engines.meta, clock, engines.vault),
            Credentials(engines.meta, engines.keys, clock, ids),
        )
        drive(tenants.create(OWNER, "acme", {}, Terms()))
        for name, path in (("plain", "/"), ("sealed", "acme")):
            pair = drive(credentials.create(tenant=tenants.place(OWNER, path)))
            pairs[name] = (pair.access_key, pair.secret)
            space = engines.space(pair.tenant)
            drive(space.create_bucket("bench"))
            for number in range(keys):
                drive(space.put("bench", f"{number:05d}", os.urandom(_BODY_BYTES)))
            _check(drive(space.open("bench", "00000")).version.extents[0].sealed, pair.tenant != ROOT_TENANT)
    finally:
        engines.close()
    return pairs


def _check(sealed: bool, wanted: bool) -> None:
    if sealed is not wanted:
        raise SystemExit(f"an object is {'' if sealed else 'not '}sealed")


def _get(connection: Transfer, path: str, times: int) -> None:
    for _ in range(times):
        connection.get(path)


def _per_cpu(sites: list[Site], body: Path, rounds: int, gets: int) -> tuple[list[float], list[float]]:
    """Of the sealed against the plain: bytes a CPU second of first GETs, and of those after."""
    first, again = [], []
    connections = {site.name: Transfer(site) for site in sites}
    size = body.stat().st_size
    for turn in range(rounds):
        path = f"/bench/large-{turn}"
        firsts, agains = {}, {}
        for site in sites:
            connection = connections[site.name]
            connection.put(path, body, UNSIGNED)
            firsts[site.name] = measure(f"{site.name}, first", site.pid, size, partial(_get, connection, path, 1)).cpu_s
            many = partial(_get, connection, path, gets)
            agains[site.name] = measure(f"{site.name}, again", site.pid, size * gets, many).cpu_s
        first.append(firsts["plain"] / firsts["sealed"])
        again.append(agains["plain"] / agains["sealed"])
    return first, again


def main() -> None:
    given = arguments()
    _peers.need("wrk", "taskset")
    keys, size, rounds, seconds, gets = (500, 64, 2, 1, 2) if given.quick else (10_000, 1_024, 5, 4, 3)
    with tempfile.TemporaryDirectory(prefix="isotherm-bench-") as name:
        scratch = Path(name)
        body = scratch / "body"
        random_file(body, size * _MIB)
        pairs = _plant(scratch / "data", keys)
        with pinned():
            server = RunningServer(scratch / "data", options=("--no-qos",))
            server.start()
        try:
            site = Site("", int(server.address.s3.rsplit(":", 1)[1]), server.process.pid)
            sites = [replace(site, name=name, access_key=pair[0], secret=pair[1]) for name, pair in pairs.items()]
            targets = [Target(f"/bench/{number:05d}") for number in range(keys)]
            found = alternate([Replay(scratch, site, "GET", targets) for site in sites], rounds, seconds)
            first, again = _per_cpu(sites, body, rounds, gets)
        finally:
            server.stop()
    small = [plain.cpu_us / sealed.cpu_us for plain, sealed in zip(found["plain"], found["sealed"], strict=True)]
    figures = [
        figure("get_4k_per_cpu_sealed_against_plain", small, bar=0.85, better="higher"),
        figure("get_1g_first_per_cpu_sealed_against_plain", first, bar=None, better="higher"),
        figure("get_1g_again_per_cpu_sealed_against_plain", again, bar=None, better="higher"),
    ]
    write(given.json, figures, {}, (__doc__ or "").strip())


if __name__ == "__main__":
    main()
