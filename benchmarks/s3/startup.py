"""`isotherm serve` on a new directory, from its start to the first object written, beside the import of its dependencies.

Alternately, wall-clock time: an interpreter that imports what `pyproject.toml` names as core dependencies and ends; and a
server of two gateways that is started, makes its directory and credentials, and answers PUT of a bucket and of an object of
4 KiB with 200, from the moment it has announced itself. What is compared is the difference. Bytecode is compiled beforehand, as
installing a package does, by a first round that does not count.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

from benchmarks.s3._load import Site
from benchmarks.s3._report import arguments, figure, write
from benchmarks.s3._transfer import UNSIGNED, Transfer
from isotherm.testing.server import RunningServer

_BODY_BYTES = 4_096


def _core_modules() -> list[str]:
    """Of the distributions that Isotherm requires without any extra; each is named as its module."""
    required = [line for line in metadata.requires("isotherm") or [] if "extra ==" not in line]
    return [name[0].replace("-", "_") for line in required if (name := re.match(r"[\w-]+", line))]


def _import_s(modules: list[str]) -> float:
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", f"import {', '.join(modules)}"], check=True)
    return time.monotonic() - start


def _first_put_s(directory: Path, body: Path) -> float:
    server = RunningServer(directory, gateways=2)
    start = time.monotonic()
    server.start()
    try:
        credential = server.credential
        port = int(server.address.s3.rsplit(":", 1)[1])
        connection = Transfer(Site("isotherm", port, server.process.pid, credential.access_key, credential.secret))
        connection.put("/bench", body, UNSIGNED, length=0)
        connection.put("/bench/first", body, UNSIGNED)
        connection.close()
        return time.monotonic() - start
    finally:
        server.stop()


def main() -> None:
    given = arguments()
    rounds = 3 if given.quick else 11
    modules = _core_modules()
    print(f"imports: {', '.join(modules)}", flush=True)
    imports, starts = [], []
    with tempfile.TemporaryDirectory(prefix="isotherm-bench-") as name:
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = f"{name}/bytecode"
        body = Path(name) / "body"
        body.write_bytes(bytes(_BODY_BYTES))
        for turn in range(rounds + 1):
            importing, starting = _import_s(modules), _first_put_s(Path(name) / f"data-{turn}", body)
            print(f"imports {importing:6.3f} s   first PUT after {starting:6.3f} s", flush=True)
            if turn:
                imports.append(importing)
                starts.append(starting)
    beyond = [starting - importing for starting, importing in zip(starts, imports, strict=True)]
    figures = [
        figure("start_to_first_put_beyond_imports", beyond, bar=0.7, better="lower", unit="s"),
        figure("imports_of_core_dependencies", imports, bar=None, better="lower", unit="s"),
    ]
    write(given.json, figures, {}, (__doc__ or "").strip())


if __name__ == "__main__":
    main()
