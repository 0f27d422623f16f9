"""The tools people already use: boto3 with eight threads, and rclone. Both unmodified."""

from __future__ import annotations

import configparser
import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from demo.corpus import Document

THREADS = 8


@dataclass(frozen=True, slots=True)
class Credentials:
    """A pair of keys, as the server's first start wrote it: in the form of AWS's shared credentials file."""

    access_key: str
    secret_key: str

    @classmethod
    def read(cls, path: Path) -> Credentials:
        parser = configparser.ConfigParser()
        parser.read(path)
        pair = parser["default"]
        return cls(pair["aws_access_key_id"], pair["aws_secret_access_key"])


def s3_client(endpoint: str, credentials: Credentials) -> Any:
    """boto3 as anyone would set it up; it does not retry by itself, so that each refusal is seen and counted."""
    return boto3.client(
        "s3",
        endpoint_url=endpoint,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        region_name="us-east-1",
        config=Config(
            signature_version="s3v4",  # boto3 would still sign links for us-east-1 with version 2
            s3={"addressing_style": "path"},
            retries={"total_max_attempts": 1},
            max_pool_connections=2 * THREADS,
            connect_timeout=5,
            read_timeout=30,
        ),
    )


class Upload:
    """Eight threads that put documents and write down what was acknowledged, and nothing else.

    While the platform is away they wait at a gate and then put again whatever had no answer. A context manager: leaving it
    ends the threads, whatever has been put.
    """

    def __init__(self, client: Any, bucket: str, documents: Sequence[Document], on_ack: Callable[[], None]) -> None:
        self._client = client
        self._bucket = bucket
        self._on_ack = on_ack
        self._gate = threading.Event()
        self._gate.set()
        self._given_up = False
        self._pool = ThreadPoolExecutor(THREADS)
        self._count = threading.Condition()
        self.acknowledged: list[Document] = []
        self.unanswered = 0
        self._futures: list[Future[None]] = [self._pool.submit(self._put, document) for document in documents]

    def _put(self, document: Document) -> None:
        while not self._given_up:
            self._gate.wait()
            try:
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=document.key,
                    Body=document.path.read_bytes(),
                    ContentType=document.content_type,
                    Tagging=urlencode(document.tags),
                )
            except (BotoCoreError, ClientError) as error:
                if isinstance(error, ClientError) and error.response["ResponseMetadata"]["HTTPStatusCode"] < 500:
                    raise
                with self._count:
                    self.unanswered += 1
                time.sleep(0.01)
                continue
            with self._count:
                self.acknowledged.append(document)
                self._count.notify_all()
            self._on_ack()
            return

    def wait_for(self, acknowledged: int) -> None:
        """Return when so many puts have been acknowledged. Raises what a thread raised."""
        with self._count:
            while len(self.acknowledged) < acknowledged:
                self._count.wait(0.2)
                for future in self._futures:
                    if future.done():
                        future.result()

    def hold(self) -> None:
        """Nothing is put from now on but what is under way."""
        self._gate.clear()

    def go_on(self) -> None:
        self._gate.set()

    def so_far(self) -> list[Document]:
        with self._count:
            return list(self.acknowledged)

    def finish(self) -> None:
        """Return when everything has been acknowledged. Raises what a thread raised."""
        for future in self._futures:
            future.result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._given_up = True
        self._gate.set()
        self._pool.shutdown(cancel_futures=True)


def differing(
    client: Any, bucket: str, expected: Mapping[str, Path], on_read: Callable[[], None] = lambda: None
) -> list[str]:
    """Keys whose bytes are not those of the file, or that are missing; read by eight threads."""

    def differs(item: tuple[str, Path]) -> str | None:
        key, path = item
        try:
            stored = client.get_object(Bucket=bucket, Key=key)["Body"].read()
        except client.exceptions.NoSuchKey:
            return f"{key}: missing"
        finally:
            on_read()
        return None if stored == path.read_bytes() else f"{key}: other bytes"

    with ThreadPoolExecutor(THREADS) as pool:
        return [found for found in pool.map(differs, expected.items()) if found is not None]


def keys(client: Any, bucket: str, prefix: str = "") -> list[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [entry["Key"] for page in pages for entry in page.get("Contents", ())]


class Rclone:
    """The rclone binary, told everything through its environment; it reads and leaves no configuration file."""

    def __init__(self, rclone: Path, endpoint: str, credentials: Credentials) -> None:
        self._rclone = str(rclone)
        self._environment = {
            "RCLONE_CONFIG": "/dev/null",
            "RCLONE_CONFIG_ISOTHERM_TYPE": "s3",
            "RCLONE_CONFIG_ISOTHERM_PROVIDER": "Other",
            "RCLONE_CONFIG_ISOTHERM_ENDPOINT": endpoint,
            "RCLONE_CONFIG_ISOTHERM_ACCESS_KEY_ID": credentials.access_key,
            "RCLONE_CONFIG_ISOTHERM_SECRET_ACCESS_KEY": credentials.secret_key,
        }

    def _start(self, arguments: Iterable[str]) -> subprocess.Popen[str]:
        command = [self._rclone, *arguments, "--use-json-log", "--stats", "100ms", "--stats-log-level", "NOTICE"]
        return subprocess.Popen(command, env=self._environment, stderr=subprocess.PIPE, text=True)

    def copy(self, tree: Path, bucket: str, on_progress: Callable[[int], None] = lambda copied: None) -> None:
        """Copy a directory into a bucket; rclone repeats by itself what fails.

        Raises:
            RuntimeError: rclone gave up.
        """
        options = [
            "--transfers",
            str(THREADS),
            "--checkers",
            str(THREADS),
            "--retries",
            "20",
            "--retries-sleep",
            "200ms",
        ]
        process = self._start(["copy", str(tree), f"isotherm:{bucket}", *options])
        complaints: list[str] = []
        assert process.stderr is not None
        for line in process.stderr:
            record = json.loads(line)
            if "stats" in record:
                on_progress(record["stats"]["transfers"])
            elif record["level"] in ("error", "critical"):
                complaints.append(record["msg"])
        if process.wait() != 0:
            raise RuntimeError("rclone copy failed:\n" + "\n".join(complaints[-5:]))

    def check(self, tree: Path, bucket: str) -> None:
        """Have rclone download everything and compare it with the directory.

        Raises:
            RuntimeError: something is missing, differs or is too many.
        """
        arguments = [self._rclone, "check", "--download", "--checkers", str(THREADS), str(tree), f"isotherm:{bucket}"]
        checked = subprocess.run(arguments, env=self._environment, capture_output=True, text=True, check=False)
        if checked.returncode != 0:
            raise RuntimeError(f"rclone check found differences:\n{checked.stderr[-2000:]}")
