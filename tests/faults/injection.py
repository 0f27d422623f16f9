"""One system call of a script fails: which there are, and what comes of it.

`sites` runs a chapter of the script under strace and lists every call that changes something below the root; `Injected`
runs it again with one of them failing, and looks at what is left: the store as it is, and as power cuts may leave it.
"""

import json
import re
import shutil
import subprocess
import sys
from collections import Counter, namedtuple

from tests.faults.power import inodes_below
from tests.faults.processes import TOP
from tests.faults.recording import Kind, Recorder
from tests.faults.script import record
from tests.faults.traced import NAMES, OPENS, SIZES, SYNCS, WRITES, command_under, read
from tests.faults.walk import walk_through

CALLS = WRITES + SYNCS + SIZES + NAMES + OPENS
BEFORE = {"begin": (), "recover": ("begin", "crash"), "backup": ("begin",), "restore": ("begin", "backup")}
"""Chapters that come before the one in which a call fails."""

Site = namedtuple("Site", "call ordinal path")
"""The `ordinal`-th such call of a thread on a path below the root."""

_OWN_ERROR = re.compile(r"^isotherm\.errors\.\w+", re.MULTILINE)


class Chapter:
    """A chapter and what comes before it, recorded once."""

    def __init__(self, library, place, name, *, seed=0):
        (place / "root").mkdir(parents=True)
        self.name = name
        self.life = 100 * seed + 90
        self.library = library
        self.place = place
        recorder = Recorder(library, place / "root", place / "log")
        self.before = []
        if BEFORE[name]:
            record(recorder, seed=seed, chapters=BEFORE[name])
            self.before = [json.loads(event.data) for event in recorder.events() if event.kind == Kind.MARK]
        self.root = place / "root"
        self._runs = 0

    def run(self, *options, path=None):
        """In a copy of the directory, under strace: (recorder, exit status, what it said on standard error, calls).

        Args:
            path: look at and meddle with calls on this one alone.
        """
        self._runs += 1
        place = self.place / f"run {self._runs}"
        shutil.copytree(self.root, place / "root", ignore=_sockets)
        recorder = Recorder(self.library, place / "root", place / "log")
        self._inodes = inodes_below(place / "root")
        if path is not None:
            options = *options, "-P", str(recorder.root / path)
        variables = [*recorder.added(sync=True).items(), ("PYTHONDONTWRITEBYTECODE", "1")]
        command = [sys.executable, "-m", "tests.faults.script", recorder.root, str(self.life), self.name]
        under = command_under(command, place / "calls", *options, calls=CALLS, variables=variables)
        ran = subprocess.run(under, cwd=TOP, check=False, capture_output=True, text=True, timeout=100)
        return recorder, ran.returncode, ran.stderr, read(place / "calls")

    def sites(self):
        """Every call that changes something below the root, once a thread's ordinal."""
        recorder, status, errors, calls = self.run()
        assert status == 0, errors
        found, counts, root = {}, Counter(), str(recorder.root)
        for call in calls:
            inside = [path for path in call.paths if path.startswith(root)]
            if inside:
                site = call.thread, call.name, inside[-1]
                counts[site] += 1
                if call.name not in OPENS or "O_CREAT" in call.arguments:
                    found[Site(call.name, counts[site], inside[-1].removeprefix(root).lstrip("/"))] = True
        shutil.rmtree(recorder.root.parent)
        return list(found)

    def fail(self, site, error):
        """Let a call fail; what is wrong then, a line each. Nothing where the call was never made."""
        fault = "-e", f"inject={site.call}:error={error}:when={site.ordinal}"
        recorder, status, errors, calls = self.run(*fault, path=site.path)
        if not any(call.error == error for call in calls):
            return None
        wrong = []
        if status not in (0, -9, 137) and not _OWN_ERROR.search(errors):
            wrong.append(f"it died of an error that is not its own: {errors}")
        elif status == 0 and errors:
            wrong.append(f"it said: {errors}")
        initial = str(self.root), self._inodes
        found = walk_through(recorder, recorder.root.parent, first="last", initial=initial, before=self.before, mixed=2)
        wrong += [f"{variant}, {room}: {what}" for _, variant, room, what in found.problems]
        shutil.rmtree(recorder.root.parent)
        return wrong


def _sockets(directory, names):
    return [name for name in names if name.endswith(".sock")]
