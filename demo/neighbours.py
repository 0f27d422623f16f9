"""The act of the noisy neighbour: one tenant floods a gateway, another asks now and then, without and with their contract.

The flood is this module as a program (`python -m demo.neighbours PORT PATH`), which ends when its parent closes its input.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from demo.clients import Credentials, s3_client
from demo.screen import Screen
from demo.server import Server, free_ports

FLOOD_CONNECTIONS = 64
QUIET_REQUESTS = 100
PAUSE_S = 0.01
RESERVED = 300


def show(screen: Screen, command: Path, home: Path) -> list[tuple[str, str, str]]:
    """Both ways, one after the other; rows for the table at the end."""
    screen.section("A tenant that floods the platform, and one that was promised its part")
    data = home / "neighbours"
    shutil.rmtree(data, ignore_errors=True)
    usual_ms: dict[bool, float] = {}
    keys: list[Credentials] = []
    for contract in (False, True):
        port, admin_port = free_ports(9002, 9003)
        options = ("--gateways", "1", *(() if contract else ("--no-qos",)))
        server = Server(command, data, port, admin_port, home / "neighbours.log", *options)
        server.start()
        try:
            if not contract:
                keys = _plant(screen, command, server, data)
            quiet, noisy = (_link(server, key) for key in keys)
            alone_ms = _median_ms(port, quiet)
            with _flood(port, noisy):
                usual_ms[contract] = _median_ms(port, quiet)
        finally:
            server.stop()
        how = "with the contract" if contract else "contract off (--no-qos)"
        screen.say(
            f"{how:24} the quiet one's answers take {alone_ms:6.1f} ms alone, {usual_ms[contract]:6.1f} ms beside the flood"
        )
    if usual_ms[True] < usual_ms[False]:
        ratio = usual_ms[False] / usual_ms[True]
        screen.proof(f"{ratio:.1f} times faster answers within the reservation, beside the same flood")
    else:
        screen.say(
            "In this run the contract made no difference: this machine has other work to do. Try again when it is idle."
        )
    return [
        ("get beside a flood, median", f"{usual_ms[True]:.1f} ms", f"{usual_ms[False]:.1f} ms with the contract off")
    ]


def _plant(screen: Screen, command: Path, server: Server, data: Path) -> list[Credentials]:
    keys = []
    for name, terms in (("quiet", ["--iops-reservation", str(RESERVED)]), ("noisy", [])):
        arguments = ["tenant", "create", name, "--data", str(data), *terms]
        screen.say(f"$ isotherm {' '.join(arguments)}")
        subprocess.run([str(command), *arguments], check=True, capture_output=True)
        keys.append(_key(command, data, name))
        client = s3_client(server.endpoint, keys[-1])
        client.create_bucket(Bucket="own")
        client.put_object(Bucket="own", Key="k", Body=bytes(4_096))
    return keys


def _key(command: Path, data: Path, tenant: str) -> Credentials:
    arguments = ["keys", "create", "--data", str(data), "--tenant", tenant, "--role", "data", "--json"]
    printed = subprocess.run([str(command), *arguments], check=True, capture_output=True).stdout
    pair = json.loads(printed)
    return Credentials(pair["access_key"], pair["secret_key"])


def _link(server: Server, key: Credentials) -> str:
    """A presigned path: the clients here shall measure the server, not themselves."""
    client = s3_client(server.endpoint, key)
    parts = urlsplit(client.generate_presigned_url("get_object", {"Bucket": "own", "Key": "k"}))
    return f"{parts.path}?{parts.query}"


def _median_ms(port: int, path: str) -> float:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    latencies = []
    for _ in range(QUIET_REQUESTS):
        time.sleep(PAUSE_S)
        began = time.monotonic()
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        latencies.append(time.monotonic() - began)
        if answer.status != 200:
            raise RuntimeError(f"the quiet tenant was told {answer.status}")
    connection.close()
    return sorted(latencies)[QUIET_REQUESTS // 2] * 1_000


@contextmanager
def _flood(port: int, path: str) -> Iterator[None]:
    command = [sys.executable, "-m", "demo.neighbours", str(port), path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as flood:
        try:
            assert flood.stdout is not None
            flood.stdout.readline()
            yield
        finally:
            flood.kill()


async def _ask_for_ever(port: int, request: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while True:
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))


async def _ask(port: int, path: str) -> None:
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()
    asking = [asyncio.create_task(_ask_for_ever(port, request)) for _ in range(FLOOD_CONNECTIONS)]
    print("asking", flush=True)
    await asyncio.wait([*asking, asyncio.create_task(asyncio.to_thread(sys.stdin.read))], return_when="FIRST_COMPLETED")


if __name__ == "__main__":
    asyncio.run(_ask(int(sys.argv[1]), sys.argv[2]))
