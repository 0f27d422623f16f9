"""A process that reads a store while others write to it and die: `python -m tests.faults.reader DIRECTORY`.

It never writes. One JSON line for every hundred values it has read whole; one, its last, for a value nobody wrote.
"""

import random
import sys
from pathlib import Path

from isotherm.devices.waiting import drive
from isotherm.errors import NotFound, Unavailable
from tests.faults.content import number_of
from tests.faults.writer import BUCKETS, KEYS, WRITERS, open_store, say, space_of
from tests.objects.stores import fetch


def read_one(space, choose):
    """Read a random object whole; where there is none, see that a page of its neighbours is in order."""
    bucket = choose.choice(BUCKETS)
    key = f"{choose.randrange(WRITERS):02}/{choose.randrange(KEYS)}"
    try:
        number_of(drive(fetch(space, bucket, key + choose.choice(["", "", " copy"]))), key)
    except NotFound:
        keys = [entry.key for entry in drive(space.list(bucket, prefix=key[:2])).entries]
        assert keys == sorted(set(keys)), keys
        return 0
    except Unavailable:  # overwritten at that very moment: a program tries again
        return 0
    return 1


def main():
    space = space_of(open_store(Path(sys.argv[1])))
    choose = random.Random(1)
    reads = 0
    try:
        while True:
            reads += read_one(space, choose)
            if reads and reads % 100 == 0:
                say(reads=reads)
    except Exception as error:
        say(torn=repr(error))
        raise


if __name__ == "__main__":
    main()
