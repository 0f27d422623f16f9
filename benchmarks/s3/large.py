"""Large objects over HTTP: 64 MiB PUT with a signed payload beside `rclone serve s3`; 1 GiB durable PUT beside
`dd conv=fsync`; 1 GiB GET, first and again, beside nginx with sendfile.

One connection, one gateway. PUT of 64 MiB and GET are compared by the server's CPU time a byte: both run on one core, the
client on the other. The durable PUT, whose payload is unsigned, is compared by wall-clock time, since the device is what
bounds it; dd reads the same file from memory. Every block is verified in the first GET, none in those that follow within
the stated interval. rclone does not sync. The objects of 64 MiB are few, and overwritten: in a virtual machine whose host backs
memory at first touch, a page cache that grows costs several times what writing does.
"""

from __future__ import annotations

import functools
import os
import subprocess
import tempfile
import time
from pathlib import Path

import isotherm
from benchmarks.s3 import _peers
from benchmarks.s3._cost import Cost, measure, random_file
from benchmarks.s3._load import Site
from benchmarks.s3._report import arguments, figure, write
from benchmarks.s3._transfer import UNSIGNED, Transfer

_MIB = 1 << 20


def _signed_puts(sites: list[Site], body: Path, sha256: str, rounds: int, each: int) -> list[list[Cost]]:
    """Alternately `each` PUTs to each site; costs by round and site."""
    print(f"PUT {body.stat().st_size // _MIB} MiB, signed payload", flush=True)
    connections = [Transfer(site) for site in sites]
    found = []
    for turn in range(rounds + 1):  # the first warms up
        costs = []
        for site, connection in zip(sites, connections, strict=True):

            def puts(connection: Transfer = connection) -> None:
                for number in range(each):
                    connection.put(f"/bench/put-{number}", body, sha256)

            costs.append(measure(site.name, site.pid, each * body.stat().st_size, puts))
        if turn:
            found.append(costs)
    for connection in connections:
        connection.close()
    return found


def _dd(body: Path, target: Path) -> Cost:
    command = ["dd", f"if={body}", f"of={target}", "bs=1M", "conv=fsync", "status=none"]
    start = time.monotonic()
    subprocess.run(command, check=True)
    cost = Cost(body.stat().st_size, 0.0, time.monotonic() - start)
    cost.show("dd conv=fsync")
    return cost


def _gets(name: str, site: Site, connection: Transfer, path: str, size: int, times: int) -> Cost:
    return measure(name, site.pid, times * size, lambda: [connection.get(path) for _ in range(times)])


def main() -> None:
    given = arguments()
    _peers.need("nginx", "dd")
    size, rounds, each, gets = (128 * _MIB, 2, 2, 8) if given.quick else (1024 * _MIB, 5, 3, 4)
    against_dd, first, again, plain = [], [], [], []
    with tempfile.TemporaryDirectory(prefix="isotherm-bench-") as name:
        scratch = Path(name)
        os.chmod(scratch, 0o755)
        small, body = scratch / "small", scratch / "body"
        sha256 = random_file(small, 64 * _MIB)
        random_file(body, size)
        with isotherm.open(scratch / "data") as store:
            store.create_bucket("bench")
        (scratch / "rclone" / "bench").mkdir(parents=True)
        with (
            _peers.isotherm(scratch / "data") as ours,
            _peers.nginx(scratch, body) as nginx,
            _peers.rclone(scratch / "rclone") as rclone,
        ):
            puts = _signed_puts([ours, rclone], small, sha256, rounds, each)
            print(f"{size // _MIB} MiB", flush=True)
            mine, theirs = Transfer(ours), Transfer(nginx)
            for turn in range(rounds):
                path = f"/bench/large-{turn}"  # a new object, so that its first reading is a first one
                dd = _dd(body, scratch / "dd")
                put = measure("durable PUT", ours.pid, size, functools.partial(mine.put, path, body, UNSIGNED))
                (scratch / "dd").unlink()  # not before, or what it frees would serve the PUT
                against_dd.append(dd.wall_s / put.wall_s)
                first.append(_gets("first GET", ours, mine, path, size, 1))
                plain.append(_gets("nginx", nginx, theirs, "/", size, gets))
                again.append(_gets("GET again", ours, mine, path, size, gets))
    figures = [
        figure(
            "put_64m_signed_per_cpu_against_rclone",
            [peer.cpu_s / mine.cpu_s for mine, peer in puts],
            bar=3.5,
            better="higher",
        ),
        figure("put_1g_durable_against_dd", against_dd, bar=0.5, better="higher"),
        figure("get_1g_first_per_cpu_against_nginx", _per_cpu(first, plain), bar=0.3, better="higher"),
        figure("get_1g_again_per_cpu_against_nginx", _per_cpu(again, plain), bar=0.7, better="higher"),
    ]
    versions = {"rclone": _peers.rclone_version(), "nginx": _peers.nginx_version()}
    write(given.json, figures, versions, (__doc__ or "").strip())


def _per_cpu(ours: list[Cost], theirs: list[Cost]) -> list[float]:
    """Bytes a CPU second of ours against theirs, round by round."""
    return [(our.size / our.cpu_s) / (their.size / their.cpu_s) for our, their in zip(ours, theirs, strict=True)]


if __name__ == "__main__":
    main()
