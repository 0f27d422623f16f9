"""What moving many bytes costs a server, and bytes to be moved."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.s3._load import cpu_seconds

_PIECE_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of a server's CPU, and of the wall clock, and how many bytes for them."""

    size: int
    cpu_s: float
    wall_s: float

    def show(self, name: str) -> None:
        cpu = f"{self.size / self.cpu_s / 1e9:6.2f} GB a CPU second" if self.cpu_s else ""
        print(f"{name:>22}  {self.size / self.wall_s / 1e9:6.2f} GB/s  {cpu}", flush=True)


def measure(name: str, pid: int, size: int, call: Callable[[], object]) -> Cost:
    before, start = cpu_seconds(pid), time.monotonic()
    call()
    cost = Cost(size, cpu_seconds(pid) - before, time.monotonic() - start)
    cost.show(name)
    return cost


def random_file(path: Path, size: int) -> str:
    """Fill a file with bytes that do not compress; its SHA-256."""
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for _ in range(0, size, _PIECE_BYTES):
            piece = os.urandom(_PIECE_BYTES)
            digest.update(piece)
            file.write(piece)
    return digest.hexdigest()
