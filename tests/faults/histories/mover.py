"""Background work beside a server, much more eager than the server's own: compaction moves what histories have just written.

`python -m tests.faults.histories.mover DIRECTORY [DATABASE]` is the process that does it, one JSON line a round.
"""

import asyncio
import sys
import threading
from pathlib import Path

from isotherm.settings import Settings
from isotherm.store.engines import compose
from tests.faults.processes import Process
from tests.faults.writer import move


class Mover:
    """A process that compacts and collects all the time until it is stopped; `moved` counts extents."""

    def __init__(self, path, database):
        self.process = Process("histories.mover", path, database)
        self.moved = self.rounds = 0
        self.failed = []
        self.watching = threading.Thread(target=self.watch)
        self.watching.start()

    def watch(self):
        for line in self.process.lines():
            self.moved += line.get("moved", 0)
            self.rounds += "moved" in line
            self.failed += [line] if line.get("failed") or "died" in line else []

    def stop(self):
        """It is killed; what it said on standard error, and what failed."""
        self.process.kill()
        self.watching.join()
        errors = self.process.end()
        assert "Traceback" not in errors, errors
        assert not self.failed, self.failed


def main():
    engines = compose(Settings(Path(sys.argv[1]), meta=sys.argv[2]), role="foreign", create=False)
    asyncio.run(move(engines, pause_s=0.1))


if __name__ == "__main__":
    main()
