"""The audit log over the administrative API: each call that is audited leaves one record, seen by those whom it concerns."""

import base64
import json

import pytest

from isotherm.devices.waiting import drive
from isotherm.ids import SeededIds
from isotherm.movers.audit import follow
from isotherm.objects import buckets
from isotherm.objects.context import Context
from isotherm.protocols.admin.operations import OPERATIONS
from isotherm.tenancy.audit import rows
from isotherm.tenancy.audit.chain import How
from isotherm.tenancy.audit.record import FEED
from isotherm.tenancy.audit.recorder import NODE
from isotherm.tenancy.audit.verify import verify
from isotherm.tenancy.identity import Credential
from isotherm.tenancy.roles import Role
from tests.admin.conftest import Grown


def listed(grown, credential, tenant="%2F", query=""):
    forest = grown.api.forest
    while drive(follow(forest.meta, forest.clock)).more:
        continue
    answer = grown.api(credential, "GET", f"/v1/tenants/{tenant}/audit{query}")
    assert answer.status == 200, answer.told
    return answer.told["records"]


def letters(secret):
    """A secret that could be taken for an access key."""
    return secret.replace("+", "").replace("_", "")


def brief(records):
    return [(one["operation"], one["path"], one["outcome"]) for one in records]


def calls(grown):
    """One call of every audited operation that succeeds: name → (method, target, body)."""
    forest = grown.api.forest
    key = forest.key("acme", Role.DATA).access_key
    drive(buckets.create(Context(2, forest.meta, None, forest.clock, SeededIds(7)), "lake"))
    return {
        "tenant.create": ("PUT", "/v1/tenants/gamma", {"capacity_bytes": 9, "labels": {"plan": "gold"}}),
        "tenant.update": ("PATCH", "/v1/tenants/gamma", {"capacity_bytes": None, "labels": {"plan": "<b>\n\u202eñ"}}),
        "tenant.move": ("PUT", "/v1/tenants/gamma/path", {"to": "acme/gamma"}),
        "tenant.suspend": ("PUT", "/v1/tenants/acme%2Fgamma/state/suspended", None),
        "tenant.drain": ("PUT", "/v1/tenants/acme%2Fgamma/state/draining", None),
        "tenant.resume": ("PUT", "/v1/tenants/acme%2Fgamma/state/active", None),
        "tenant.delete": ("DELETE", "/v1/tenants/acme%2Fgamma", None),
        "key.create": ("POST", "/v1/tenants/acme/keys", {"roles": ["data"], "description": "n"}),
        "key.revoke": ("DELETE", f"/v1/keys/{key}", None),
        "grant.create": ("PUT", "/v1/tenants/acme/grants/g", {"bucket": "lake", "to": "beta", "prefix": "a/"}),
        "mount.create": ("PUT", "/v1/tenants/beta/mounts/theirs", {"owner": "@2", "grant": "g"}),
        "mount.remove": ("DELETE", "/v1/tenants/beta/mounts/theirs", None),
        "grant.revoke": ("DELETE", "/v1/tenants/acme/grants/g", None),
        "tenant.erase": ("PUT", "/v1/tenants/beta/state/erasing", {"confirm": "beta"}),
    }


def test_every_audited_operation_leaves_one_record_that_says_who_did_what(grown):
    wanted = calls(grown)
    assert set(wanted) == {operation.name for operation in OPERATIONS if operation.audited}
    for method, target, body in wanted.values():
        assert grown.api(grown.root, method, target, body).status < 300
    records = listed(grown, grown.root)
    assert [one["operation"] for one in records] == list(wanted)
    for one in records:
        assert (one["who"], one["caller_id"], one["roles"]) == (grown.root.access_key, 1, ["data", "admin", "auditor"])
        assert (one["outcome"], one["remote"], len(one["request"])) == ("ok", "192.0.2.7", 16)
    assert len({one["request"] for one in records}) == len(records)
    changed = {one["operation"]: one["changed"] for one in records}
    assert changed["tenant.create"] == {
        "state": [None, "active"],
        "capacity_bytes": [None, 9],
        "labels.plan": [None, "gold"],
    }
    assert changed["tenant.update"] == {"capacity_bytes": [9, None], "labels.plan": ["gold", "<b>\n\u202eñ"]}
    assert changed["tenant.move"] == {"path": ["gamma", "acme/gamma"]}
    assert changed["tenant.suspend"] == {"state": ["active", "suspended"]}
    assert changed["tenant.delete"] == {"state": ["active", "erased"]}
    assert changed["key.create"] == {"roles": [None, ["data"]], "description": [None, "n"]}
    assert changed["tenant.erase"] == {"state": ["active", "erasing"]}
    assert {one["target_id"] for one in records if one["operation"].startswith("tenant") and one["path"] != "beta"} == {
        5
    }
    mounted = "@2/lake/a/ (read, grant g)"
    assert changed["grant.create"] == {
        "grant.g.bucket_name": [None, "lake"],
        "grant.g.to": [None, 4],
        "grant.g.access": [None, "read"],
        "grant.g.prefix": [None, "a/"],
    }
    assert changed["mount.create"] == {"mount.theirs": [None, mounted]}
    assert changed["mount.remove"] == {"mount.theirs": [mounted, None]}
    assert changed["grant.revoke"]["grant.g.to"] == [4, None]
    assert (
        next(one["key"] for one in records if one["operation"] == "key.revoke")
        == wanted["key.revoke"][1].rpartition("/")[2]
    )


def test_a_mount_made_and_taken_away_by_anothers_grant_is_told_to_both_without_whose_key_it_was(grown):
    calls(grown)
    body = {"bucket": "lake", "to": "beta", "alias": "theirs"}
    assert grown.api(grown.root, "PUT", "/v1/tenants/acme/grants/g", body).status == 201
    assert grown.api(grown.admin, "DELETE", "/v1/tenants/acme/grants/g").status == 204
    beta = grown.api.forest.key("beta", Role.AUDITOR)
    for credential, tenant in ((grown.admin, "acme"), (beta, "beta")):
        records = [one for one in listed(grown, credential, tenant) if one["operation"].startswith("grant")]
        assert [one["operation"] for one in records] == ["grant.create", "grant.revoke"]
    assert [one["who"] for one in records] == [None, None]
    assert [list(one["changed"]) for one in records] == [["mount.theirs"], ["mount.theirs"]]


def test_what_changes_nothing_is_recorded_as_well(grown):
    for _ in range(2):
        grown.api(grown.root, "PUT", "/v1/tenants/acme/state/active")
        grown.api(grown.root, "PUT", "/v1/tenants/acme%2Fresearch", {})
    assert [one["changed"] for one in listed(grown, grown.root)] == [{}] * 4


def test_a_deleted_tenant_keeps_its_chain(grown):
    api = grown.api
    api(grown.root, "PUT", "/v1/tenants/acme%2Fgone", {})
    api(grown.root, "DELETE", "/v1/tenants/acme%2Fgone")
    for credential in (grown.root, grown.admin):
        assert [one["operation"] for one in listed(grown, credential, "@5")] == ["tenant.create", "tenant.delete"]
    head = api(grown.admin, "GET", "/v1/tenants/@5/audit/head").told
    assert (head["sequence"], head["hash"]) == (2, listed(grown, grown.root, "@5")[-1]["hash"])
    assert api(grown.root, "GET", "/v1/tenants/acme%2Fgone/audit").status == 404


def test_refusals_are_recorded_with_their_code_and_without_what_was_sent(grown):
    api = grown.api
    told = "/v1/tenants/acme%2Fresearch"
    assert api(grown.data, "PUT", told, {}).status == 403
    assert api(grown.admin, "PATCH", "/v1/tenants/acme", {"objects": 1}).status == 403
    assert api(grown.admin, "PATCH", told, {"labels": {"oh": 1}}).status == 400
    assert api(grown.admin, "DELETE", "/v1/tenants/beta").status == 404
    assert api(grown.admin, "DELETE", "/v1/tenants/No%0AName").status == 400
    assert api(grown.root, "DELETE", "/v1/tenants/acme").status == 409
    assert api(grown.admin, "PUT", told, b" " * 70_000).status == 413
    records = listed(grown, grown.root)
    assert brief(records) == [
        ("tenant.create", "acme/research", "AccessDenied"),
        ("tenant.update", "acme", "AccessDenied"),
        ("tenant.update", "acme/research", "InvalidArgument"),
        ("tenant.delete", "beta", "NoSuchTenant"),
        ("tenant.delete", "", "InvalidTenantName"),
        ("tenant.delete", "acme", "TenantNotEmpty"),
        ("tenant.create", "acme/research", "BodyTooLarge"),
    ]
    assert {one["target_id"] for one in records} == {None}
    assert not any(one["changed"] for one in records)
    assert [one["tenant_id"] for one in records] == [2, 2, 2, 2, 2, 1, 2], "of whoever asked"
    assert listed(grown, grown.root, "beta") == []


def test_a_suspended_tenants_calls_are_recorded_and_strangers_are_not(grown):
    grown.api(grown.root, "PUT", "/v1/tenants/acme/state/suspended")
    grown.api.forest.clock.advance(1.0)
    grown.api(grown.admin, "PUT", "/v1/tenants/acme/state/active")
    for stranger in (None, Credential(grown.admin.access_key, "wrong", 2), Credential("ISOTNOBODY", "x", 1)):
        grown.api(stranger, "PUT", "/v1/tenants/acme/state/active")
    assert brief(listed(grown, grown.root)) == [
        ("tenant.suspend", "acme", "ok"),
        ("tenant.resume", "acme", "AccountProblem"),
    ]


def test_a_flood_of_refusals_is_counted_and_fills_nothing(grown):
    api, forest = grown.api, grown.api.forest
    for _ in range(NODE.burst + 40):
        api(grown.data, "DELETE", "/v1/tenants/acme")
    api(grown.root, "DELETE", "/v1/tenants/acme")
    assert len(listed(grown, grown.root, "%2F", "?limit=1000")) == NODE.burst + 1, "others are recorded all the same"
    forest.clock.advance(60 / NODE.a_minute)
    for _ in range(3):
        api(grown.data, "DELETE", "/v1/tenants/acme")
    records = listed(grown, grown.root, "%2F", "?limit=1000")
    assert len(records) == NODE.burst + 2
    assert records[-1]["unrecorded"] == 40
    assert api(grown.admin, "PUT", "/v1/tenants/acme%2Fnew", {}).status == 201, "what is done is always recorded"
    assert listed(grown, grown.root, "acme%2Fnew")[0]["operation"] == "tenant.create"


def test_no_secret_is_ever_in_a_row(grown: Grown):
    api, meta = grown.api, grown.api.forest.meta
    secrets = [one.secret for one in (grown.root, grown.admin, grown.auditor, grown.data)]
    for credential in (grown.root, grown.admin):
        pair = api(credential, "POST", "/v1/tenants/acme/keys", {"roles": ["admin"], "description": "x"}).told
        secrets.append(pair["secret_key"])
        for wrong in (pair["secret_key"].replace("+", "%2B"), letters(pair["secret_key"])):
            api(credential, "DELETE", f"/v1/keys/{wrong}")
            api(credential, "DELETE", f"/v1/tenants/{wrong}")
            api(credential, "PUT", f"/v1/tenants/acme%2F{wrong}", {"labels": {wrong: wrong}})
        api(credential, "DELETE", f"/v1/keys/{pair['access_key']}")
    feed = b"".join(value for _, value in drive(meta.feed_records(FEED, bytes(16), 1_000)))
    records = listed(grown, grown.root, "%2F", "?limit=1000")
    assert len(records) == 16
    stored = feed + b"".join(key + value for key, value in drive(meta.range(b"", b"\xff", 10_000)))
    for secret in secrets:
        for form in (secret, letters(secret), base64.b64encode(secret.encode()).decode()):
            assert form.encode() not in stored
            assert form not in json.dumps(records)


def test_an_admin_and_an_auditor_see_their_own_subtree_and_not_whose_key_came_from_above(grown):
    api = grown.api
    deep = api.forest.key("acme/research", Role.AUDITOR)
    api(grown.root, "PATCH", "/v1/tenants/acme%2Fresearch", {"objects": 5})
    api(grown.admin, "PATCH", "/v1/tenants/acme%2Fresearch", {"objects": 6})
    api(grown.root, "PATCH", "/v1/tenants/beta", {"objects": 7})
    for credential in (grown.admin, grown.auditor):
        records = listed(grown, credential, "acme")
        assert [one["changed"]["objects"][1] for one in records] == [5, 6]
        assert [(one["who"], one["remote"]) for one in records] == [
            (None, ""),
            (grown.admin.access_key, "192.0.2.7"),
        ]
    assert [one["who"] for one in listed(grown, deep, "acme%2Fresearch")] == [None, None]
    assert len(listed(grown, grown.root)) == 3
    assert grown.api(grown.data, "GET", "/v1/tenants/acme/audit").status == 403


@pytest.mark.parametrize("what", ["audit", "audit/head", "audit?limit=1&after=" + "0" * 32])
def test_a_neighbours_log_cannot_be_told_from_nobodys(grown, what):
    grown.api(grown.root, "PATCH", "/v1/tenants/beta", {"objects": 7})
    listed(grown, grown.root)
    for there, absent in (("beta", "nobody"), ("@4", "@999"), ("@1", "@999")):
        answers = [grown.api(grown.admin, "GET", f"/v1/tenants/{name}/{what}") for name in (there, absent)]
        assert [answer.status for answer in answers] == [404, 404]
        assert answers[0].body.replace(there.encode(), b"X") == answers[1].body.replace(absent.encode(), b"X")


def test_a_move_leaves_the_past_where_it_was_seen_and_names_no_ones_place(grown):
    api = grown.api
    other = api.forest.key("beta", Role.ADMIN)
    own = api.forest.key("acme/research", Role.ADMIN)
    api(grown.admin, "PATCH", "/v1/tenants/acme%2Fresearch", {"objects": 5})
    api(grown.root, "PUT", "/v1/tenants/acme%2Fresearch/path", {"to": "beta/research"})
    api(grown.root, "PATCH", "/v1/tenants/beta%2Fresearch", {"objects": 6})
    assert [one["operation"] for one in listed(grown, grown.admin, "acme")] == ["tenant.update", "tenant.move"]
    assert "beta" not in json.dumps(listed(grown, grown.admin, "acme"))
    assert [one["changed"] for one in listed(grown, other, "beta")] == [{"objects": [5, 6]}]
    assert "acme" not in json.dumps(listed(grown, other, "beta%2Fresearch"))
    assert len(listed(grown, own, "@3")) == len(listed(grown, other, "@3")) == 3


@pytest.mark.parametrize(
    "query", ["after=x", "after=" + "0" * 31, "limit=0", "since=yesterday", "since=2026-01-01T00:00:00", "x=1"]
)
def test_wrong_parameters_are_refused(grown, query):
    assert grown.api(grown.root, "GET", f"/v1/tenants/acme/audit?{query}").status == 400


def test_records_come_in_pages_and_by_time(grown):
    for number in range(7):
        grown.api(grown.root, "PATCH", "/v1/tenants/acme", {"objects": number})
        grown.api.forest.clock.advance(60)
    listed(grown, grown.root)
    found, after = [], ""
    while after is not None:
        page = grown.api(grown.admin, "GET", f"/v1/tenants/acme/audit?limit=2&after={after}").told
        found += [one["changed"]["objects"][1] for one in page["records"]]
        after = page["next"]
    assert found == list(range(7))
    span = "?since=2023-11-14T22:15:00Z&until=2023-11-14T22:17:00Z&limit=1"
    assert [one["changed"]["objects"][1] for one in listed(grown, grown.admin, "acme", span)] == [2]


def test_damaged_rows_hide_no_others_and_are_told_by_verify(grown):
    for number in range(4):
        grown.api(grown.root, "PATCH", "/v1/tenants/acme", {"objects": number})
    assert len(listed(grown, grown.root)) == 4
    meta = grown.api.forest.meta
    (index, _), *_ = drive(meta.range(*rows.index_of(1), 1))

    async def damage(txn):
        txn.put(rows.link_row(2, 2), b"\x01")
        txn.put(rows.link_row(2, 3), b"\xff" * 99)
        txn.put(index, b"")

    drive(meta.transact(damage))
    assert [one["sequence"] for one in listed(grown, grown.root)] == [4]
    assert [(one.how, one.first) for one in drive(verify(meta, 2)).breaks] == [(How.CHANGED, 2), (How.CHANGED, 3)]
