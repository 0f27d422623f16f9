"""A program that keeps its interpreter lock busy: `python -m benchmarks.s3._hog [DIRECTORY]`, ended by its parent.

One thread runs Python without a pause, one calls into C for milliseconds without letting go of the lock. With a directory the
program has the store there open and puts 4 KiB objects into it all the while; it says `ready` when it does.
"""

from __future__ import annotations

import os
import sys
import threading
from contextlib import nullcontext

import isotherm


def _python() -> None:
    turns = 0
    while True:
        turns += 1


def _c() -> None:
    while True:
        sum(range(500_000))


def main() -> None:
    os.nice(19)  # there are two cores: it shall take the lock from the server, not the processor from the load
    body = os.urandom(4_096)
    with isotherm.open(sys.argv[1]) if len(sys.argv) > 1 else nullcontext() as store:
        for work in (_python, _c):
            threading.Thread(target=work, daemon=True).start()
        if store is not None:
            store.put("bench", "hog/first", body)
        print("ready", flush=True)
        number = 0
        while True:
            number += 1
            if store is not None:
                store.put("bench", f"hog/{number}", body)


if __name__ == "__main__":
    main()
