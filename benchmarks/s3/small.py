"""Small objects over HTTP: GET and durable PUT of 4 KiB and LIST of 1,000 keys, beside nginx and `rclone serve s3`.

All through 32 keep-alive connections, one gateway, signed but for nginx. Isotherm syncs what it acknowledges, verifies
what it serves, keeps an access log and counts; rclone does not sync.
"""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import isotherm
from benchmarks.s3 import _peers
from benchmarks.s3._load import Outcome, Replay, Target, alternate
from benchmarks.s3._report import arguments, figure, write

_BODY_BYTES = 4_096
_LISTED = 5_000
_FILLERS = 32


def _fill(data: Path, body: bytes, keys: int) -> None:
    """Write the keys from a program; the server is started afterwards."""
    with isotherm.open(data) as store:
        store.create_bucket("bench")
        names = [f"n/{number:06d}" for number in range(keys)] + [f"l/{number:06d}" for number in range(_LISTED)]
        with ThreadPoolExecutor(_FILLERS) as pool:
            for _ in pool.map(lambda key: store.put("bench", key, body), names):
                pass
    print(f"{len(names)} keys written", flush=True)


def _files(directory: Path, body: bytes, keys: int) -> None:
    for folder, count in (("n", keys), ("l", _LISTED)):
        (directory / "bench" / folder).mkdir(parents=True)
        for number in range(count):
            (directory / "bench" / folder / f"{number:06d}").write_bytes(body)


def _ratios(ours: list[Outcome], theirs: list[Outcome]) -> list[float]:
    """Their CPU per request against ours, round by round."""
    return [their.cpu_us / our.cpu_us for our, their in zip(ours, theirs, strict=True)]


def main() -> None:
    given = arguments()
    _peers.need("wrk", "nginx", "taskset")
    keys, rounds, seconds = (2_000, 1, 1) if given.quick else (100_000, 5, 3)
    with tempfile.TemporaryDirectory(prefix="isotherm-bench-") as name:
        scratch = Path(name)
        os.chmod(scratch, 0o755)
        body = scratch / "body"
        body.write_bytes(os.urandom(_BODY_BYTES))
        _files(scratch / "rclone", body.read_bytes(), keys)
        _fill(scratch / "data", body.read_bytes(), keys)
        with (
            _peers.isotherm(scratch / "data") as ours,
            _peers.nginx(scratch, body) as plain,
            _peers.rclone(scratch / "rclone") as peer,
        ):
            some = [Target(f"/bench/n/{number * 7919 % keys:06d}") for number in range(min(keys, 50_000))]
            print("GET 4 KiB", flush=True)
            get = alternate([Replay(scratch, site, "GET", some) for site in (ours, plain, peer)], rounds, seconds)
            print("PUT 4 KiB, distinct keys", flush=True)
            fresh = [Target(f"/bench/w/{number:06d}") for number in range(200_000)]
            put = alternate([Replay(scratch, site, "PUT", fresh, body) for site in (ours, peer)], rounds, seconds)
            print(f"LIST 1,000 of {_LISTED} keys", flush=True)
            page = [Target("/bench", "list-type=2&prefix=l%2F")]
            pages = alternate([Replay(scratch, site, "GET", page) for site in (ours, peer)], rounds, seconds)
    nginx_runs = [1 / ratio for ratio in _ratios(get["isotherm"], get["nginx"])]
    list_runs = [1 / ratio for ratio in _ratios(pages["isotherm"], pages["rclone"])]
    figures = [
        figure("get_4k_cpu_against_nginx", nginx_runs, bar=4, better="lower"),
        figure("get_4k_per_cpu_against_rclone", _ratios(get["isotherm"], get["rclone"]), bar=3.5, better="higher"),
        figure("put_4k_per_cpu_against_rclone", _ratios(put["isotherm"], put["rclone"]), bar=5, better="higher"),
        figure("list_1000_cpu_against_rclone", list_runs, bar=0.125, better="lower"),
    ]
    for operation, outcomes in (("get_4k", get), ("put_4k", put), ("list_1000", pages)):
        runs = [outcome.cpu_us for outcome in outcomes["isotherm"]]
        figures.append(figure(f"{operation}_cpu", runs, bar=None, better="lower", unit="µs"))
    versions = {"rclone": _peers.rclone_version(), "nginx": _peers.nginx_version()}
    write(given.json, figures, versions, (__doc__ or "").strip())


if __name__ == "__main__":
    main()
