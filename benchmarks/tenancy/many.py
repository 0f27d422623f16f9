"""Ten thousand tenants on one gateway: made, at work, idle, and there at a start.

*Made*: 8 clients, each with a connection to the administrative API and one to S3, make tenants, a key for each, and with that key
its bucket and an object of 4 KiB; the time for all of it but the objects.
*At work*: CPU of a GET of 4 KiB, signed by 10,000 tenants in turn, one object each, against the same number of objects of one
tenant; 32 connections, rounds alternate.
*Idle*: RssAnon of the gateway after every tenant has asked once, less that before, for each.
*At a start*: from the start of a server to its first PUT, on this store with 1,000,000 objects more, against an empty one.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import http.client
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.s3 import _peers
from benchmarks.s3._load import Replay, Site, Target, alternate, authorization, pinned
from benchmarks.s3._memory import anonymous_bytes
from benchmarks.s3._report import arguments, figure, write
from benchmarks.s3._rows import Row, empty_object, write_rows
from isotherm.devices.waiting import drive
from isotherm.settings import Settings
from isotherm.store import Engines, compose
from isotherm.tenancy.roles import ROOT_TENANT
from isotherm.testing.server import RunningServer

CLIENTS = 8
BODY = os.urandom(4_096)


def _name(number: int) -> str:
    return f"t{number:05d}"


class _Client:
    """Two keep-alive connections of one administrator."""

    def __init__(self, server: RunningServer, site: Site) -> None:
        self._site = site
        self._admin = http.client.HTTPConnection(urlsplit(server.address.admin).netloc)
        self._s3 = http.client.HTTPConnection(f"127.0.0.1:{site.port}")
        pair = f"{site.access_key}:{site.secret}".encode()
        self._headers = {
            "Authorization": "Basic " + base64.b64encode(pair).decode(),
            "Content-Type": "application/json",
        }

    def make(self, name: str) -> Site:
        """A tenant with a key and a bucket; who it signs as."""
        self._ask("PUT", f"/v1/tenants/{name}", {})
        pair = self._ask("POST", f"/v1/tenants/{name}/keys", {"roles": ["data"]})
        signer = replace(self._site, access_key=pair["access_key"], secret=pair["secret_key"])
        self.put(signer, "/bench")
        return signer

    def put(self, signer: Site, path: str, body: bytes = b"") -> None:
        self._signed(signer, "PUT", path, body)

    def get(self, signer: Site, path: str) -> bytes:
        return self._signed(signer, "GET", path, b"")

    def _signed(self, signer: Site, method: str, path: str, body: bytes) -> bytes:
        payload_hash = hashlib.sha256(body).hexdigest()
        date = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        headers = {
            "Authorization": authorization(signer, method, Target(path), payload_hash, date),
            "x-amz-date": date,
            "x-amz-content-sha256": payload_hash,
        }
        self._s3.request(method, path, body, headers)
        return self._answered(self._s3.getresponse())

    def _ask(self, method: str, path: str, body: object) -> dict[str, str]:
        self._admin.request(method, path, json.dumps(body), self._headers)
        told: dict[str, str] = json.loads(self._answered(self._admin.getresponse()))
        return told

    @staticmethod
    def _answered(answer: http.client.HTTPResponse) -> bytes:
        body = answer.read()
        if answer.status not in (200, 201):
            raise SystemExit(f"refused: {answer.status} {body!r}")
        return body


def _made(server: RunningServer, site: Site, tenants: int) -> tuple[list[Site], float]:
    """Who the tenants sign as, and how long it took to make them."""
    signers: dict[int, Site] = {}

    def work(first: int) -> None:
        client = _Client(server, site)
        for number in range(first, tenants, CLIENTS):
            signers[number] = client.make(_name(number))

    start_s = time.monotonic()
    threads = [threading.Thread(target=work, args=(first,)) for first in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took_s = time.monotonic() - start_s
    if len(signers) < tenants:
        raise SystemExit(f"{len(signers)} of {tenants} tenants were made")
    return [signers[number] for number in range(tenants)], took_s


def _plant(server: RunningServer, site: Site, signers: list[Site]) -> None:
    """An object for each tenant, and as many for the first of them."""
    client = _Client(server, site)
    for number, signer in enumerate(signers):
        client.put(signer, "/bench/object", BODY)
        client.put(signers[0], f"/bench/{number:05d}", BODY)


def _add_objects(data: Path, tenants: int, objects: int) -> int:
    """Rows of empty objects, as many for each tenant; how many in all."""
    engines = compose(Settings(data), role="foreign")
    try:
        return write_rows(engines.meta, _empty_objects(engines, tenants, objects // tenants))
    finally:
        engines.close()


def _empty_objects(engines: Engines, tenants: int, each: int) -> Iterator[Row]:
    now_ms = int(time.time() * 1_000)
    for tenant in range(ROOT_TENANT + 1, ROOT_TENANT + 1 + tenants):
        bucket = drive(engines.space(tenant).bucket("bench")).id
        for number in range(each):
            yield empty_object(tenant, bucket, b"n/%07d" % number, now_ms)


@contextlib.contextmanager
def _running(server: RunningServer) -> Iterator[None]:
    """On the server's core."""
    with pinned():
        server.start()
    try:
        yield
    finally:
        server.stop()


def _start_s(data: Path) -> float:
    """From the start of a server to its first PUT."""
    server = RunningServer(data)
    start_s = time.monotonic()
    server.start()
    try:
        site = _site(server)
        client = _Client(server, site)
        client.put(site, "/started")
        return time.monotonic() - start_s
    finally:
        server.stop()


def _site(server: RunningServer, name: str = "isotherm") -> Site:
    credential = server.credential
    port = int(server.address.s3.rsplit(":", 1)[1])
    return Site(name, port, server.process.pid, credential.access_key, credential.secret)


def _at_work(
    server: RunningServer, scratch: Path, signers: list[Site], rounds: int, seconds: int
) -> tuple[float, list[float]]:
    """Bytes of the gateway's memory for each tenant, and the CPU of a GET of many against one of one, in turns."""
    site = _site(server, "many")
    here = [replace(signer, port=site.port) for signer in signers]
    gateway = server.pid("gateway-0")
    client = _Client(server, site)
    for number in range(len(here)):
        client.get(here[0], f"/bench/{number:05d}")
    before_bytes = anonymous_bytes(gateway)
    for signer in here:
        client.get(signer, "/bench/object")
    idle_bytes = (anonymous_bytes(gateway) - before_bytes) / len(here)
    print(f"{idle_bytes:.0f} bytes of the gateway's memory a tenant", flush=True)
    of_many = [Target("/bench/object", signer=signer) for signer in here]
    of_one = [Target(f"/bench/{number:05d}", signer=here[0]) for number in range(len(here))]
    one = Replay(scratch, replace(site, name="one"), "GET", of_one)
    many = Replay(scratch, site, "GET", of_many)
    found = alternate([one, many], rounds, seconds)
    return idle_bytes, [many.cpu_us / one.cpu_us for many, one in zip(found["many"], found["one"], strict=True)]


def main() -> None:
    given = arguments()
    _peers.need("wrk", "taskset")
    tenants, objects, rounds, seconds = (200, 10_000, 1, 1) if given.quick else (10_000, 1_000_000, 5, 6)
    with tempfile.TemporaryDirectory(prefix="isotherm-bench-") as name:
        scratch = Path(name)
        data, empty = scratch / "data", scratch / "empty"
        server = RunningServer(data)
        with _running(server):
            signers, made_s = _made(server, _site(server), tenants)
            print(f"{tenants} tenants, keys and buckets in {made_s:.1f} s", flush=True)
            _plant(server, _site(server), signers)
        with _running(server):
            idle_bytes, ratios = _at_work(server, scratch, signers, rounds, seconds)
        print(f"{_add_objects(data, tenants, objects)} objects more", flush=True)
        _start_s(empty)
        starts = []
        for _ in range(rounds):
            full_s, empty_s = _start_s(data), _start_s(empty)
            print(f"first PUT after {full_s:.2f} s, of an empty store after {empty_s:.2f} s", flush=True)
            starts.append(full_s / empty_s)
    figures = [
        figure("tenants_with_keys_and_buckets_made", [made_s], bar=60, better="lower", unit="s"),
        figure("gateway_memory_of_an_idle_tenant", [idle_bytes], bar=4_096, better="lower", unit="bytes"),
        figure("get_4k_cpu_of_10000_tenants_against_one", ratios, bar=1.25, better="lower"),
        figure("start_with_10000_tenants_and_1m_objects_against_empty", starts, bar=1.5, better="lower"),
    ]
    write(given.json, figures, {}, (__doc__ or "").strip())


if __name__ == "__main__":
    main()
