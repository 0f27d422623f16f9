"""A process that writes, replaces and removes objects of a tenant until it is killed: `… PATH META TENANT SEED`.

It says a line once it has written something, so that whoever kills it knows that it was at work.
"""

import asyncio
import sys
from pathlib import Path
from random import Random

from isotherm.errors import OverQuota
from isotherm.objects.space import Space
from tests.objects.stores import open_engines, payload

WRITERS = 8


async def write(space, random, number):
    for n in range(1_000_000):
        key = f"{number}-{random.randrange(20)}"
        try:
            await act(space, random, key, n)
        except OverQuota:
            await space.delete("box", key)
        if n == 3:
            print("at work", flush=True)


async def act(space, random, key, n):
    choice = random.random()
    if choice < 0.7:
        await space.put("box", key, payload(random.randrange(2_000), n))
    elif choice < 0.8:
        upload = await space.create_upload("box", key)
        await space.put_part("box", key, upload.id, 1, payload(700, n))
        if choice < 0.75:
            await space.abort_upload("box", key, upload.id)
    else:
        await space.delete("box", key)


async def main(path, meta, tenant, seed):
    engines = open_engines(Path(path), seed=int(seed), meta=meta)
    parts = {"part_bytes_least": 1}
    space = Space(int(tenant), engines.meta, engines.segments, engines.clock, engines.ids, **parts)
    random = Random(int(seed))
    await asyncio.gather(*(write(space, random, number) for number in range(WRITERS)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
