"""Probes of what S3's clients never send: paths that climb, hosts that name buckets, signatures that are used again, names of others."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from isotherm.testing.isolation.calling import Pair, apart
from isotherm.testing.isolation.of_s3 import BODIES, judged, strangers
from isotherm.testing.isolation.probe import Probe, allowed
from isotherm.testing.isolation.stage import Stage


def probes() -> list[Probe]:
    return [
        Probe("s3.paths", "Climb from one's own bucket into the victim's by dots, slashes and zeros.", _paths),
        Probe("s3.hosts", "Name the victim's bucket in the Host header.", _hosts),
        Probe("s3.descendants", "Read, with a parent's key, what its sub-tenant keeps; copy it.", _descendants),
        Probe("s3.copy-source", "Copy from the victim's bucket, by every way to name it.", _copy_source),
        Probe("s3.deputy", "Have the server act for another: headers that name a tenant, an owner, a user.", _deputy),
        Probe("s3.signatures", "Sign in another's name, or leave the signature away.", _signatures),
        Probe("s3.presigned", "Use a presigned URL for another method, key, bucket or time.", _presigned),
        Probe("s3.markers", "Go on in the victim's lists from tokens and markers.", _markers),
        Probe("s3.guessed-ids", "Name the victim's versions and uploads in a bucket of one's own.", _guessed_ids),
    ]


def _paths(stage: Stage) -> Iterator[str]:
    own, victim, key = stage.attacker.bucket, stage.victim.bucket, stage.key
    for target in (
        f"/{own}/../{victim}/{key}",
        f"/{own}/%2e%2e/{victim}/{key}",
        f"/{own}/..%2f{victim}%2f{key}",
        f"/{own}%2f..%2f{victim}/{key}",
        f"/{own}%2F%2E%2E%2F{victim}%2F{key}",
        f"/{own}/..%5c{victim}%5c{key}",
        f"/{own}/.%00./{victim}/{key}",
        f"/{own}/%252e%252e/{victim}/{key}",
        f"/{own}/%c0%ae%c0%ae/{victim}/{key}",
        f"//{victim}/{key}",
        f"/./{victim}/{key}",
        f"/%2e/{victim}/{key}",
        f"/%2f{victim}/{key}",
        f"/{victim}%00/{key}",
        f"/%00{victim}/{key}",
        f"/{victim}%20/{key}",
        f"/{victim.upper()}/{key}",
        f"/{victim}./{key}",
        f"/{victim}//{key}",
        f"/{own};{victim}/{key}",
        f"/{own}?prefix=../{victim}/",
        f"/{own}?list-type=2&prefix=%2e%2e%2f{victim}",
        f"/@{stage.victim.id}/{victim}/{key}",
        f"/{stage.victim.path}:{victim}/{key}",
        f"/{stage.victim.id}:{victim}/{key}",
        f"/arn:aws:s3:::{victim}/{key}",
    ):
        for method in ("GET", "HEAD"):
            answer = stage.target.s3(stage.attacker.pair, method, target)
            yield from stage.leaks(answer, f"{method} {target}")
            if answer.good and "prefix=" not in target:
                yield f"{method} {target}: {answer.status}"


def _hosts(stage: Stage) -> Iterator[str]:
    """Where the server takes hosts for buckets, a host is but another spelling of a bucket's name."""
    host, victim, absent = stage.target.host, stage.victim.bucket, stage.absent[stage.victim.bucket]
    for domain in stage.target.domains:
        own = stage.target.s3(stage.attacker.pair, "GET", "/", headers={"host": f"{stage.attacker.bucket}.{domain}"})
        allowed(own.good, f"one's own bucket as a host in {domain}")
    for domain in (*stage.target.domains, host, "s3.amazonaws.com", ""):
        for who, pair in strangers(stage):
            for asked in ("/", f"/{stage.key}", "/?versions"):
                there, gone = (
                    stage.target.s3(pair, "GET", asked, headers={"host": f"{name}.{domain}".rstrip(".")})
                    for name in (victim, absent)
                )
                yield from stage.leaks(there, f"{who}, GET {asked} of {victim} in {domain}")
                difference = apart(there, gone, stage.names)
                if difference is not None:
                    yield f"{who}, GET {asked} of {victim} in {domain}: {difference}"
    for name in (f"{stage.attacker.bucket}.{host}", f"{stage.attacker.bucket}.{victim}"):
        answer = stage.target.s3(stage.attacker.pair, "GET", f"/../{victim}/{stage.key}", headers={"host": name})
        yield from stage.leaks(answer, f"climbing out of the host {name}")


def _descendants(stage: Stage) -> Iterator[str]:
    """Who administers a tenant below has none of its objects: for that, there are keys and grants."""
    call, pair, below = stage.target.s3, stage.attacker.pair, stage.attacker_sub.bucket
    allowed(call(stage.attacker_sub.pair, "GET", f"/{below}").good, "a sub-tenant's own bucket")
    absent = f"{below[:-1]}x"
    for method, asked, source in (
        ("GET", "{}", ""),
        ("GET", "{}?versions", ""),
        ("GET", f"{{}}/own-{stage.word}", ""),
        ("PUT", "{}/new", ""),
        ("DELETE", f"{{}}/own-{stage.word}", ""),
        ("DELETE", "{}", ""),
        ("PUT", f"{stage.attacker.bucket}/stolen", f"/{{}}/own-{stage.word}"),
    ):
        there, gone = (
            call(
                pair,
                method,
                "/" + asked.format(name),
                headers={"x-amz-copy-source": source.format(name)} if source else {},
            )
            for name in (below, absent)
        )
        if there.good or (difference := apart(there, gone, {below: absent})) is not None:
            yield f"{method} {asked.format(below)}: {there.status}, {'' if there.good else difference}"


def _copy_source(stage: Stage) -> Iterator[str]:
    own, victim, key = stage.attacker.bucket, stage.victim.bucket, stage.key
    absent = stage.absent[victim]
    for source in (
        f"/{victim}/{key}",
        f"{victim}/{key}",
        f"/{victim}/{key}?versionId={stage.version}",
        f"/{quote(victim)}%2F{key}",
        f"/{own}/../{victim}/{key}",
        f"/{own}/%2e%2e/{victim}/{key}",
        f"//{victim}/{key}",
        f"arn:aws:s3:::{victim}/{key}",
        f"/@{stage.victim.id}/{victim}/{key}",
    ):
        for target, headers in (
            (f"/{own}/stolen", {}),
            (f"/{own}/stolen?partNumber=1&uploadId={'f' * 32}", {"x-amz-copy-source-range": "bytes=0-3"}),
        ):
            there, gone = (
                stage.target.s3(stage.attacker.pair, "PUT", target, headers={"x-amz-copy-source": text, **headers})
                for text in (source, source.replace(victim, absent))
            )
            yield from judged(stage, f"PUT {target} from {source}", there, gone)
    for _, pair in strangers(stage):
        answer = stage.target.s3(pair, "PUT", f"/{own}/stolen", headers={"x-amz-copy-source": f"/{victim}/{key}"})
        if answer.good:
            yield f"PUT /{own}/stolen: {answer.status}"
    stolen = stage.target.s3(stage.attacker.pair, "GET", f"/{own}/stolen")
    yield from stage.leaks(stolen, "what was copied")


def _deputy(stage: Stage) -> Iterator[str]:
    victim = stage.victim
    for headers in (
        {"x-tenant": victim.path},
        {"x-isotherm-tenant": str(victim.id)},
        {"x-forwarded-user": victim.pair.access_key},
        {"x-forwarded-host": f"{victim.bucket}.{stage.target.host}"},
        {"x-original-url": f"/{victim.bucket}/{stage.key}"},
        {"x-http-method-override": "DELETE"},
        {"x-amz-expected-bucket-owner": str(victim.id)},
        {"x-amz-source-expected-bucket-owner": str(victim.id)},
        {"x-amz-security-token": victim.pair.access_key},
        {"x-amz-request-payer": "requester"},
    ):
        there, absent = (
            stage.target.s3(stage.attacker.pair, "GET", f"/{bucket}/{stage.key}", headers=headers)
            for bucket in (victim.bucket, stage.absent[victim.bucket])
        )
        yield from judged(stage, f"GET with {headers}", there, absent)


def _signatures(stage: Stage) -> Iterator[str]:
    victim, attacker = stage.victim.pair, stage.attacker.pair
    target = f"/{stage.victim.bucket}/{stage.key}"
    for what, pair in (
        ("no signature", None),
        ("the victim's access key, and a secret of one's own", Pair(victim.access_key, attacker.secret)),
        ("the victim's access key, and no secret", Pair(victim.access_key, "")),
        ("both access keys", Pair(f"{attacker.access_key}/{victim.access_key}", attacker.secret)),
        ("the victim's tenant instead of an access key", Pair(stage.victim.path.replace("-", ""), attacker.secret)),
    ):
        for method in ("GET", "PUT", "DELETE"):
            answer = stage.target.s3(pair, method, target, b"x" if method == "PUT" else b"")
            yield from stage.leaks(answer, f"{method} with {what}")
            if answer.good:
                yield f"{method} with {what}: {answer.status}"


def _presigned(stage: Stage) -> Iterator[str]:
    """The victim hands out a URL for one object; whoever has it tries it elsewhere."""
    call, sign, victim = stage.target.s3, stage.target.presigned, stage.victim
    open_ = f"/{victim.bucket}/own-{stage.word}"
    given = sign(victim.pair, "GET", open_)
    allowed(call(None, "GET", given).good, "a presigned URL as it was given")
    secret = f"/{victim.bucket}/{stage.key}"
    own = sign(stage.attacker.pair, "GET", secret)
    late = sign(victim.pair, "GET", secret, expires_s=1, age_s=60)
    for what, method, target in (
        ("another key", "GET", given.replace(open_, secret)),
        (
            "another bucket",
            "GET",
            given.replace(victim.bucket, victim.common, 1).replace(f"own-{stage.word}", stage.key),
        ),
        ("another method", "PUT", given),
        ("another method", "DELETE", given),
        ("a list of the bucket", "GET", given.replace(open_, f"/{victim.bucket}")),
        ("another version", "GET", given.replace(open_, secret) + f"&versionId={stage.version}"),
        ("a subresource added", "GET", given + "&tagging"),
        ("a path that climbs", "GET", given.replace(open_, f"{open_}/../{stage.key}")),
        ("a longer time", "GET", late.replace("X-Amz-Expires=1&", "X-Amz-Expires=9999&")),
        ("a time that is over", "GET", late),
        ("one's own signature", "GET", own),
        ("another's access key in it", "GET", own.replace(stage.attacker.pair.access_key, victim.pair.access_key)),
        ("a header beside it", "GET", given + "&x-amz-copy-source=" + quote(secret, "")),
    ):
        answer = call(None, method, target)
        yield from stage.leaks(answer, f"{method} with {what}")
        if answer.good:
            yield f"{method} with {what}: {answer.status}"


def _markers(stage: Stage) -> Iterator[str]:
    """Tokens of the victim's lists, in lists of one's own bucket of the same name, and of his."""
    bucket = stage.victim.common
    page = stage.target.s3(stage.victim.pair, "GET", f"/{bucket}?list-type=2&max-keys=1")
    token = quote(page.find("NextContinuationToken"), "")
    allowed(token, "a list of the victim's has a second page")
    buckets = stage.target.s3(stage.victim.pair, "GET", "/?max-buckets=1")
    more = quote(buckets.find("ContinuationToken"), "")
    for who, pair in strangers(stage):
        for asked in (
            f"/{bucket}?list-type=2&continuation-token={token}",
            f"/{bucket}?marker={stage.key[:-1]}",
            f"/{bucket}?versions&key-marker={stage.key}&version-id-marker={stage.version}",
            f"/{bucket}?uploads&key-marker={stage.key[:-1]}&upload-id-marker={stage.upload}",
            f"/?continuation-token={more}",
            f"/?prefix={stage.victim.bucket}",
        ):
            answer = stage.target.s3(pair, "GET", asked)
            yield from stage.leaks(answer, f"{who}, GET {asked}")
            if stage.victim.bucket in answer.all("Name"):
                yield f"{who}, GET {asked}: the victim's bucket"


def _guessed_ids(stage: Stage) -> Iterator[str]:
    bucket, key, never = stage.attacker.common, stage.key, "f" * 32
    for method, asked in (
        ("GET", f"/{key}?versionId={stage.version}"),
        ("HEAD", f"/{key}?versionId={stage.version}"),
        ("GET", f"/{key}?tagging&versionId={stage.version}"),
        ("GET", f"/{key}?uploadId={stage.upload}"),
        ("PUT", f"/{key}?partNumber=1&uploadId={stage.upload}"),
        ("POST", f"/{key}?uploadId={stage.upload}"),
        ("DELETE", f"/{key}?uploadId={stage.upload}"),
    ):
        body = BODIES["CompleteMultipartUpload"] if method == "POST" else b""
        known, guessed = (
            stage.target.s3(stage.attacker.pair, method, f"/{bucket}{text}", body)
            for text in (asked, asked.replace(stage.version, never).replace(stage.upload, never))
        )
        difference = apart(known, guessed, {stage.version: never, stage.upload: never})
        if known.good or difference is not None:
            yield f"{method} {asked}: {known.status}, {difference}"
        yield from stage.leaks(known, f"{method} {asked}")
