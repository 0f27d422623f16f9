"""Killed before or after any commit, and before or after its key is destroyed, an erasure goes on and counts nothing twice."""

import os
import shutil
import signal
import traceback

import pytest

from isotherm.clock import VirtualClock
from isotherm.devices.waiting import drive
from isotherm.tenancy.erasure.certificate import verify
from isotherm.tenancy.tree import TenantState
from tests.movers.erasing import Estate, to_the_end
from tests.movers.stores import checked, kinds


class Mortal:
    """Kills its process at the n-th step: each commit and each destruction of a key has one before it and one after it."""

    def __init__(self, at):
        self.left = at

    def step(self):
        self.left -= 1
        if self.left == -1:
            os.kill(os.getpid(), signal.SIGKILL)

    def over(self, engine, names):
        return _Over(engine, names, self)


class _Over:
    """An engine whose calls of some names are steps."""

    def __init__(self, engine, names, mortal):
        self._engine, self._names, self._mortal = engine, names, mortal

    def __getattr__(self, name):
        call = getattr(self._engine, name)
        if name not in self._names:
            return call

        async def stepping(*args):
            self._mortal.step()
            done = await call(*args)
            self._mortal.step()
            return done

        return stepping


def erase(path, mortal):
    estate = Estate(path, VirtualClock(), seed=5)
    meta, keys = mortal.over(estate.meta, {"transact"}), mortal.over(estate.keys, {"destroy"})
    estate.erasures._meta, estate.erasures._keys = meta, keys
    estate.erase("acme")
    to_the_end(estate, estate.rounds(rows_a_round=700, meta=meta, keys=keys))
    estate.close()
    return mortal.left


def dies(path, at):
    """Whether a child that erases in `path` was killed, at its `at`-th step."""
    child = os.fork()
    if not child:
        status = 1
        try:
            erase(path, Mortal(at))
            status = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    path = tmp_path_factory.mktemp("planted") / "store"
    estate = Estate(path, VirtualClock())
    estate.plant()
    for tenant in (2, 4):
        estate.fill(tenant)
    drive(estate.keys.make(2))
    drive(estate.credentials.revoke(estate.key("acme").access_key))
    estate.close()
    return path


@pytest.mark.timeout(600)
def test_an_erasure_is_killed_at_every_step(planted, tmp_path):
    whole = tmp_path / "whole"
    shutil.copytree(planted, whole)
    steps = 10_000 - erase(whole, Mortal(10_000))
    estate = Estate(whole, VirtualClock(), seed=6)
    wanted = {tenant: estate.show(f"@{tenant}").certificate.statement["removed"] for tenant in (2, 3)}
    held = estate.held(4)
    estate.close()
    assert steps > 60
    for at in range(steps):
        path = tmp_path / f"killed {at}"
        shutil.copytree(planted, path)
        assert dies(path, at)
        estate = Estate(path, VirtualClock(), seed=7)
        assert kinds(checked(estate.engines, tmp_path)).keys() <= {"segment-crashed"}, (
            "what is half erased is no damage"
        )
        if estate.state(2) is not TenantState.ERASED:
            estate.erase("acme")  # again, as whoever got no answer would; or for the first time
        to_the_end(estate, estate.rounds())
        for tenant in (2, 3):
            assert estate.rows(tenant) == {}
            assert drive(estate.keys.secret(tenant)) is None
            certificate = estate.show(f"@{tenant}").certificate
            verify(certificate, drive(estate.erasures.public_key()))
            assert certificate.statement["removed"] == wanted[tenant]
        assert estate.show("@2").certificate.statement["key"]["sealed"] is True
        assert estate.held(4) == held
        assert kinds(checked(estate.engines, tmp_path)).keys() <= {"segment-crashed"}
        estate.close()
        shutil.rmtree(path)
