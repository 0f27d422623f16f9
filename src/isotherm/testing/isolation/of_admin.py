"""Probes of the second port: each operation of the table, the feed, and what is told to anybody.

One probe for each row of the table of operations, made from it: the operation, asked of tenants and keys out of reach, is answered as of
such that are not there. A row with a body needs one to be tried with (`BODIES`); a test fails without.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import quote

from isotherm.protocols.admin.operation import Operation
from isotherm.protocols.admin.operations import OPERATIONS
from isotherm.testing.isolation.calling import Answer, Pair
from isotherm.testing.isolation.of_s3 import judged
from isotherm.testing.isolation.probe import Probe, allowed
from isotherm.testing.isolation.stage import Stage

BODIES: Mapping[str, Mapping[str, object]] = {
    "tenant.create": {},
    "tenant.update": {"labels": {"taken": "over"}},
    "tenant.move": {"to": "isolation-elsewhere"},
    "tenant.erase": {"confirm": "isolation-elsewhere"},
    "key.create": {"roles": ["data", "admin", "auditor"]},
    "grant.create": {"bucket": "common-bucket", "to": "@4294967289"},
    "mount.create": {"owner": "@4294967289", "grant": "g"},
}
OTHER_PARAMETERS = {"grant": "some-grant", "alias": "some-alias"}


def probes() -> list[Probe]:
    return [
        *(_of_operation(operation) for operation in OPERATIONS),
        Probe("admin.promotion", "Give oneself more: terms, state, place and keys above one's own.", _promotion),
        Probe("admin.roles", "Administer with a key for data alone.", _roles),
        Probe("admin.moves", "Move what is one's own below the victim, or his below one's own.", _moves),
        Probe("admin.grants", "Mount what was granted to another; learn from a grant who is there.", _grants),
        Probe("admin.sign-in", "Tell access keys that are there from such that are not.", _sign_in),
        Probe("admin.feed", "Read the victim's changes: by his cursor, his buckets, his names.", _feed),
        Probe("admin.public", "Learn of tenants from what is told to anybody, and from numbers.", _public),
    ]


def _of_operation(operation: Operation) -> Probe:
    def act(stage: Stage) -> Iterator[str]:
        if not operation.parameters:
            yield from _without_a_name(stage, operation)
            return
        for who, pair, there, absent in _victims(stage, operation):
            answers = [_asked(stage, operation, pair, name) for name in (there, absent)]
            names = {there: absent}
            told = Answer(*_renamed(answers[0], names))
            yield from judged(stage, f"{who}, {operation.method} of {there}", told, answers[1])

    return Probe(f"admin.{operation.name}", f"{operation.name} beyond one's own tenant: tell what is there.", act)


def _renamed(answer: Answer, names: Mapping[str, str]) -> tuple[int, Mapping[str, str], bytes]:
    body = answer.body
    for name, other in names.items():
        body = body.replace(name.encode(), other.encode())
    return answer.status, answer.headers, body


def _victims(stage: Stage, operation: Operation) -> Iterator[tuple[str, Pair, str, str]]:
    """(who asks, its key, the name of what is out of reach, a name that nothing bears)"""
    attacker, sub, below = stage.attacker.pair, stage.attacker_sub.pair, stage.victim_sub.pair
    if operation.parameters == ["access_key"]:
        for pair in (stage.victim.pair, stage.victim_sub.pair, stage.root):
            yield "another tenant", attacker, pair.access_key, "ISOTNOSUCHACCESSKEY2"
        yield "a sub-tenant", below, stage.victim.pair.access_key, "ISOTNOSUCHACCESSKEY2"
        return
    new = "/new" if operation.name == "tenant.create" else ""
    victim, absent = stage.victim, stage.absent
    yield "another tenant", attacker, victim.path + new, absent[victim.path] + new
    yield "another tenant", attacker, stage.victim_sub.path + new, absent[stage.victim_sub.path] + new
    yield "another's sub-tenant", sub, victim.path + new, absent[victim.path] + new
    yield "its own sub-tenant", below, victim.path + new, absent[victim.path] + new
    if not new:
        for party in (victim, stage.victim_sub):
            yield "another tenant", attacker, f"@{party.id}", "@4294967290"
        yield "its own sub-tenant", below, f"@{victim.id}", "@4294967290"
        yield "another tenant", attacker, "@1", "@4294967290"
        yield "another tenant", attacker, "/", absent[victim.path]


def _asked(stage: Stage, operation: Operation, pair: Pair, name: str) -> Answer:
    first, *others = operation.parameters
    path = operation.path.replace(f"{{{first}}}", quote(name, ""))
    for parameter in others:
        path = path.replace(f"{{{parameter}}}", OTHER_PARAMETERS[parameter])
    body = BODIES[operation.name] if operation.body is not None else None
    return stage.target.admin(pair, operation.method, path, body)


def _without_a_name(stage: Stage, operation: Operation) -> Iterator[str]:
    """What is about the caller, or whose names stand in the query."""
    pair = stage.attacker.pair
    shown = stage.target.admin(pair, operation.method, operation.path)
    allowed(shown.good, f"{operation.name} of one's own: {shown.status}")
    text = shown.body.decode()
    for name in (stage.victim.path, stage.victim.bucket, stage.victim.pair.access_key, stage.root.access_key):
        if name in text:
            yield f"{operation.name} tells of {name}"
    if operation.query is None or "under" not in operation.query.__struct_fields__:
        return
    for there in (stage.victim.path, stage.victim_sub.path, "/"):
        absent = stage.absent.get(there, stage.absent[stage.victim.path])
        answers = [
            stage.target.admin(pair, operation.method, f"{operation.path}?under={quote(name, '')}")
            for name in (there, absent)
        ]
        yield from judged(stage, f"under={there}", Answer(*_renamed(answers[0], {there: absent})), answers[1])


def _promotion(stage: Stage) -> Iterator[str]:
    own, pair, admin = stage.attacker.segment, stage.attacker.pair, stage.target.admin
    allowed(admin(pair, "GET", f"/v1/tenants/{own}").good, "an admin sees its own tenant")
    for method, path, body in (
        ("PATCH", f"/v1/tenants/{own}", {"capacity_bytes": 10**15}),
        ("PUT", f"/v1/tenants/{own}/state/active", None),
        ("PUT", f"/v1/tenants/{own}/path", {"to": f"isolation-{stage.word}-y"}),
        ("DELETE", f"/v1/tenants/{own}", None),
        ("POST", "/v1/tenants/%2F/keys", {"roles": ["admin"]}),
        ("POST", "/v1/tenants/@1/keys", {"roles": ["admin"]}),
        ("PUT", f"/v1/tenants/isolation-{stage.word}-y", {}),
    ):
        answer = admin(pair, method, path, body)
        if answer.good:
            yield f"{method} {path}: {answer.status}"


def _roles(stage: Stage) -> Iterator[str]:
    for operation in OPERATIONS:
        if operation.name == "self.show":
            continue
        pair = stage.attacker.data
        name = pair.access_key if operation.parameters == ["access_key"] else stage.attacker.path
        if operation.parameters:
            answer = _asked(stage, operation, pair, name)
        else:
            answer = stage.target.admin(pair, operation.method, operation.path)
        if answer.status != 403:
            yield f"{operation.name} with the role data alone: {answer.status}"


def _moves(stage: Stage) -> Iterator[str]:
    admin, pair, own = stage.target.admin, stage.attacker.pair, stage.attacker_sub.segment
    there, absent = (
        admin(pair, "PUT", f"/v1/tenants/{own}/path", {"to": f"{path}/moved"})
        for path in (stage.victim.path, stage.absent[stage.victim.path])
    )
    yield from judged(stage, "one's own below the victim", there, absent)
    for name in (stage.victim.segment, f"@{stage.victim.id}", f"@{stage.victim_sub.id}"):
        answer = admin(pair, "PUT", f"/v1/tenants/{name}/path", {"to": f"{stage.attacker.path}/moved"})
        if answer.good:
            yield f"{name} below one's own: {answer.status}"


def _grants(stage: Stage) -> Iterator[str]:
    admin, attacker, victim = stage.target.admin, stage.attacker, stage.victim
    row = f"/v1/tenants/{victim.segment}/grants/for-sub"
    to_sub = {"bucket": victim.common, "to": f"@{stage.victim_sub.id}"}
    stage.must(admin(victim.pair, "PUT", row, to_sub), "a grant to the victim's own sub-tenant")
    there, absent = (
        admin(
            attacker.pair,
            "PUT",
            f"/v1/tenants/{attacker.segment}/mounts/stolen",
            {"owner": f"@{victim.id}", "grant": name},
        )
        for name in ("for-sub", "for-sux")
    )
    yield from judged(
        stage, "mounting what was granted to another", Answer(*_renamed(there, {"for-sub": "for-sux"})), absent
    )
    admin(victim.pair, "DELETE", row)
    mine = f"/v1/tenants/{attacker.segment}/grants"
    for name, other in ((f"@{victim.id}", "@4294967290"), (victim.path, stage.absent[victim.path])):
        answers = []
        for to in (name, other):
            answers.append(admin(attacker.pair, "PUT", f"{mine}/probe", {"bucket": attacker.common, "to": to}))
            admin(attacker.pair, "DELETE", f"{mine}/probe")
        if answers[0].status != answers[1].status:
            yield f"a grant to {name} is answered {answers[0].status}, one to nobody {answers[1].status}"
    taken = {"bucket": attacker.common, "to": f"@{victim.id}", "alias": "taken-name"}
    answer = admin(attacker.pair, "PUT", f"{mine}/probe", taken)
    if answer.good:
        admin(attacker.pair, "DELETE", f"{mine}/probe")
        yield "an alias in the victim's tenant, made by another"


def _sign_in(stage: Stage) -> Iterator[str]:
    wrong = "x" * 40
    for path in ("/v1/self", "/v1/feed", "/metrics"):
        there, absent = (
            stage.target.admin(Pair(key, wrong), "GET", path)
            for key in (stage.victim.pair.access_key, "ISOTNOSUCHACCESSKEY2")
        )
        yield from judged(stage, f"signing in at {path}", there, absent)


def _feed(stage: Stage) -> Iterator[str]:
    seen = stage.target.admin(stage.victim.pair, "GET", f"/v1/feed?cursor={stage.cursor}")
    allowed(stage.marker.encode() in seen.body, "the victim's feed tells of its own changes")
    for who, pair in (("another tenant", stage.attacker.pair), ("its own sub-tenant", stage.victim_sub.pair)):
        for asked in (
            f"cursor={stage.cursor}",
            f"cursor={stage.cursor}&bucket={stage.victim.bucket}",
            f"cursor={stage.cursor}&bucket={stage.victim.common}",
            f"cursor={stage.cursor}&prefix={stage.marker}",
            f"cursor={stage.version}",
            "limit=10000",
        ):
            answer = stage.target.admin(pair, "GET", f"/v1/feed?{asked}")
            yield from stage.leaks(answer, f"{who}, {asked}")
            if stage.victim.bucket in answer.body.decode() and answer.good:
                yield f"{who}, {asked}: the victim's bucket"
        none = stage.target.admin(pair, "GET", f"/v1/feed?cursor={stage.cursor}&tenant={stage.victim.id}")
        if none.good:
            yield f"{who}, naming a tenant: {none.status}"
    if stage.target.admin(None, "GET", f"/v1/feed?cursor={stage.cursor}").good:
        yield "the feed, to anybody"


def _public(stage: Stage) -> Iterator[str]:
    pages = ("/", "/healthz", "/readyz", "/metrics", "/v1/openapi.json", "/v1/tenants", "/nothing")
    words = (stage.victim.path, stage.victim.bucket, stage.victim.pair.access_key, stage.marker, stage.word)
    for pair in (None, stage.attacker.pair, stage.victim_sub.pair):
        for page in pages:
            answer = stage.target.admin(pair, "GET", page)
            text = answer.body.decode("utf-8", "replace")
            own = page == "/v1/tenants" and pair is not None  # which names one's own tenants
            for word in words[:-1] if own else words:
                if word in text:
                    yield f"{page} tells of {word}"
            if page == "/metrics" and f'tenant="{stage.victim.id}"' in text:
                yield "/metrics tells of the victim's numbers"
        if pair is not None and stage.target.admin(pair, "GET", "/metrics").good:
            yield "the numbers of all tenants, to one who is not the root's"
