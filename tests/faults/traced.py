"""What strace saw of system calls that change files: run under it, and read its words.

    calls = traced(command, root, output, …)        # [Call]

Strace stops a program only at the calls it is asked for (seccomp), so that the rest runs at its usual pace.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import namedtuple

STRACE = shutil.which("strace")

WRITES = ("write", "pwrite64", "writev", "pwritev", "pwritev2", "copy_file_range", "sendfile")
SYNCS = ("fsync", "fdatasync")
SIZES = ("ftruncate", "truncate", "fallocate")
NAMES = ("mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat", "bind")
OPENS = ("open", "openat", "creat")
MAPS = ("mmap",)
RARE = ("symlink", "symlinkat", "mknod", "mknodat", "splice", "vmsplice", "msync", "sync", "syncfs", "sync_file_range")
RARE += ("openat2", "io_uring_setup", "io_submit", "preadv2", "mremap", "swapon", "ioctl")[:3]
CHANGING = WRITES + SYNCS + SIZES + NAMES + OPENS + MAPS + RARE

Call = namedtuple("Call", "thread name paths arguments result error")
"""`paths` are those it names, absolute; those of descriptors too."""

_LINE = re.compile(r"^(\d+) +(\w+)\((.*)\) += (-?\d+|0x[0-9a-f]+|\?)(?:<[^>]*>)?(?: (E[A-Z]+))?.*$")
_BEGUN = re.compile(r"^(\d+) +(\w+\(.*) <unfinished \.\.\.>$")
_GONE_ON = re.compile(r"^(\d+) +<\.\.\. \w+ resumed>(.*)$")
_PLACE = re.compile(r'<(/[^<>]*?)(?:<[^<>]*>)?(?: \(deleted\))?>|"((?:[^"\\]|\\.)*)"')


def command_under(command, output, *options, calls=CHANGING, variables=()):
    """`command`, to be run under strace. `variables` are for it alone, not for strace."""
    given = [word for name, value in variables for word in ("-E", f"{name}={value}")]
    return [STRACE, "-f", "-y", "-qq", "--seccomp-bpf", "-s", "0", "-e", f"trace={','.join(calls)}", *options,
            "-e", "signal=none", *given, "-o", str(output), *map(str, command)]  # fmt: skip


def traced(command, output, *options, **how):
    """Run to the end; (exit status, calls)."""
    ran = subprocess.run(command_under(command, output, *options, **how), check=False)
    return ran.returncode, read(output)


def read(output):
    """The calls in strace's output, in the order of their ends."""
    begun, calls = {}, []
    for line in output.read_text(errors="surrogateescape").splitlines():
        if unfinished := _BEGUN.match(line):
            begun[unfinished[1]] = unfinished[2]
            continue
        if resumed := _GONE_ON.match(line):
            line = f"{resumed[1]} {begun.pop(resumed[1])}{resumed[2]}"
        if told := _LINE.match(line):
            thread, name, arguments, result, error = told.groups()
            calls.append(
                Call(thread, name, _paths(arguments), arguments, -1 if result == "?" else int(result, 0), error)
            )
    return calls


def _paths(arguments):
    """Of descriptors, and of names together with the directory that goes before them."""
    found, directory = [], ""
    for place, word in _PLACE.findall(arguments):
        if place:
            directory = place
            found.append(place)
        elif word:
            found.append(word if word.startswith("/") else f"{directory}/{word}")
    return found
