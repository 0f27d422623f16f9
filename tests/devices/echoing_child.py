"""A child for tests of processes: says what it was told to, then echoes, and ends with its line."""

import os
import sys

from isotherm.devices.processes import from_parent


def is_open(descriptor):
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


line = from_parent(sys.argv[1])
told = line.receive()
for n in range(told["times"]):
    line.send({"name": told["name"], "n": n})
if "open" in told:
    line.send([is_open(descriptor) for descriptor in told["open"]])
while (word := line.receive()) is not None:
    line.send(word)
