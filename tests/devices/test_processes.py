"""Children: spawned with what they need, tied to their parent, told apart when dead."""

import contextlib
import os
import select
import signal
import subprocess
import sys

from isotherm.devices.processes import alive, kill, memory_bytes, signal_name, spawn

CHILD = "tests.devices.echoing_child"


def test_a_child_is_told_first_and_answers_in_order():
    child = spawn(CHILD, {"name": "ä", "times": 3})
    heard = [child.line.receive() for _ in range(3)]
    assert heard == [{"name": "ä", "n": n} for n in range(3)]
    child.line.send("more")
    assert child.line.receive() == "more"
    child.line.close()
    assert child.wait() == 0
    assert child.ended() == 0


def test_a_child_inherits_the_descriptors_it_is_given_and_no_other():
    given, kept = os.memfd_create("given", os.MFD_CLOEXEC), os.memfd_create("kept", os.MFD_CLOEXEC)
    child = spawn(CHILD, {"name": "x", "times": 0, "open": [given, kept]}, [given])
    try:
        assert child.line.receive() == [True, False]
    finally:
        child.kill()
        child.wait()
        child.line.close()
        os.close(given)
        os.close(kept)


def test_the_line_ends_when_the_parent_is_killed():
    script = (
        f"from isotherm.devices.processes import spawn; child = spawn({CHILD!r}, {{'name': 'x', 'times': 0}});"
        "print(child.pid, flush=True); import time; time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    try:
        orphan = int(parent.stdout.readline())
        watched = os.pidfd_open(orphan)
    finally:
        parent.kill()
        parent.wait()
        parent.stdout.close()
    ended, _, _ = select.select([watched], [], [], 60)
    os.close(watched)
    assert ended, "the orphan still runs"


def test_a_killed_child_is_told_by_its_signal_and_its_line():
    child = spawn(CHILD, {"name": "x", "times": 0})
    assert alive(child.pid)
    assert memory_bytes(child.pid) > 0
    kill(child.pid)
    assert child.line.receive() is None
    status = child.wait()
    assert signal_name(status) == "SIGKILL"
    assert not alive(child.pid)
    assert memory_bytes(child.pid) == 0
    child.kill()
    child.line.close()


def test_a_process_that_waits_to_be_buried_is_not_alive():
    child = spawn(CHILD, {"name": "x", "times": 0})
    watched = os.pidfd_open(child.pid)
    kill(child.pid)
    select.select([watched], [], [], 60)
    os.close(watched)
    assert not alive(child.pid)
    child.wait()
    child.line.close()


def test_ctrl_c_in_a_terminal_does_not_reach_a_child():
    child = spawn(CHILD, {"name": "x", "times": 1})
    child.line.receive()
    assert os.getpgid(child.pid) == child.pid != os.getpgid(0)
    child.line.close()
    assert child.wait() == 0
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)


def test_ends_have_names():
    assert signal_name(3) == "exit 3"
    assert signal_name(-15) == "SIGTERM"
    assert signal_name(-63) == "signal 63"
