"""The stage: two throw-away tenants with a sub-tenant each, an attacker and its victim, and what the victim keeps.

Names are drawn at random, so that the suite gets into nobody's way, and so that a word of the victim's in an answer is no accident.
Both have a bucket of one and the same name. What is made here is removed at the end, whatever happened meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import sleep
from typing import Any
from urllib.parse import quote

from isotherm.errors import Denied, Unavailable
from isotherm.ids import Ids
from isotherm.testing.isolation.calling import Answer, Pair, Target

_POLL_S = 0.05
_IN_A_ROW = 25
"""Answers that are the same for more than a second: by then every process of a server has heard of a change."""
_WITHIN_S = 10.0
_PART = b"part of a secret: "


@dataclass(frozen=True, slots=True)
class Party:
    """A tenant of the stage. `pair` carries all roles, `data` that of data alone; `bucket` is a name nobody else has."""

    path: str
    id: int
    pair: Pair
    data: Pair
    bucket: str
    common: str

    @property
    def segment(self) -> str:
        """Its path as a segment of a URL."""
        return quote(self.path, "")


@dataclass(slots=True)
class Stage:
    """Args:
    marker: a word in everything that the victim stores, and in nothing that an attacker sends but as a name he guessed.
    absent: names like the victim's, as long as these, that nothing bears.
    """

    target: Target
    root: Pair
    word: str
    marker: str
    attacker: Party
    attacker_sub: Party
    victim: Party
    victim_sub: Party
    absent: Mapping[str, str]
    version: str = ""
    upload: str = ""
    cursor: str = ""
    before: list[tuple[int, dict[str, str], str]] = field(default_factory=list)

    @property
    def key(self) -> str:
        """The victim's secret object."""
        return f"secret-{self.word}"

    @property
    def names(self) -> Mapping[str, str]:
        """The victim's names → those that nothing bears."""
        return self.absent

    def must(self, answer: Answer, what: str) -> Answer:
        """Raises Unavailable where something of the stage's own was refused."""
        if not answer.good:
            raise Unavailable(f"the stage could not be set: {what}: {answer.status} {answer.body[:300]!r}")
        return answer

    def leaks(self, answer: Answer, what: str) -> Iterator[str]:
        """What of the victim's an answer holds."""
        if self.marker.encode() in answer.body:
            yield f"{what}: {answer.status}, and what the victim keeps"

    def settle(self, true: Callable[[], object], what: str) -> None:
        """Ask again and again, until it has been so for more than a second. Raises Unavailable where it takes too long."""
        end_s, row = self.target.clock.monotonic() + _WITHIN_S, 0
        while row < _IN_A_ROW:
            row = row + 1 if true() else 0
            if self.target.clock.monotonic() > end_s:
                raise Unavailable(f"{what}: not within {_WITHIN_S:g} s")
            sleep(_POLL_S)

    def belongings(self) -> list[tuple[int, dict[str, str], str]]:
        """All that the victim has, as it sees it itself."""
        party = self.victim
        targets = [
            "/",
            f"/{party.bucket}?versions",
            f"/{party.bucket}?uploads",
            f"/{party.bucket}?tagging",
            f"/{party.bucket}?versioning",
            f"/{party.bucket}/{self.key}",
            f"/{party.bucket}/{self.key}?tagging",
            f"/{party.bucket}/{self.key}?uploadId={self.upload}",
            f"/{party.common}?versions",
            f"/{party.common}/{self.key}",
        ]
        seen = [self.target.s3(party.pair, "GET", target).lasting({}) for target in targets]
        admin = [
            f"/v1/tenants/{party.segment}",
            f"/v1/tenants/{party.segment}/keys",
            f"/v1/tenants?under={party.segment}",
        ]
        return seen + [self.target.admin(self.root, "GET", target).lasting({}) for target in admin]


@contextmanager
def staged(target: Target, root: Pair, ids: Ids) -> Iterator[Stage]:
    """Set the stage, and clear it.

    Raises:
        Denied: the credential is not the root's admin's. Unavailable: the server cannot be reached, or refuses what it should not.
    """
    told = target.admin(root, "GET", "/v1/self")
    if not told.good or told.told["tenant_id"] != 1 or "admin" not in told.told["roles"]:
        raise Denied("this needs a credential of the root's with the role admin")
    if not target.s3(root, "GET", "/").good:
        raise Unavailable("S3 does not answer that credential; is it of this server?")
    word, marker = ids.token(5).hex(), f"marker{ids.token(8).hex()}"
    paths = {who: f"isolation-{word}-{who[0]}" for who in ("attacker", "victim")}
    made: list[Party] = []
    try:
        for path in (*paths.values(), *(f"{path}/sub" for path in paths.values())):
            made.append(make_party(target, root, path, word, len(made)))
        attacker, victim, attacker_sub, victim_sub = made
        absent = {
            victim_sub.path: f"isolation-{word}-x/sub",
            victim.path: f"isolation-{word}-x",
            victim.bucket: f"{victim.bucket[:-1]}x",
            f"@{victim.id}": "@4294967290",
            f"@{victim_sub.id}": "@4294967290",
        }
        stage = Stage(target, root, word, marker, attacker, attacker_sub, victim, victim_sub, absent)
        _furnish(stage)
        yield stage
    finally:
        for party in reversed(made):
            remove_party(target, root, party)
        for path in paths.values():
            _erase(target, root, path)


def make_party(target: Target, root: Pair, path: str, word: str, number: int) -> Party:
    """A tenant with keys and buckets. Raises Unavailable."""
    segment = quote(path, "")
    tenant = _need(target.admin(root, "PUT", f"/v1/tenants/{segment}", {}), path)

    def pair(*roles: str) -> Pair:
        told = _need(target.admin(root, "POST", f"/v1/tenants/{segment}/keys", {"roles": roles}), path)
        return Pair(told["access_key"], told["secret_key"])

    party = Party(
        path, tenant["id"], pair("data", "admin", "auditor"), pair("data"), f"b{number}-{word}", f"common-{word}"
    )
    for bucket in (party.bucket, party.common):
        _need(target.s3(party.pair, "PUT", f"/{bucket}"), bucket)
        _need(target.s3(party.pair, "PUT", f"/{bucket}/own-{word}", f"of {number}".encode()), bucket)
    return party


def _need(answer: Answer, what: str) -> Any:
    if not answer.good:
        raise Unavailable(f"the stage could not be set: {what}: {answer.status} {answer.body[:300]!r}")
    return answer.told


def _furnish(stage: Stage) -> None:
    """What the victim keeps: versions, tags, an upload under way; and where its feed stands."""
    party, call = stage.victim, stage.target.s3
    data = f"this is {stage.marker}".encode()
    enabled = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    tags = f"<Tagging><TagSet><Tag><Key>cost</Key><Value>{stage.marker}</Value></Tag></TagSet></Tagging>".encode()
    start = stage.target.admin(party.pair, "GET", "/v1/feed?cursor=now")
    stage.cursor = stage.must(start, "the victim's feed").told["cursor"]
    for bucket in (party.bucket, party.common):
        stage.must(call(party.pair, "PUT", f"/{bucket}?versioning", enabled), "versioning")
        stage.must(call(party.pair, "PUT", f"/{bucket}?tagging", tags), "the bucket's tags")
        headers = {"x-amz-tagging": f"t={stage.marker}", "x-amz-meta-m": stage.marker}
        for key in (stage.key, f"{stage.marker}-name"):
            put = stage.must(call(party.pair, "PUT", f"/{bucket}/{key}", data, headers), "an object")
            if key == stage.key and bucket == party.bucket:
                stage.version = put.headers["x-amz-version-id"]
    begun = stage.must(call(party.pair, "POST", f"/{party.bucket}/{stage.key}?uploads"), "an upload")
    stage.upload = begun.find("UploadId")
    part = f"/{party.bucket}/{stage.key}?partNumber=1&uploadId={stage.upload}"
    stage.must(call(party.pair, "PUT", part, _PART + data), "a part")
    _need(stage.target.s3(stage.victim_sub.pair, "PUT", f"/{stage.victim_sub.common}/{stage.key}", data), "an object")
    stage.before = stage.belongings()


def _erase(target: Target, root: Pair, path: str) -> None:
    """A tenant that is there still, as when its stage could not be set to the end, with all that it holds."""
    segment = quote(path, "")
    if target.admin(root, "GET", f"/v1/tenants/{segment}").good:
        target.admin(root, "PUT", f"/v1/tenants/{segment}/state/erasing", {"confirm": path, "subtree": True})


def remove_party(target: Target, root: Pair, party: Party) -> None:
    """Everything of a tenant's, and the tenant. What is not there any more, or does not go, is passed over."""
    call = target.s3
    for bucket in call(party.pair, "GET", "/").all("Name"):
        for marker in ("Version", "DeleteMarker"):
            for one in call(party.pair, "GET", f"/{bucket}?versions").all(marker):
                key, version = (one.partition(f"<{tag}>")[2].partition("<")[0] for tag in ("Key", "VersionId"))
                call(party.pair, "DELETE", f"/{bucket}/{quote(key)}?versionId={version}")
        call(party.pair, "DELETE", f"/{bucket}")
    for grant in (target.admin(root, "GET", f"/v1/tenants/{party.segment}/grants").told or {}).get("grants", ()):
        target.admin(root, "DELETE", f"/v1/tenants/{party.segment}/grants/{grant['name']}")
    for key in (target.admin(root, "GET", f"/v1/tenants/{party.segment}/keys?limit=1000").told or {}).get("keys", ()):
        target.admin(root, "DELETE", f"/v1/keys/{key['access_key']}")
    target.admin(root, "DELETE", f"/v1/tenants/{party.segment}")
