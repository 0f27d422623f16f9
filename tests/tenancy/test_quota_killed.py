"""Processes that write under a limit are killed: nobody is charged for what is not there, and the limit is reached exactly."""

import subprocess
import sys
from pathlib import Path

import pytest

from isotherm.devices.waiting import drive
from isotherm.movers.fsck.check import check
from isotherm.movers.fsck.findings import Kind
from tests.metadata import address
from tests.objects.stores import open_engines
from tests.tenancy.holders import Planted, taken

TOP = Path(__file__).parents[2]
MOST = 60_000
LIVES = 4


def started(path, tenant, seed):
    arguments = [str(path), address(path), str(tenant), str(seed)]
    command = [sys.executable, "-m", "tests.tenancy.quota_writer", *arguments]
    return subprocess.Popen(command, cwd=TOP, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def path(tmp_path, metadata):
    return tmp_path / "store"


def test_what_is_charged_is_what_is_there_however_often_its_writers_are_killed(path, tmp_path):
    engines = open_engines(path)
    planted = Planted(engines)
    planted.make("acme", capacity_bytes=MOST)
    planted.make("acme/lab")
    engines.close()
    for life in range(LIVES):
        writers = [started(path, 3, 10 * life + n) for n in (2, 3)]
        for writer in writers:
            assert writer.stdout.readline() == "at work\n", writer.stderr.read()
        for writer in writers:
            for _ in range(4):
                writer.stdout.readline()
            writer.kill()
            writer.communicate()
        engines = open_engines(path, seed=100 + life)
        planted = Planted(engines)
        planted.demand_right()
        assert planted.total("acme").bytes <= MOST
        space = planted.space(3)
        left = MOST - planted.total("acme").bytes
        assert not drive(taken(space.put("box", "the rest", bytes(left + 1))))
        drive(space.put("box", "the rest", bytes(left)))
        assert planted.total("acme").bytes == MOST
        drive(space.delete("box", "the rest"))
        report = check(engines.opened(), tmp_path)
        assert [finding for finding in report.findings if finding.kind is Kind.USAGE_WRONG] == []
        engines.close()
