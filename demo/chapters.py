"""The chapters of the story, in the order they are told. Each shows something and checks it; a check that fails raises."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import isotherm
from demo import corpus
from demo.clients import THREADS, Credentials, Rclone, Upload, differing, keys, s3_client
from demo.corpus import Document
from demo.feed import FeedUrl, Follower
from demo.screen import Screen
from demo.server import Process, Server

DOCUMENTS = "documents"
MIRROR = "mirror"
PART_BYTES = 5 << 20
FSCK_SOUND = (0, 1)  # 1: sound, but what the crashes cut off has not been compacted away yet


@dataclass(slots=True)
class Stage:
    """Who takes part, and what has been measured so far."""

    screen: Screen
    server: Server
    command: Path
    data: Path
    home: Path
    tree: Path
    documents: list[Document]
    credentials: Credentials
    credentials_file: Path
    client: Any
    feed: FeedUrl
    follower: Follower
    rates: list[tuple[str, str, str]] = field(default_factory=list)

    @classmethod
    def set_up(cls, screen: Screen, server: Server, command: Path, home: Path, tree: Path) -> Stage:
        """Start the platform for the first time."""
        screen.section("One command starts the platform")
        screen.say(f"$ {server.command_line}")
        ready_s = server.start()
        screen.proof(f"ready after {ready_s:.1f} s; {_named(server.processes())}")
        credentials_file = home / "data" / "keys" / "root-credentials"
        credentials = Credentials.read(credentials_file)
        screen.say(f"Its root credentials lie in {credentials_file}, readable by their owner alone.")
        client = s3_client(server.endpoint, credentials)
        feed = FeedUrl(server.admin, credentials, DOCUMENTS)
        documents = corpus.documents(tree)
        stage = cls(
            screen=screen,
            server=server,
            command=command,
            data=home / "data",
            home=home,
            tree=tree,
            documents=documents,
            credentials=credentials,
            credentials_file=credentials_file,
            client=client,
            feed=feed,
            follower=Follower(feed),
        )
        stage.rates.append(("first start to ready", f"{ready_s:.1f} s", "empty directory"))
        return stage


def check(holds: bool, otherwise: str) -> None:
    """Raises RuntimeError with what was found instead."""
    if not holds:
        raise RuntimeError(otherwise)


def _named(processes: Sequence[Process]) -> str:
    return f"{len(processes)} processes: " + ", ".join(f"{process.pid} {process.name}" for process in processes)


def crash_during_upload(stage: Stage) -> None:
    """Eight boto3 threads upload; halfway every process is killed; the platform starts again; the upload goes on."""
    screen, client = stage.screen, stage.client
    screen.section(f"Uploading with boto3, {THREADS} threads, and a crash in the middle")
    client.create_bucket(Bucket=DOCUMENTS)
    client.put_bucket_versioning(Bucket=DOCUMENTS, VersioningConfiguration={"Status": "Enabled"})
    stage.follower.start()
    large = corpus.archive(stage.home)
    multipart = {"Bucket": DOCUMENTS, "Key": f"archive/{large.name}"}
    multipart["UploadId"] = client.create_multipart_upload(**multipart)["UploadId"]
    body = large.read_bytes()
    parts = [client.upload_part(**multipart, PartNumber=1, Body=body[:PART_BYTES])["ETag"]]
    screen.say(f"A multipart upload of {large.name} is open; its first part has been acknowledged.")

    half = len(stage.documents) // 2
    with (
        screen.bar("boto3 put_object", len(stage.documents)) as bar,
        Upload(client, DOCUMENTS, stage.documents, bar.advance) as upload,
    ):
        began = time.monotonic()
        upload.wait_for(half)
        put_s = time.monotonic() - began
        killed = stage.server.kill()
        upload.hold()
        screen.alarm(f"SIGKILL to {_named(killed)}")
        acknowledged = upload.so_far()
        ready_s = stage.server.start()
        screen.say(f"Started again; ready after {ready_s:.1f} s.")
        lost = differing(client, DOCUMENTS, {document.key: document.path for document in acknowledged})
        check(not lost, f"acknowledged before the crash, but not there now: {lost[:5]}")
        screen.proof(f"all {len(acknowledged)} documents acknowledged before the crash are there, byte for byte")
        upload.go_on()
        upload.finish()
    screen.say(f"{upload.unanswered} requests had no answer because of the crash; their threads put them again.")
    parts.append(client.upload_part(**multipart, PartNumber=2, Body=body[PART_BYTES:])["ETag"])
    numbered = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(parts, 1)]
    client.complete_multipart_upload(**multipart, MultipartUpload={"Parts": numbered})
    check(not differing(client, DOCUMENTS, {multipart["Key"]: large}), "the multipart object is not the archive")
    screen.proof("the multipart upload was completed after the crash with the part from before it")
    stage.rates += [
        ("boto3 put", f"{half / put_s:,.0f} documents/s", f"{THREADS} threads; each one fsynced"),
        ("killed to ready", f"{ready_s:.1f} s", f"{len(acknowledged)} documents stored"),
    ]


def follow(stage: Stage) -> None:
    """What the follower saw, that lived through the crash, against the whole feed read again from its start."""
    screen = stage.screen
    screen.section("The change feed, followed over HTTP all the while")
    again = stage.feed.read_all()
    seen = stage.follower.finish(again[-1].cursor)
    check(seen == again, f"the follower saw {len(seen)} records, the feed holds {len(again)}")
    put = {record.key for record in again if record.kind == "put"}
    missing = [document.key for document in stage.documents if document.key not in put]
    check(not missing, f"acknowledged but not in the feed: {missing[:5]}")
    example = again[len(again) // 2]
    screen.say(f"for example: {example.kind} {example.key}")
    screen.say(f"             version {example.version_id}, cursor {example.cursor}")
    check(
        [record.cursor for record in again] == sorted({record.cursor for record in again}), "the feed is out of order"
    )
    connections = stage.follower.connections
    screen.proof(f"{len(seen)} records in commit order over {connections} connections, none missed and none twice")


def mirror_with_rclone(stage: Stage) -> None:
    """rclone copies the whole archive; the platform is killed once more, and rclone is not told."""
    screen = stage.screen
    screen.section("Mirroring a directory with rclone, and another crash")
    rclone = Rclone(stage.command.with_name("rclone"), stage.server.endpoint, stage.credentials)
    local = corpus.files(stage.tree)
    total_bytes = sum(path.stat().st_size for path in local)
    crashes: list[int] = []

    with screen.bar("rclone copy", len(local)) as bar:

        def progress(copied: int) -> None:
            bar.reach(copied)
            if copied >= len(local) // 10 and not crashes:
                crashes.append(copied)
                screen.alarm(f"SIGKILL to {len(stage.server.kill())} processes")
                screen.say(f"Started again; ready after {stage.server.start():.1f} s. rclone goes on by itself.")

        rclone.copy(stage.tree, MIRROR, progress)
        bar.reach(len(local))
    check(bool(crashes), "rclone had finished before the crash")
    rclone.check(stage.tree, MIRROR)
    screen.proof(f"rclone's own check: {len(local)} files, {total_bytes / 1e6:.0f} MB, identical")
    began = time.monotonic()
    rclone.copy(stage.tree, f"{MIRROR}/again")
    took_s = time.monotonic() - began
    rate = f"{len(local) / took_s:,.0f} files/s, {total_bytes / took_s / 1e6:,.0f} MB/s"
    stage.rates.append(("rclone copy", rate, f"{len(local):,} files, {THREADS} transfers"))


def look_around(stage: Stage) -> None:
    """Listings, ranges, a link that anybody can open."""
    screen, client = stage.screen, stage.client
    screen.section("Listing and reading")
    began = time.monotonic()
    listed = keys(client, MIRROR)
    list_s = time.monotonic() - began
    answer = client.list_objects_v2(Bucket=DOCUMENTS, Prefix="docs/", Delimiter="/")
    folders = [entry["Prefix"] for entry in answer["CommonPrefixes"]]
    screen.say(f"below docs/: {', '.join(folders)} and {len(answer['Contents'])} documents")
    chinese = keys(client, DOCUMENTS, "docs/zh/")
    screen.say(f"below docs/zh/: {len(chinese)} documents, the first {chinese[0]}")

    pdf = max((document for document in stage.documents if document.tags["kind"] == "pdf"), key=lambda d: d.size_bytes)
    piece = client.get_object(Bucket=DOCUMENTS, Key=pdf.key, Range="bytes=1000000-1000999")
    check(piece["Body"].read() == pdf.path.read_bytes()[1_000_000:1_001_000], "a range has other bytes")
    screen.proof(f"a range, {piece['ContentRange']}, of {pdf.key}")
    link = client.generate_presigned_url("get_object", Params={"Bucket": DOCUMENTS, "Key": chinese[0]}, ExpiresIn=60)
    with urllib.request.urlopen(link) as answer:
        text = answer.read().decode()
    by_key = {document.key: document for document in stage.documents}
    check(text == by_key[chinese[0]].path.read_text(), "a presigned link gave another text")
    screen.proof(f"a presigned link opens it: {next(line for line in text.splitlines() if line.startswith('# '))}")

    wanted = {document.key: document.path for document in stage.documents}
    began = time.monotonic()
    check(not differing(client, DOCUMENTS, wanted), "a document has other bytes")
    get_s = time.monotonic() - began
    stage.rates += [
        ("boto3 get", f"{len(wanted) / get_s:,.0f} documents/s", f"{THREADS} threads"),
        ("boto3 list", f"{len(listed) / list_s:,.0f} keys/s", f"{len(listed):,} keys, 1,000 a page"),
    ]


def add_tags(stage: Stage) -> None:
    """Found from the command line; then a program opens the directory beside the server and adds more tags than S3 allows."""
    screen = stage.screen
    screen.section("Tags: any number on an object, indexed")
    expected = sorted(document.key for document in stage.documents if document.tags["language"] == "zh")
    arguments = ["find", "--data", str(stage.data), "--bucket", DOCUMENTS, "language=zh", "kind=text"]
    screen.say(f"$ isotherm {' '.join(arguments)}")
    printed = subprocess.run([str(stage.command), *arguments], capture_output=True, text=True, check=False)
    check(printed.returncode == 0, f"isotherm find failed: {printed.stderr}")
    lines = [line.removeprefix(f"{DOCUMENTS}/") for line in printed.stdout.splitlines()]
    check(sorted(lines) == expected, f"isotherm find printed {len(lines)} lines: {lines[:3]} …")
    screen.proof(f"exactly the {len(expected)} Chinese documents, by the tags that boto3 sent with them")
    with isotherm.open(stage.data) as store:
        began = time.monotonic()
        found = [hit.key for hit in store.find({"language": "zh", "kind": "text"}, bucket=DOCUMENTS)]
        find_s = time.monotonic() - began
        check(sorted(found) == expected, f"found {len(found)} documents: {found[:3]} …")
        chosen = expected[0]
        store.set_tags(DOCUMENTS, chosen, {f"read-by-{number}": "yes" for number in range(500)}, replace=False)
        hits = [hit.key for hit in store.find({"read-by-499": "yes", "language": "zh"})]
        check(hits == [chosen], f"found {hits}")
        check(len(store.tags(DOCUMENTS, chosen)) == 503, "not all tags are there")
        screen.say(f'with isotherm.open("{stage.data}") as store:  # beside the running server')
        screen.proof(f"500 more tags on {chosen}, in one transaction; found by one of them")
    stage.rates.append(("find by two tags", f"{find_s * 1e3:.1f} ms", f"{len(expected)} found, in a program"))


def prove(stage: Stage) -> None:
    """fsck, and every byte of every document against its file."""
    screen = stage.screen
    screen.section("Nothing acknowledged was lost")
    wanted = {document.key: document.path for document in stage.documents}
    with screen.bar("comparing", len(wanted)) as bar:
        lost = differing(stage.client, DOCUMENTS, wanted, bar.advance)
    check(not lost, f"lost or changed: {lost[:5]}")
    screen.proof(f"{len(wanted)} of {len(wanted)} documents are there, byte for byte, after two crashes")
    unknown = set(keys(stage.client, DOCUMENTS)) - set(wanted) - {f"archive/{corpus.archive(stage.home).name}"}
    check(not unknown, f"keys that nobody put: {sorted(unknown)[:5]}")
    arguments = ["fsck", "--data", str(stage.data)]
    screen.say(f"$ isotherm {' '.join(arguments)}")
    with screen.busy("fsck reads every byte"):
        environment = os.environ | {"COLUMNS": str(screen.columns)}
        command = [str(stage.command), *arguments]
        fsck = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    for line in fsck.stdout.splitlines():
        screen.say(line)
    check(fsck.returncode in FSCK_SOUND, f"fsck ended with status {fsck.returncode}:\n{fsck.stderr}")
    screen.proof("every object readable, every byte accounted for")
