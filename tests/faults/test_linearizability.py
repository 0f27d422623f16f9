"""Every key is linearizable, and a listing shows one instant of all of them: on real servers, whatever dies meanwhile.

Clients over two gateways and one embedded program record short histories on few keys; each is checked. See
docs/consistency.md for what is claimed, and histories/ for how it is tried.
"""

import itertools
import os
import random
from contextlib import ExitStack, contextmanager

import pytest

from isotherm.movers.fsck.check import check
from isotherm.movers.fsck.findings import Level
from isotherm.testing.object_histories import decode
from tests.faults.histories import planted
from tests.faults.histories.campaign import Campaign, Violation, embedded, of
from tests.faults.histories.clients import Torn
from tests.faults.histories.mover import Mover
from tests.faults.histories.report import tell
from tests.faults.histories.servers import lmdb, postgresql

LONG = int(os.environ.get("HISTORIES", "600"))
QUICK = ["none", "cuts", "cuts", "large", "impatience", "stop gateway", "kill gateway", "stop and kill gateway"]
"""Kinds of histories that leave most of the server running: recorded more often than those that wait for its start."""
BUGS = [planted.StaleCache, planted.UncheckedCondition, planted.TriedTwice, planted.TornListing, planted.LostWrite]


def over(urls):
    """Each new connection goes to the next gateway."""
    turns = itertools.cycle(urls)
    return lambda: (next(turns), planted.CREDENTIAL)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_found(tmp_path, bug):
    with planted.gateways(tmp_path / "store", bug) as urls:
        campaign = Campaign(over(urls), tmp_path, seed=1)
        campaign.prepare()
        with pytest.raises((Violation, Torn)) as found:
            campaign.run(["none"] * 200)
        campaign.close()
    if found.errisinstance(Violation):
        (kept,) = tmp_path.glob("h1-*.json")
        assert "violation" in str(found.value)
        assert "violation" in tell(decode(kept.read_bytes()))


def test_without_a_bug_nothing_is_found(tmp_path):
    with planted.gateways(tmp_path / "store", planted.Honest) as urls:
        campaign = Campaign(over(urls), tmp_path, seed=2)
        campaign.prepare()
        campaign.run(["none", "cuts"] * 6)
        campaign.close()


ENGINES = pytest.mark.parametrize("engine", [lmdb, postgresql], ids=["lmdb", "postgresql"])


@contextmanager
def serving(engine, tmp_path):
    """A server of that engine, a campaign against it, and a program's own engines; the server's log is shown where it fails."""
    path = tmp_path / "data"
    with ExitStack() as stack:
        server = stack.enter_context(engine(path))
        try:
            engines = stack.enter_context(embedded(path, server.database))
            seed, space = random.randrange(1 << 20), engines.space()
            campaign = Campaign(of(server), tmp_path, seed=seed, server=server, space=space)
            campaign.prepare()
            yield server, campaign, engines
            campaign.close()
            print(f"{engine.__name__}: {campaign}")
        except BaseException:
            print(server.log)
            raise


def assert_clean(engines, scratch):
    """Of a server that has been stopped."""
    report = check(engines.opened(), scratch)
    assert report.number(Level.ERROR) == 0, [finding.text for finding in report.findings]


@pytest.mark.timeout(240)
@ENGINES
def test_histories_are_linearizable_whatever_dies(tmp_path, engine):
    with serving(engine, tmp_path) as (server, campaign, _):
        campaign.run(["none", "cuts", "large", *server.faults, "impatience"])
    assert campaign.done["over several gateways"] > campaign.done["histories"] / 2
    assert campaign.done["calls"] > 400


@pytest.mark.torture
@ENGINES
def test_histories_are_linearizable_whatever_dies_for_long(tmp_path, engine):
    with serving(engine, tmp_path) as (server, campaign, engines):
        kinds = [kind for fault in server.faults for kind in (fault, *random.sample(QUICK, 3))]
        while campaign.done["histories"] < LONG:
            mover = Mover(server.data, server.database)
            try:
                campaign.run(kinds)
            finally:
                mover.stop()
            campaign.done["extents moved"] += mover.moved
            campaign.run(kinds)
            print(campaign, flush=True)
        server.stop()
        assert_clean(engines, tmp_path)
    assert campaign.done["extents moved"]
    assert campaign.done["unknown"] > LONG
