"""Probes of what was and is no more: names that were erased and made anew, keys and grants that were revoked, tenants suspended."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from isotherm.testing.isolation.calling import Pair
from isotherm.testing.isolation.probe import Probe, allowed
from isotherm.testing.isolation.stage import Stage, make_party, remove_party


def probes() -> list[Probe]:
    return [
        Probe(
            "s3.grants",
            "Use a grant beyond what was granted: keys, writing, the bucket itself, other buckets.",
            _grants,
        ),
        Probe("s3.revoked-grants", "Go on by a grant that was revoked, or whose bucket was made anew.", _revoked),
        Probe("s3.erased-buckets", "Find in a bucket that was made anew what was in the old one.", _erased_buckets),
        Probe(
            "s3.erased-tenants",
            "Find in a tenant that was made anew what the old one had; use its keys.",
            _erased_tenants,
        ),
        Probe("s3.unharmed", "After all this, find the victim's belongings other than before.", _unharmed),
    ]


def _grant(stage: Stage, name: str, alias: str, bucket: str, access: str, prefix: str = "") -> None:
    body = {"bucket": bucket, "to": f"@{stage.attacker.id}", "access": access, "prefix": prefix, "alias": alias}
    stage.must(stage.target.admin(stage.root, "PUT", _row(stage, name), body), "a grant")


def _row(stage: Stage, name: str) -> str:
    return f"/v1/tenants/{stage.victim.segment}/grants/{name}"


def _known(stage: Stage, pair: Pair, target: str) -> None:
    stage.settle(lambda: stage.target.s3(pair, "GET", target).good, "what was granted can be read")


def _grants(stage: Stage) -> Iterator[str]:
    call, pair, alias = stage.target.s3, stage.attacker.pair, f"alias-{stage.word}"
    bucket = f"granted-{stage.word}"
    stage.must(call(stage.victim.pair, "PUT", f"/{bucket}"), "a bucket")
    for key in ("open/a", "shut/a"):
        stage.must(call(stage.victim.pair, "PUT", f"/{bucket}/{key}", f"{key} {stage.marker}".encode()), key)
    _grant(stage, "reading", alias, bucket, "read", "open/")
    try:
        _known(stage, pair, f"/{alias}/open/a")
        listed = call(pair, "GET", f"/{alias}").all("Key")
        if listed != ["open/a"]:
            yield f"a list shows {listed}"
        for method, asked, body in (
            ("GET", "/shut/a", b""),
            ("GET", "/open/../shut/a", b""),
            ("GET", "/open/%2e%2e/shut/a", b""),
            ("GET", "?list-type=2&prefix=shut/", b""),
            ("PUT", "/open/a", b"x"),
            ("DELETE", "/open/a", b""),
            ("POST", "/open/b?uploads", b""),
            ("POST", "?delete", b"<Delete><Object><Key>open/a</Key></Object></Delete>"),
            ("PUT", "?versioning", b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"),
            ("PUT", "?tagging", b"<Tagging><TagSet></TagSet></Tagging>"),
            ("GET", "?acl", b""),
            ("DELETE", "", b""),
        ):
            answer = call(pair, method, f"/{alias}{asked}", body)
            yield from stage.leaks(answer, f"{method} {asked}")
            if answer.good and not asked.startswith("?list-type"):
                yield f"{method} {asked}: {answer.status}"
        for who, other in (("its sub-tenant", stage.attacker_sub.pair), ("the owner's", stage.victim_sub.pair)):
            if call(other, "GET", f"/{alias}/open/a").good:
                yield f"{who} uses an alias of another tenant"
        for name in (bucket, stage.victim.bucket):
            if call(pair, "GET", f"/{name}").good:
                yield f"the owner's {name} by its own name"
    finally:
        stage.target.admin(stage.root, "DELETE", _row(stage, "reading"))
        for key in ("open/a", "open/b", "shut/a"):
            call(stage.victim.pair, "DELETE", f"/{bucket}/{key}")
        call(stage.victim.pair, "DELETE", f"/{bucket}")


def _revoked(stage: Stage) -> Iterator[str]:
    call, pair, alias, bucket = stage.target.s3, stage.attacker.pair, f"revoked-{stage.word}", f"lent-{stage.word}"

    def lend() -> None:
        stage.must(call(stage.victim.pair, "PUT", f"/{bucket}"), "a bucket")
        stage.must(call(stage.victim.pair, "PUT", f"/{bucket}/k", stage.marker.encode()), "an object")

    lend()
    try:
        _grant(stage, "revoked", alias, bucket, "read-write")
        _known(stage, pair, f"/{alias}/k")
        upload = call(pair, "POST", f"/{alias}/u?uploads").find("UploadId")
        url = stage.target.presigned(pair, "GET", f"/{alias}/k")
        allowed(call(None, "GET", url).good, "a presigned URL of what was granted")
        for how in ("the bucket was made anew", "the grant was revoked"):
            if how == "the bucket was made anew":
                call(stage.victim.pair, "DELETE", f"/{bucket}/k")
                stage.must(call(stage.victim.pair, "DELETE", f"/{bucket}"), "the bucket's end")
                lend()
            else:
                stage.must(stage.target.admin(stage.root, "DELETE", _row(stage, "revoked")), "a revocation")
            for method, asked, body in (
                ("GET", "/k", b""),
                ("GET", "", b""),
                ("PUT", "/k", b"x"),
                ("PUT", f"/u?partNumber=1&uploadId={upload}", b"x"),
                ("DELETE", "/k", b""),
                ("HEAD", "", b""),
            ):
                answer = call(pair, method, f"/{alias}{asked}", body)
                if answer.good:
                    yield f"{how}, and yet {method} {asked}: {answer.status}"
            yield from stage.leaks(call(None, "GET", url), f"{how}, and yet a presigned URL")
    finally:
        stage.target.admin(stage.root, "DELETE", _row(stage, "revoked"))
        call(stage.victim.pair, "DELETE", f"/{bucket}/k")
        call(stage.victim.pair, "DELETE", f"/{bucket}")


def _erased_buckets(stage: Stage) -> Iterator[str]:
    call, pair, bucket = stage.target.s3, stage.attacker.pair, f"anew-{stage.word}"
    stage.must(call(pair, "PUT", f"/{bucket}"), "a bucket")
    enabled = b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>"
    stage.must(call(pair, "PUT", f"/{bucket}?versioning", enabled), "versioning")
    version = call(pair, "PUT", f"/{bucket}/k", stage.marker.encode()).headers["x-amz-version-id"]
    upload = call(pair, "POST", f"/{bucket}/k?uploads").find("UploadId")
    call(pair, "DELETE", f"/{bucket}/k?versionId={version}")
    stage.must(call(pair, "DELETE", f"/{bucket}"), "the bucket's end")
    try:
        stage.must(call(pair, "PUT", f"/{bucket}"), "a bucket of the same name")
        for asked in ("/k", f"/k?versionId={version}", f"/k?uploadId={upload}", "?versions", "?uploads"):
            answer = call(pair, "GET", f"/{bucket}{asked}")
            yield from stage.leaks(answer, asked)
            if answer.all("Key") and answer.good:
                yield f"GET {asked}: {answer.all('Key')}"
        if call(pair, "PUT", f"/{bucket}/k?partNumber=1&uploadId={upload}", b"x").good:
            yield "a part of an upload that went with the old bucket"
    finally:
        call(pair, "DELETE", f"/{bucket}")


def _erased_tenants(stage: Stage) -> Iterator[str]:
    target, root, path = stage.target, stage.root, f"isolation-{stage.word}-e"
    old = make_party(target, root, path, stage.word, 8)
    stage.must(target.s3(old.pair, "PUT", f"/{old.bucket}/secret", stage.marker.encode()), "an object")
    url = target.presigned(old.pair, "GET", f"/{old.bucket}/secret")
    feed = target.admin(old.pair, "GET", "/v1/feed").told["cursor"]
    remove_party(target, root, old)
    allowed(target.admin(root, "GET", f"/v1/tenants/{quote(path, '')}").status == 404, "the tenant is gone")
    new = make_party(target, root, path, stage.word, 9)
    try:
        if new.id == old.id:
            yield f"the id {new.id} was given again"
        stage.settle(
            lambda: not target.s3(old.pair, "GET", "/").good and not target.admin(old.pair, "GET", "/v1/self").good,
            "a revoked key is refused",
        )
        for what, answer in (
            ("the old key", target.s3(old.data, "GET", "/")),
            ("the old presigned URL", target.s3(None, "GET", url)),
            ("the old bucket by the new key", target.s3(new.pair, "GET", f"/{old.bucket}/secret")),
            ("the old key at the second port", target.admin(old.pair, "GET", "/v1/self")),
        ):
            yield from stage.leaks(answer, what)
            if answer.good:
                yield f"{what}: {answer.status}"
        told = target.admin(new.pair, "GET", f"/v1/feed?cursor={'0' * 32}").told or {}
        again = target.admin(new.pair, "GET", f"/v1/feed?cursor={feed}").told or {}
        for change in (*told.get("changes", ()), *again.get("changes", ())):
            if change["bucket"] == old.bucket:
                yield "the feed tells of the old one's changes"
        shown = target.admin(new.pair, "GET", f"/v1/tenants/@{old.id}")
        if shown.good:
            yield "the old tenant is shown by its id"
    finally:
        remove_party(target, root, new)


def _unharmed(stage: Stage) -> Iterator[str]:
    for before, after in zip(stage.before, stage.belongings(), strict=True):
        if before != after:
            yield f"before {str(before)[:300]}, after {str(after)[:300]}"
