"""The committer: commits for programs that opened the directory themselves, so that none of them holds the writer lock.

It also makes the root credentials, and frees the reader slots of processes that died. One a server; its event loop does
nothing else, so that a foreign program's transaction waits for no request.
"""

from __future__ import annotations

import asyncio

from isotherm import __version__
from isotherm.devices.directory import open_directory
from isotherm.meta.lmdb import CommitService, LmdbMeta
from isotherm.server import root_credentials
from isotherm.server.duty import Duty, run
from isotherm.tenancy.identity import Credentials
from isotherm.tenancy.keystore import FileKeys

STALE_READERS_S = 5.0


async def work(duty: Duty) -> None:
    directory = open_directory(duty.settings.data, program=__version__, clock=duty.clock, ids=duty.ids, create=False)
    meta = LmdbMeta.open(directory.meta, clock=duty.clock, ids=duty.ids, role="server")
    duty.ailment = lambda: meta.write_failure
    credentials = Credentials(meta, FileKeys(directory.keys, duty.ids, duty.settings.root_key), duty.clock, duty.ids)
    provided = await root_credentials.provide(credentials, directory.root_credentials, duty.ids)
    service = CommitService(meta, directory.meta)
    await service.start()
    duty.ready(access_key=provided.access_key, made=provided.made)
    while not await duty.stopped_within(STALE_READERS_S):
        freed = meta.clear_stale_readers()
        if freed:
            duty.log.info("freed reader slots of processes that died", slots=freed)
    await service.close()
    await asyncio.to_thread(meta.close)


if __name__ == "__main__":
    run(work)
