"""How tests open metadata stores, in this process and in others."""

import asyncio
import multiprocessing
from pathlib import Path

from isotherm.clock import SystemClock
from isotherm.ids import SystemIds
from isotherm.meta.lmdb import CommitService, LmdbMeta, ServerLock


async def open_foreign(place, clock):
    return LmdbMeta.open(Path(place), clock=clock, ids=SystemIds(), role="foreign", sync=False)


async def open_server(place, clock):
    return LmdbMeta.open(Path(place), clock=clock, ids=SystemIds(), role="server", sync=False)


class ServerProcess:
    """A process that holds the server's lock and commits for others, from `start` to `stop` or `kill`."""

    def __init__(self, directory, sync=False):
        self.directory = Path(directory)
        self._sync = sync

    def start(self):
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(self.directory, self._sync, theirs), daemon=True)
        self.process.start()
        theirs.close()
        assert self.pipe.recv() == "serving"
        return self

    def stop(self):
        self.pipe.close()
        self.process.join(30)
        assert self.process.exitcode == 0

    def kill(self):
        self.process.kill()
        self.process.join(30)

    def __enter__(self):
        return self.start()

    def __exit__(self, *exc):
        if self.process.is_alive():
            self.stop()


def _serve(directory, sync, pipe):
    async def main():
        meta = LmdbMeta.open(directory, clock=SystemClock(), ids=SystemIds(), role="server", sync=sync)
        with ServerLock(directory), meta:
            service = CommitService(meta, directory)
            await service.start()
            pipe.send("serving")
            await asyncio.get_running_loop().run_in_executor(None, pipe.poll, None)
            await service.close()

    asyncio.run(main())
