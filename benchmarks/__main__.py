"""Runs a room's benchmarks: `python -m benchmarks ROOM [--quick]`. The contract stands in `benchmarks/README.md`.

Programs run one after another, each in a process of its own, so that none measures another's garbage.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def programs(room: str) -> list[str]:
    """Names of the modules to run, in order."""
    found = sorted(path.stem for path in (HERE / room).glob("*.py") if not path.stem.startswith("_"))
    return [f"benchmarks.{room}.{name}" for name in found]


def measure(module: str, *, quick: bool) -> dict[str, Any] | None:
    """What one program wrote, with the command that made it; None when it failed."""
    with tempfile.TemporaryDirectory(prefix="isotherm-bench-") as scratch:
        target = Path(scratch) / "figures.json"
        command = [sys.executable, "-m", module, "--json", str(target), *(["--quick"] if quick else [])]
        print(f"\n== {module}", flush=True)
        status = subprocess.run(command, cwd=HERE.parent, check=False).returncode
        if status != 0 or not target.exists():
            print(f"{module} failed (status {status}, {'no ' if not target.exists() else ''}figures written)")
            return None
        written: dict[str, Any] = json.loads(target.read_text())
        return {"program": module, "command": ["python", *command[1:3], *command[5:]], **written}


def machine() -> dict[str, Any]:
    """What the figures depend on, as far as the kernel tells."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    return {
        "cpu": next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown"),
        "cores": os.cpu_count(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "python": platform.python_version(),
    }


def commit() -> str:
    """The commit that was measured, with a + when the tree differs from it."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty=+"], cwd=HERE.parent, capture_output=True, text=True, check=False
    )
    return described.stdout.strip() or "unknown"


def figure_line(figure: dict[str, Any]) -> str:
    value, bar = figure["value"], figure.get("bar")
    if bar is None:
        return f"FIGURE {figure['name']} {value:g} - met"
    met = value <= bar if figure["better"] == "lower" else value >= bar
    return f"FIGURE {figure['name']} {value:g} {bar:g} {'met' if met else 'short'}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks")
    rooms = sorted(path.name for path in HERE.iterdir() if path.is_dir() and any(path.glob("[!_]*.py")))
    parser.add_argument("room", choices=rooms)
    parser.add_argument("--quick", action="store_true", help="within a minute; never to be quoted")
    arguments = parser.parse_args()

    ran = {module: measure(module, quick=arguments.quick) for module in programs(arguments.room)}
    results = [result for result in ran.values() if result is not None]
    results_in = HERE.parent / ".bench" / "quick" if arguments.quick else HERE / "results"
    target = results_in / f"{arguments.room}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    report = {
        "room": arguments.room,
        "quick": arguments.quick,
        "taken": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
        "versions": {name: metadata.version(name) for name in ("isotherm", "lmdb", "uvloop", "httptools", "awscrt")},
        "results": results,
    }
    target.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    print(f"\nwritten: {target.relative_to(HERE.parent)}", flush=True)
    for result in results:
        for figure in result["figures"]:
            print(figure_line(figure))
    if arguments.quick:
        print("quick: too short to be judged by its bars, or quoted")
    return 0 if len(results) == len(ran) else 1


if __name__ == "__main__":
    sys.exit(main())
