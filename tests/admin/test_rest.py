"""The administrative API over HTTP: what it answers, whom it refuses, and what hostile input comes to."""

import json

import pytest

from isotherm.devices.waiting import drive
from isotherm.protocols.admin.decoding import BODY_BYTES_MOST
from isotherm.protocols.admin.operations import OPERATIONS
from isotherm.tenancy.identity import Credential
from isotherm.tenancy.roles import OWNER, Need
from isotherm.tenancy.tree import TenantState


def test_a_tenants_life(grown):
    api, root = grown.api, grown.root
    made = api(root, "PUT", "/v1/tenants/gamma", {"capacity_bytes": 100, "labels": {"plan": "gold"}})
    assert (made.status, made.told["path"], made.told["capacity_bytes"]) == (201, "gamma", 100)
    assert api(root, "PUT", "/v1/tenants/gamma", {"capacity_bytes": 100, "labels": {"plan": "gold"}}).status == 200
    other = api(root, "PUT", "/v1/tenants/gamma", {"capacity_bytes": 101})
    assert (other.status, other.told["code"]) == (409, "TenantExists")
    assert api(root, "PUT", "/v1/tenants/gamma%2Flab", {"capacity_bytes": 60}).status == 201
    over = api(root, "PUT", "/v1/tenants/gamma%2Fx", {"capacity_bytes": 41})
    assert over.status == 409
    assert over.headers["content-type"] == "application/problem+json"
    assert {"code": "PromiseExceeded", "tenant": "gamma", "promised": 60, "left": 40, "asked": 41}.items() <= (
        over.told.items()
    )
    changed = api(root, "PATCH", "/v1/tenants/gamma%2Flab", {"capacity_bytes": None, "labels": {"a": "b"}})
    assert (changed.told["capacity_bytes"], changed.told["labels"]) == (None, {"a": "b"})
    assert api(root, "PUT", "/v1/tenants/gamma%2Flab/path", {"to": "acme/lab"}).told["path"] == "acme/lab"
    assert api(root, "PUT", "/v1/tenants/acme/state/suspended").told["state"] == "suspended"
    assert api(root, "GET", "/v1/tenants/acme%2Flab").told["standing"] == "suspended"
    assert api(root, "PUT", "/v1/tenants/acme/state/active").told["standing"] == "active"
    assert api(root, "DELETE", "/v1/tenants/gamma").status == 204
    assert api(root, "DELETE", "/v1/tenants/gamma").told["code"] == "NoSuchTenant"
    busy = api(root, "DELETE", "/v1/tenants/acme")
    assert (busy.status, busy.told["held"]) == (409, ["tenants below it", "credentials that are not revoked"])


def test_lists_come_in_pages(grown):
    for name in "abcde":
        grown.api.forest.make(f"acme/{name}")
    found, after = [], ""
    while True:
        page = grown.api(grown.admin, "GET", f"/v1/tenants?limit=2&after={after}").told
        found += [tenant["path"] for tenant in page["tenants"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert found == ["acme/a", "acme/b", "acme/c", "acme/d", "acme/e", "acme/research"]
    assert grown.api(grown.root, "GET", "/v1/tenants?under=acme%2Fresearch").told == {"tenants": [], "next": None}


def test_keys_are_made_listed_by_pages_and_revoked(grown):
    api, admin = grown.api, grown.admin
    made = [
        api(admin, "POST", "/v1/tenants/acme%2Fresearch/keys", {"roles": ["data"], "description": f"n{n}"}).told
        for n in range(3)
    ]
    first = api(admin, "GET", "/v1/tenants/acme%2Fresearch/keys?limit=2").told
    rest = api(admin, "GET", f"/v1/tenants/acme%2Fresearch/keys?after={first['next']}").told
    listed = [*first["keys"], *rest["keys"]]
    assert [key["access_key"] for key in listed] == sorted(pair["access_key"] for pair in made)
    assert not any(pair["secret_key"] in json.dumps(listed) for pair in made)
    assert api(admin, "DELETE", f"/v1/keys/{made[0]['access_key']}").status == 204
    assert api(admin, "DELETE", f"/v1/keys/{made[0]['access_key']}").status == 204
    assert len(api(admin, "GET", "/v1/tenants/acme%2Fresearch/keys").told["keys"]) == 2


def test_everyone_is_told_who_he_is(grown):
    told = grown.api(grown.data, "GET", "/v1/self").told
    assert told == {"tenant": "acme", "tenant_id": 2, "standing": "active", "roles": ["data"]}
    assert grown.api(grown.root, "GET", "/v1/self").told["roles"] == ["data", "admin", "auditor"]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.name)
def test_the_roles_of_every_operation_are_asked_for(grown, operation):
    """Before the tenant is looked for, and before the body is: a stranger to a role learns nothing by trying."""
    target = operation.path.replace("{tenant}", "nobody").replace("{access_key}", "ISOTNOBODY")
    allowed = {
        Need.LOOK: (grown.admin, grown.auditor),
        Need.TEND: (grown.admin,),
        Need.GOVERN: (grown.admin,),
        Need.SELF: (grown.admin, grown.auditor, grown.data),
    }[operation.need]
    for credential in (grown.admin, grown.auditor, grown.data):
        answer = grown.api(credential, operation.method, target, {} if operation.body else None)
        assert (answer.status == 403) == (credential not in allowed)
    for stranger in (None, Credential(grown.admin.access_key, "wrong", 2), Credential("ISOTNOBODY", "x", 1)):
        answer = grown.api(stranger, operation.method, target)
        assert (answer.status, answer.told["code"]) == (401, "NotSignedIn")


@pytest.mark.parametrize(
    ("method", "target", "body"),
    [
        ("GET", "/v1/tenants/{}", None),
        ("GET", "/v1/tenants?under={}", None),
        ("PUT", "/v1/tenants/{}%2Fx", {}),
        ("PATCH", "/v1/tenants/{}", {"objects": 1}),
        ("PUT", "/v1/tenants/{}/path", {"to": "acme/stolen"}),
        ("PUT", "/v1/tenants/{}/state/suspended", None),
        ("PUT", "/v1/tenants/{}/state/active", None),
        ("DELETE", "/v1/tenants/{}", None),
        ("POST", "/v1/tenants/{}/keys", {"roles": ["admin"]}),
        ("GET", "/v1/tenants/{}/keys", None),
    ],
)
@pytest.mark.parametrize("there", ["beta", "@4", "@1", "%2F"])
def test_a_neighbour_cannot_be_told_from_nobody(grown, method, target, body, there):
    absent = "@999" if there.startswith("@") else "nobody"
    answers = [grown.api(grown.admin, method, target.format(name), body) for name in (there, absent)]
    expected = 400 if "%2Fx" in target and there in ("@4", "@1", "%2F") else 404  # a path begins with no id
    assert [answer.status for answer in answers] == [expected, expected if there != "%2F" else 404]
    if expected == 400:
        return
    assert answers[0].headers.keys() == answers[1].headers.keys()
    details = [
        json.dumps(answer.told).replace(name.replace("%2F", "/"), "X").replace("//x", "X/x")
        for answer, name in zip(answers, (there, absent), strict=True)
    ]
    assert details[0] == details[1]


def test_a_neighbour_below_which_something_would_come_to_lie_cannot_be_told_from_nobody(grown):
    for method, target, body in (
        ("PUT", "/v1/tenants/{}%2Fx%2Fy", {}),
        ("PUT", "/v1/tenants/acme%2Fresearch/path", {"to": "{}/x"}),
        ("PUT", "/v1/tenants/acme%2Fresearch/path", {"to": "{}/x/y"}),
    ):
        answers = [
            grown.api(grown.admin, method, target.format(name), {key: to.format(name) for key, to in body.items()})
            for name in ("beta", "void")
        ]
        assert [answer.status for answer in answers] == [404, 404]
        assert json.dumps(answers[0].told).replace("beta", "void") == json.dumps(answers[1].told)


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("/v1/tenants/acme/state/paused", "nothing lies there: a state is active, draining, suspended or erasing"),
        ("/v1/tenants/acme/state/", "nothing lies there: a state is active, draining, suspended or erasing"),
        ("/v1/tenants/acme/research", "nothing lies there; the slashes of a tenant's path are written %2F"),
        ("/v1/erasures/acme/research", "nothing lies there; the slashes of a tenant's path are written %2F"),
        ("/v1/tenants/", "nothing lies there"),
        ("/v1/nothing", "nothing lies there"),
        ("/v2/tenants/acme/state/active", "nothing lies there"),
    ],
)
def test_what_lies_nowhere_is_told_with_what_may_have_been_meant(grown, target, told):
    answer = grown.api(grown.root, "PUT", target, {})
    assert (answer.status, answer.told["code"], answer.told["detail"]) == (404, "NoSuchOperation", told)


def test_a_suspended_tenants_admin_is_refused_and_cannot_help_himself(grown):
    drive(grown.api.forest.tenants.set_state(OWNER, "acme", TenantState.SUSPENDED))
    grown.api.forest.clock.advance(1.0)
    for method, target in (("GET", "/v1/self"), ("GET", "/v1/tenants"), ("PUT", "/v1/tenants/acme/state/active")):
        answer = grown.api(grown.admin, method, target)
        assert (answer.status, answer.told["code"]) == (403, "AccountProblem")
    assert grown.api(Credential(grown.admin.access_key, "wrong", 2), "GET", "/v1/self").status == 401


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"objects": NaN}',
        b'{"objects": -1}',
        b'{"objects": 1e999}',
        b'{"objects": 99999999999999999999999999}',
        b'{"objects": "5"}',
        b'{"objects": 1, "objects": 2}',
        b'{"labels": {"a": "1", "a": "2"}}',
        b'{"labels": {"a": "\\ud800"}}',
        b'{"labels": {"../x\\n": "1"}}',
        b'{"colour": "red"}',
        b'{"iops_reservation": 5, "iops_limit": 4}',
        b"[" * 60_000,
        b'{"labels":' * 6_000,
    ],
)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_hostile_bodies_are_refused_and_change_nothing(grown, method, body):
    before = grown.api(grown.root, "GET", "/v1/tenants/acme").told
    answer = grown.api(grown.root, method, "/v1/tenants/acme", body, pieces=7)
    assert answer.status == 400
    assert answer.told["detail"]
    assert grown.api(grown.root, "GET", "/v1/tenants/acme").told == before


def test_a_body_too_large_is_not_read_on(grown):
    large = b" " * BODY_BYTES_MOST + b"{}"
    for headers in ({}, {"content-length": str(len(large))}, {"content-length": "9" * 400}):
        answer = grown.api(grown.root, "PUT", "/v1/tenants/x", large, headers=headers, pieces=9)
        assert (answer.status, answer.told["code"]) == (413, "BodyTooLarge")
    fits = b"{}" + b" " * (BODY_BYTES_MOST - 2)
    assert grown.api(grown.root, "PUT", "/v1/tenants/x", fits, pieces=3).status == 201


def test_a_form_of_a_browser_changes_nothing(grown):
    for media_type in ("text/plain", "application/x-www-form-urlencoded", ""):
        answer = grown.api(
            grown.root, "POST", "/v1/tenants/acme/keys", {"roles": ["admin"]}, headers={"content-type": media_type}
        )
        assert (answer.status, answer.told["code"]) == (415, "UnsupportedMediaType")
    assert grown.api(grown.root, "PUT", "/v1/tenants/acme/state/suspended", {}).status == 400


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "a%2F..%2Fb",
        "%2E%2E",
        "a%2F%2Fb",
        "%00",
        "%C3%A4",
        "%E4%BC%9A",
        "%FF",
        "A",
        "a%20b",
        "a" * 64,
        "a" * 9_000,
        "@x",
        "%40",
    ],
)
def test_hostile_names_are_no_tenants(grown, name):
    for method, body in (("PUT", {}), ("GET", None), ("DELETE", None)):
        answer = grown.api(grown.root, method, f"/v1/tenants/{name}", body)
        assert answer.status == 400


@pytest.mark.parametrize("roles", [[], ["root"], ["data", "x"], "data", ["data"] * 4, [1], None])
def test_unknown_roles_make_no_key(grown, roles):
    assert grown.api(grown.root, "POST", "/v1/tenants/acme/keys", {"roles": roles}).status == 400


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=x",
        "limit=1&limit=2",
        "limit=nan",
        "colour=1",
        "after=..",
        "under=a//b",
        "limit=",
    ],
)
def test_wrong_parameters_are_refused(grown, query):
    assert grown.api(grown.root, "GET", f"/v1/tenants?{query}").status == 400
    assert grown.api(grown.root, "GET", f"/v1/self?{query}").status == 400


@pytest.mark.parametrize(
    "target",
    [
        "/v1/",
        "/v1/nothing",
        "/v1/tenants/",
        "/v1/tenants//keys",
        "/v1/tenants/acme/research",
        "/v1//tenants",
        "/v1/tenants/acme/",
    ],
)
def test_where_nothing_lies_nothing_is_found(grown, target):
    answer = grown.api(grown.root, "GET", target)
    assert (answer.status, answer.told["code"]) == (404, "NoSuchOperation")


def test_methods_that_are_not_offered_are_told_with_those_that_are(grown):
    answer = grown.api(grown.root, "POST", "/v1/tenants/acme")
    assert (answer.status, answer.headers["allow"]) == (405, "DELETE, GET, PATCH, PUT")
    for method in ("OPTIONS", "TRACE", "CONNECT", "FOO"):
        assert grown.api(grown.root, method, "/v1/tenants").status == 405


def test_the_document_is_for_everyone(grown):
    answer = grown.api(None, "GET", "/v1/openapi.json")
    assert (answer.status, answer.told["openapi"]) == (200, "3.1.0")
