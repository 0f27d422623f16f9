"""`isotherm audit`: commands of the owner are recorded, listed and verified, and the exit status says what was found."""

import json
import os

import pytest

import isotherm
from isotherm.devices.waiting import drive
from isotherm.tenancy.audit import rows
from isotherm.tenancy.audit.chain import Head
from tests.server.clients import run


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "store"
    with isotherm.open(path):
        pass
    return path


def maintained(path):
    with isotherm.open(path) as store:
        while store.maintain().more:
            continue


def audit(path, *arguments, status=0, wide=False):
    done = run("audit", *arguments, "--data", path, env={**os.environ, "COLUMNS": "400" if wide else "80"})
    assert done.returncode == status, done.stderr
    return json.loads(done.stdout) if "--json" in arguments else done.stdout + done.stderr


def test_what_the_owner_does_by_command_is_recorded_chained_and_verified(store):
    assert run("tenant", "create", "acme", "--label", "plan=gold", "--data", store).returncode == 0
    pair = json.loads(run("keys", "create", "--tenant", "acme", "--json", "--data", store).stdout)
    fresh = json.loads(run("keys", "rotate", pair["access_key"], "--grace", "60", "--json", "--data", store).stdout)
    assert run("keys", "revoke", fresh["access_key"], "--data", store).returncode == 0
    for refused in (
        ("tenant", "create", "acme", "--objects", "many"),
        ("tenant", "delete", "nobody"),
        ("keys", "create", "--tenant", "acme", "--role", "king"),
        ("keys", "revoke", "ISOTNOBODY"),
    ):
        assert run(*refused, "--data", store).returncode == 1
    assert run("tenant", "update", "acme", "--label", "plan=[/red]\x1b[31m\nx", "--data", store).returncode == 0
    assert "9 records are not chained yet" in audit(store, "verify")
    maintained(store)
    told = audit(store, "verify", "--json")
    assert (told["unchained"], [(one["tenant_id"], one["sequence"]) for one in told["chains"]]) == (0, [(1, 4), (2, 5)])
    records = audit(store, "list", "/", "--json")["records"]
    assert {one["who"] for one in records} == {"owner"}
    assert [(one["operation"], one["path"], one["key"], one["outcome"]) for one in records] == [
        ("tenant.create", "acme", "", "ok"),
        ("key.create", "acme", pair["access_key"], "ok"),
        ("key.rotate", "acme", pair["access_key"], "ok"),
        ("key.revoke", "acme", fresh["access_key"], "ok"),
        ("tenant.create", "acme", "", "InvalidArgument"),
        ("tenant.delete", "nobody", "", "NoSuchTenant"),
        ("key.create", "acme", "", "InvalidArgument"),
        ("key.revoke", "", "ISOTNOBODY", "NoSuchAccessKey"),
        ("tenant.update", "acme", "", "ok"),
    ]
    assert not any(one["secret_key"] in json.dumps(records) for one in (pair, fresh))
    table = audit(store, "list", "acme", wide=True)
    assert "key.rotate" in table
    assert r"labels.plan=gold→[/red]\x1b[31m\nx" in table
    assert "\x1b" not in table
    assert audit(store, "list", "acme", "--since", "2999-01-01T00:00:00Z", "--json")["records"] == []


def test_verify_tells_by_its_exit_status_what_was_done_to_a_chain(store):
    for name in ("acme", "beta"):
        run("tenant", "create", name, "--data", store)
        run("tenant", "suspend", name, "--data", store)
    maintained(store)
    head = audit(store, "head", "acme", "--json")
    kept = f"{head['sequence']}:{head['hash']}"
    assert f"@2 whole  {kept}" in audit(store, "verify", "acme", "--expect", kept)
    wrong = f"1:{head['hash']}"
    assert "record 1: not the one expected" in audit(store, "verify", "acme", "--expect", wrong, status=2)
    later = f"9:{head['hash']}"
    assert "records 3 to 9: cut off" in audit(store, "verify", "acme", "--expect", later, status=2)
    audit(store, "verify", "--expect", kept, status=1)
    audit(store, "verify", "acme", "--expect", "nonsense", status=1)
    audit(store, "verify", "nobody", status=1)

    def damage(changes):
        async def write(txn):
            for key, value in changes.items():
                txn.put(key, value) if value is not None else txn.delete(key)

        with isotherm.open(store) as opened:
            drive(opened.engines.meta.transact(write))

    with isotherm.open(store) as opened:
        first, second = (drive(opened.engines.meta.get(rows.link_row(2, number))) for number in (1, 2))
        before = rows.unpack_link(first).hash
    damage({rows.link_row(2, 2): second.replace(b"suspended", b"suspendee")})
    broken = audit(store, "verify", "--json", status=2)
    assert [one["breaks"] for one in broken["chains"]] == [[{"how": "changed", "first": 2, "last": 2}], []]
    damage({rows.link_row(2, 2): None})
    assert "@2 record 2: cut off" in audit(store, "verify", status=2)
    damage({rows.head_row(2): rows.pack_head(Head(1, before))})
    assert "@2 whole" in audit(store, "verify"), "nothing in the store tells any more"
    assert "record 2: cut off" in audit(store, "verify", "acme", "--expect", kept, status=2)
