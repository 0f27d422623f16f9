"""`isotherm selftest isolation`: a sound server refuses all of it and is left as it was, and one that is broken is told of."""

import json
import os

import pytest

from isotherm.clock import SystemClock
from isotherm.errors import Denied, Unavailable
from isotherm.ids import SystemIds
from isotherm.testing.isolation.calling import Pair, Target
from isotherm.testing.isolation.probe import Outcome, run
from isotherm.testing.isolation.registry import all_probes
from isotherm.testing.isolation.stage import staged
from tests.server.administration import call, key, tenant
from tests.server.clients import run as command
from tests.server.clients import s3, serving


def target(server):
    return Target(server.address.s3, server.address.admin, SystemClock())


def pair(credential):
    return Pair(credential.access_key, credential.secret)


def tried(server, *names):
    """The report of some of the probes, or of all."""
    with staged(target(server), pair(server.credential), SystemIds()) as stage:
        return run(stage, [probe for probe in all_probes() if not names or probe.name in names])


@pytest.mark.timeout(300)
def test_a_sound_server_refuses_everything_and_is_left_as_it_was(tmp_path):
    with serving(tmp_path / "data", options=["--domain", "s3.test"]) as server:
        tenant(server, "create", "bystander")
        s3(server).create_bucket(Bucket="untouched")
        done = command(
            "selftest",
            "isolation",
            *("--credentials", server.data / "keys" / "root-credentials"),
            *("--s3", server.address.s3, "--admin", server.address.admin, "--domain", "s3.test", "--json"),
        )
        report = json.loads(done.stdout)
        assert [probe for probe in report["probes"] if probe["outcome"] != Outcome.REFUSED] == []
        assert done.returncode == 0
        assert [probe["name"] for probe in report["probes"]] == [probe.name for probe in all_probes()]
        assert "does not cover" in report["not_covered"]
        status, left = call(server, server.credential, "GET", "/v1/tenants")
        assert (status, [one["path"] for one in left["tenants"]]) == (200, ["bystander"])
        assert [bucket["Name"] for bucket in s3(server).list_buckets()["Buckets"]] == ["untouched"]
        assert "Traceback" not in server.log
        assert list((server.data / "keys" / "tenants").iterdir()) == [], "deleted tenants have no secrets"


def test_where_it_cannot_begin_it_leaves_nothing_behind(tmp_path):
    with serving(tmp_path / "data") as server:
        credentials = ("--credentials", server.data / "keys" / "root-credentials")
        done = command(
            "selftest", "isolation", *credentials, "--s3", "http://127.0.0.1:9", "--admin", server.address.admin
        )
        assert done.returncode == 75
        assert "http://127.0.0.1:9" in done.stderr
        assert call(server, server.credential, "GET", "/v1/tenants")[1]["tenants"] == []


def test_a_stage_that_cannot_be_set_to_the_end_is_cleared(tmp_path):
    with serving(tmp_path / "data") as server:
        tenant(server, "update", "/", "--objects", "3")  # of each party one object is made; the victim keeps more
        with pytest.raises(Unavailable, match="the stage could not be set"):
            tried(server)
        left = call(server, server.credential, "GET", "/v1/tenants")[1]["tenants"]
        assert {one["state"] for one in left} <= {"erasing"}


BROKEN = {
    "a resolver that hands out another tenant's objects": (
        "from isotherm.store.spaces import Spaces\n"
        "sound = Spaces.__call__\n"
        "Spaces.__call__ = lambda self, tenant: sound(self, 3 if tenant == 2 else tenant)\n",
        {"s3.GetObject", "s3.ListObjects", "s3.PutObject", "s3.copy-source", "s3.unharmed"},
    ),
    "warrants that nobody looks at": (
        "from isotherm.objects.context import Warrant\n"
        "async def demand(self, reader, bucket): return None\n"
        "Warrant.demand = demand\n",
        {"s3.revoked-grants"},
    ),
    "mounts that permit everything": (
        "from isotherm.tenancy.mounts import Mount\nMount.demand = lambda self, access, *keys: None\n",
        {"s3.grants"},
    ),
    "an administrative API that reaches everywhere": (
        "import isotherm.tenancy.finding as finding\nfinding.reaches = lambda caller, chain: True\n",
        {"admin.tenant.show", "admin.key.list", "admin.tenant.suspend", "admin.grant.list", "admin.moves"},
    ),
    "a feed that tells everybody of everything": (
        "import isotherm.objects.space as space\n"
        "from isotherm.objects.context import Context\n"
        "sound = space.events.changes\n"
        "class All(int):\n"
        "    __ne__ = lambda self, other: False\n"
        "def changes(context, *given, **named):\n"
        "    return sound(Context(All(context.tenant), context.meta, context.segments, context.clock, context.ids), *given, **named)\n"
        "space.events = type('', (), {'changes': staticmethod(changes)})\n",
        {"admin.feed"},
    ),
}


@pytest.mark.timeout(200)
@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_server_is_told_of(tmp_path, how):
    """The server's own processes are broken on their start, by a module that Python imports before all others."""
    patch, wanted = BROKEN[how]
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "sitecustomize.py").write_text(patch)
    under = ["env", f"PYTHONPATH={tmp_path / 'broken'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"]
    with serving(tmp_path / "data", under=under) as server:
        report = tried(server, *wanted)
        assert {probe.name for probe in report.probes if probe.outcome is Outcome.BROKE_OUT} == wanted
        assert report.exit_code == 1


def test_it_asks_for_the_roots_admin_and_tells_what_it_could_not_try(tmp_path):
    with serving(tmp_path / "data") as server:
        tenant(server, "create", "acme")
        for path, role in (("acme", "admin"), ("/", "data")):
            with pytest.raises(Denied), staged(target(server), pair(key(server, path, role)), SystemIds()):
                pass
        status, left = call(server, server.credential, "GET", "/v1/tenants")
        assert (status, len(left["tenants"])) == (200, 1)
