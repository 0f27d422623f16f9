"""Work on a store under a wall clock that steps: `python -m tests.faults.clockwork DIRECTORY FILE STEPS`.

Server, clients and program run under `wallclock.c`, so that all of a machine's clocks step at once, as they would; STEPS times
the clock goes an hour forth or back. Ends with what was done, or a traceback.
"""

import random
import sys
from pathlib import Path

from isotherm.devices.waiting import drive
from tests.faults.load import KEPT
from tests.faults.test_server_faults import ended, loaded
from tests.faults.writer import space_of
from tests.objects.stores import changes

HOUR_NS = 3_600 * 10**9


def main():
    path, file, steps = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    choose = random.Random(steps)
    wrong_by = 0
    with loaded(path, remotes=2) as (server, load):
        load.further(2)
        for number in range(steps):
            wrong_by += choose.choice((HOUR_NS, -HOUR_NS)) if number > 1 else (HOUR_NS, -2 * HOUR_NS)[number]
            with file.open("r+b") as told:
                told.write(wrong_by.to_bytes(8, "little", signed=True))
            load.further(2)
            if number % 4 == 3:
                server.kill(choose.choice(("gateway-0", "mover", "committer")))
    ended(path, path.parent, load)
    check_feed(path)
    print(f"{steps} steps, {load.done} operations acknowledged, {load.failures} attempts failed")


def check_feed(path):
    """Its order is that of commits, whatever the clock said: the versions of a key come in it as they follow each other."""
    from tests.faults.writer import open_store

    engines = open_store(path)
    try:
        space = space_of(engines)
        fed = {}
        for change in changes(space):
            if change.bucket == KEPT and change.kind == "put":
                fed.setdefault(change.key, []).append(change.version_id)
        for key, versions in fed.items():
            rows = drive(space.list_versions(KEPT, prefix=key, limit=10_000)).entries
            assert versions == [row.version_id for row in rows if row.key == key][::-1], key
        assert fed
    finally:
        engines.close()


if __name__ == "__main__":
    main()
