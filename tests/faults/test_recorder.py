"""The recorder misses nothing that the kernel is asked to do to a store's files: strace is asked as well."""

import os
import sys
from collections import Counter

import pytest

from tests.faults.recording import COMPILER, Kind, Recorder, build
from tests.faults.traced import RARE, STRACE, WRITES, traced

KINDS = {
    **dict.fromkeys(WRITES, Kind.WRITE),
    **dict.fromkeys(("fsync", "fdatasync"), Kind.SYNC),
    **dict.fromkeys(("ftruncate", "truncate"), Kind.TRUNCATE),
    **dict.fromkeys(("mkdir", "mkdirat"), Kind.MKDIR),
    **dict.fromkeys(("rename", "renameat", "renameat2"), Kind.RENAME),
    **dict.fromkeys(("link", "linkat"), Kind.LINK),
    **dict.fromkeys(("unlink", "unlinkat", "rmdir"), Kind.UNLINK),
    "fallocate": Kind.ALLOCATE,
    "bind": Kind.OTHER,
    "mmap": Kind.MAP,
}


PROMISING_NOTHING = ("sync_file_range",)


def counted_by_strace(calls, root):
    """(kind, path) → how often, of calls that changed something below `root`; and the names that opening made."""
    root = str(root)
    found, made = Counter(), set()
    for call in calls:
        if call.error or call.result < 0 or call.name in PROMISING_NOTHING or "KEEP_SIZE" in call.arguments:
            continue
        inside = [path.removeprefix(f"{root}/") for path in call.paths if path.startswith(f"{root}/") or path == root]
        if call.name in ("open", "openat", "creat"):
            assert "O_TRUNC" not in call.arguments or not inside, call
            made.update(inside[-1:] if "O_CREAT" in call.arguments else [])
        elif call.name == "mmap":
            if inside and "MAP_SHARED" in call.arguments and "PROT_WRITE" in call.arguments:
                found[Kind.MAP] += 1
        elif inside and (call.name not in WRITES or (call.result and call.paths[0].startswith(root))):
            assert call.name not in RARE, f"nobody taught the recorder {call}"
            found[KINDS[call.name]] += 1
    return found, made


def counted_by_recorder(events):
    """The same of a recording; and the names that were given to files there were."""
    kinds = {Kind.RMDIR: Kind.UNLINK}
    found = Counter(
        kinds.get(event.kind, event.kind) for event in events if event.name or event.kind not in (Kind.MKDIR, Kind.MARK)
    )
    created = {event.name for event in events if event.kind == Kind.CREATE}
    given = {os.fsdecode(event.data) for event in events if event.kind in (Kind.LINK, Kind.RENAME)}
    return {kind: number for kind, number in found.items() if kind not in (Kind.CREATE, Kind.MARK)}, created, given


@pytest.mark.timeout(300)
@pytest.mark.skipif(STRACE is None or COMPILER is None, reason="needs strace and a C compiler")
def test_strace_sees_nothing_that_the_recorder_does_not(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    recorder = Recorder(build(tmp_path), root, tmp_path / "log")
    variables = recorder.added(sync=True).items()
    calls = []
    for life, chapter in enumerate(("begin", "crash", "recover", "backup", "restore"), start=1):
        command = [sys.executable, "-m", "tests.faults.script", root, 10 * life, chapter]
        status, seen = traced(command, tmp_path / chapter, variables=variables)
        assert status == 0 or chapter == "crash"
        calls += seen
    by_strace, opened = counted_by_strace(calls, root)
    by_recorder, created, given = counted_by_recorder(recorder.events())
    assert by_strace[Kind.WRITE] > 300
    assert by_strace[Kind.SYNC] > 100
    assert dict(by_strace) == by_recorder
    assert created <= opened <= created | given
