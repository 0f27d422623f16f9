"""The wall clock steps by an hour, forth and back, under load: nothing is lost, and nothing comes out of order."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.processes import TOP
from tests.faults.recording import COMPILER

pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")

LONG_STEPS = int(os.environ.get("STEPS", "100"))
_SOURCE = Path(__file__).with_name("wallclock.c")
_SHOWN = (
    "import time; print(time.time(), time.time_ns() / 1e9, time.clock_gettime(time.CLOCK_REALTIME), time.monotonic())"
)


@pytest.fixture(scope="module")
def stepping(tmp_path_factory):
    """(environment, file) of processes whose clock is wrong by what the file says."""
    place = tmp_path_factory.mktemp("clock")
    library, file = place / "wallclock.so", place / "wrong_by"
    command = [COMPILER, "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden"]
    subprocess.run([*command, "-o", library, _SOURCE], check=True)
    file.write_bytes(bytes(8))
    return {**os.environ, "LD_PRELOAD": str(library), "WALLCLOCK": str(file)}, file


def worked(stepping, tmp_path, steps):
    environment, file = stepping
    command = [sys.executable, "-m", "tests.faults.clockwork", tmp_path / "data", file, str(steps)]
    ran = subprocess.run(command, env=environment, cwd=TOP, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    print(ran.stdout)


def test_the_clock_steps_and_no_other_does(stepping):
    environment, file = stepping
    file.write_bytes((-3_600 * 10**9).to_bytes(8, "little", signed=True))
    shown = [
        [
            float(word)
            for word in subprocess.run(
                [sys.executable, "-c", _SHOWN], env=env, capture_output=True, check=True
            ).stdout.split()
        ]
        for env in (environment, None)
    ]
    file.write_bytes(bytes(8))
    steps = [right - wrong for wrong, right in zip(*shown, strict=True)]
    assert all(3_590 < step < 3_700 for step in steps[:3])
    assert 0 <= steps[3] < 100


@pytest.mark.timeout(300)
def test_an_hour_forth_and_two_back_lose_nothing(stepping, tmp_path):
    worked(stepping, tmp_path, 2)


@pytest.mark.torture
def test_the_clock_steps_again_and_again(stepping, tmp_path):
    worked(stepping, tmp_path, LONG_STEPS)
