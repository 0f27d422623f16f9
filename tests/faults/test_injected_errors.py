"""Each call that changes a file fails in turn, with EIO and with ENOSPC: nothing acknowledged is lost, and opening is clean.

The process answers with an error of its own or dies of one. What it leaves is looked at as it is and as power cuts may
leave it, since a sync that failed has made nothing sure.
"""

import os
import random

import pytest

from tests.faults.injection import Chapter
from tests.faults.recording import COMPILER, build
from tests.faults.traced import STRACE

pytestmark = [
    pytest.mark.skipif(STRACE is None or COMPILER is None, reason="needs strace and a C compiler"),
    pytest.mark.timeout(300),
]

ERRORS = ("EIO", "ENOSPC")
LONG_PART = int(os.environ.get("PART", "1"))  # 1: every call, 3: every third of them


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return build(tmp_path_factory.mktemp("library"))


def failures(chapter, sites):
    """(calls that failed, what was wrong) of a run for each site and error."""
    injected, wrong = 0, []
    for site, error in sites:
        found = chapter.fail(site, error)
        injected += found is not None
        wrong += [f"{site}, {error}: {what}" for what in found or ()]
    return injected, wrong


@pytest.mark.parametrize("name", ["begin", "recover"])
def test_a_call_that_fails_loses_nothing(library, tmp_path, name):
    chapter = Chapter(library, tmp_path / "chapter", name)
    sites = chapter.sites()
    assert len(sites) > 100
    choose = random.Random(name)
    by_call = {site.call: site for site in choose.sample(sites, len(sites))}
    sample = [by_call[call] for call in ("fdatasync", "pwrite64", "pwritev2")]
    injected, wrong = failures(chapter, [(site, choose.choice(ERRORS)) for site in sample])
    assert not wrong, "\n".join(wrong)
    assert injected


@pytest.mark.torture
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", ["begin", "recover", "backup", "restore"])
def test_whichever_call_fails_nothing_is_lost(library, tmp_path, name):
    chapter = Chapter(library, tmp_path / "chapter", name)
    sites = chapter.sites()[::LONG_PART]
    injected, wrong = failures(chapter, [(site, error) for site in sites for error in ERRORS])
    print(f"{name}: {len(sites)} calls, {injected} failures injected, {len(wrong)} problems")
    assert not wrong, "\n".join(wrong)
    assert injected > len(sites)  # some are not made again: what several threads do comes in another order
