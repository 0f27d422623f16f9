"""Probes of S3's routes: each operation there is, asked of the victim's bucket, is answered as of one that is not there.

They are made from the routing table itself (`protocols/s3/routes.py`), so that no operation is left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from isotherm.protocols.s3.routes import ROUTES, Route
from isotherm.testing.isolation.calling import Answer, Pair, apart
from isotherm.testing.isolation.probe import Probe, allowed
from isotherm.testing.isolation.stage import Stage

_ETAG = "0" * 32
_ENABLED = b"<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>"
_TAGGING = b"<Tagging><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tagging>"

BODIES = {
    "PutBucketVersioning": _ENABLED,
    "PutBucketTagging": _TAGGING,
    "PutObjectTagging": _TAGGING,
    "CompleteMultipartUpload": (
        f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{_ETAG}</ETag></Part></CompleteMultipartUpload>"
    ).encode(),
    "PutObject": b"overwritten",
    "UploadPart": b"overwritten",
}
HEADERS = {
    "GetObjectAttributes": {"x-amz-object-attributes": "ETag,ObjectSize"},
    "PutBucketAcl": {"x-amz-acl": "private"},
    "PutObjectAcl": {"x-amz-acl": "private"},
}
_OF_VERSIONS = frozenset(("GET", "HEAD", "DELETE"))
_OWN_ANSWER = frozenset(("ListBuckets", "CreateBucket"))
"""Operations whose answer is about the caller's own tenant, whatever the victim has."""


def probes() -> list[Probe]:
    return [
        *(_of_route(*where, route) for where, route in ROUTES.items() if route.operation not in _OWN_ANSWER),
        Probe("s3.ListBuckets", "See the victim's buckets in one's own list.", _list_buckets),
        Probe(
            "s3.CreateBucket", "Make a bucket of the name of the victim's, and find his objects in it.", _create_bucket
        ),
    ]


def _of_route(method: str, level: str, subresource: str, route: Route) -> Probe:
    def act(stage: Stage) -> Iterator[str]:
        for who, pair in strangers(stage):
            for version in ("", stage.version) if level == "object" and method in _OF_VERSIONS else ("",):
                yield from _compared(stage, who, pair, method, level, subresource, route, version)

    name = f"s3.{route.operation}"
    if level == "service":
        return Probe(name, f"{route.operation}, beyond one's own tenant.", act)
    return Probe(name, f"{route.operation} of the victim's {level}: tell it from one that is not there.", act)


def strangers(stage: Stage) -> Iterator[tuple[str, Pair]]:
    """Who has no business with the victim's own buckets: one beside it, one below that, and its own sub-tenant."""
    yield "another tenant", stage.attacker.pair
    yield "another's sub-tenant", stage.attacker_sub.pair
    yield "its own sub-tenant", stage.victim_sub.pair


def _compared(
    stage: Stage, who: str, pair: Pair, method: str, level: str, subresource: str, route: Route, version: str
) -> Iterator[str]:
    asked = _asked(stage, level, subresource, method, version)
    body, headers = _with(stage, route, subresource)
    there, absent = (stage.target.s3(pair, method, f"/{bucket}{asked}", body, headers) for bucket in _buckets(stage))
    if method in ("GET", "HEAD") and not version and pair is stage.attacker.pair:
        control = stage.target.s3(stage.victim.pair, method, f"/{stage.victim.bucket}{asked}", body, headers)
        allowed(control.good, f"{route.operation} by the victim itself: {control.status} {control.body[:200]!r}")
    yield from judged(stage, f"{who}, {method} {asked or '/'}", there, absent)


def judged(stage: Stage, what: str, there: Answer, absent: Answer) -> Iterator[str]:
    """An answer about what is the victim's, beside that about what is not there."""
    if there.good:
        yield f"{what}: {there.status}"
    difference = apart(there, absent, stage.names)
    if difference is not None:
        yield f"{what}: {difference}"
    yield from stage.leaks(there, what)


def _buckets(stage: Stage) -> tuple[str, str]:
    return stage.victim.bucket, stage.absent[stage.victim.bucket]


def _asked(stage: Stage, level: str, subresource: str, method: str, version: str) -> str:
    """What follows the bucket in a target."""
    plain = subresource.removesuffix("+copy")
    words = []
    if plain == "uploadId":
        words += [f"uploadId={stage.upload}", *(["partNumber=2"] if method == "PUT" else [])]
    elif plain:
        words.append("list-type=2" if plain == "list-type" else plain)
    if version and plain != "uploadId":
        words.append(f"versionId={version}")
    path = f"/{stage.key}" if level == "object" else ""
    return path + ("?" + "&".join(words) if words else "")


def _with(stage: Stage, route: Route, subresource: str) -> tuple[bytes, dict[str, str]]:
    headers = dict(HEADERS.get(route.operation, {}))
    if subresource.endswith("+copy"):
        headers["x-amz-copy-source"] = f"/{stage.attacker.common}/own-{stage.word}"
    body = BODIES.get(route.operation, b"")
    if route.operation == "DeleteObjects":
        body = f"<Delete><Object><Key>{stage.key}</Key></Object></Delete>".encode()
    return body, headers


def _list_buckets(stage: Stage) -> Iterator[str]:
    for who, pair in strangers(stage):
        answer = stage.target.s3(pair, "GET", "/")
        allowed(f"common-{stage.word}" in answer.all("Name"), "one's own buckets are listed")
        for name in answer.all("Name"):
            if name == stage.victim.bucket:
                yield f"{who} sees {name}"


def _create_bucket(stage: Stage) -> Iterator[str]:
    name, pair = stage.victim.bucket, stage.attacker.pair
    made = stage.target.s3(pair, "PUT", f"/{name}")
    allowed(made.good, f"a bucket of a name that somebody else has, too: {made.status} {made.body[:200]!r}")
    try:
        for asked in ("?versions", "?uploads", f"/{stage.key}", f"/{stage.key}?versionId={stage.version}"):
            answer = stage.target.s3(pair, "GET", f"/{name}{asked}")
            yield from stage.leaks(answer, f"GET {asked}")
            if answer.good and answer.all("Key"):
                yield f"GET {asked}: lists {answer.all('Key')}"
        for method, asked, body in (
            ("GET", f"/{stage.key}?uploadId={stage.upload}", b""),
            ("PUT", f"/{stage.key}?partNumber=2&uploadId={stage.upload}", b"x"),
            ("POST", f"/{stage.key}?uploadId={stage.upload}", BODIES["CompleteMultipartUpload"]),
            ("DELETE", f"/{stage.key}?uploadId={stage.upload}", b""),
        ):
            known = stage.target.s3(pair, method, f"/{name}{asked}", body)
            guessed = stage.target.s3(pair, method, f"/{name}{asked.replace(stage.upload, 'f' * 32)}", body)
            difference = apart(known, guessed, {stage.upload: "f" * 32})
            if known.good or difference is not None:
                yield f"{method} of the victim's upload in a bucket of that name: {known.status}, {difference}"
    finally:
        stage.target.s3(pair, "DELETE", f"/{name}")
