"""A chapter of the script (`script.py`): the store behind `isotherm serve`, all of whose processes are recorded too.

An S3 client and a program write side by side; a gateway is killed with its segment open, and the mover seals it; the root
credentials are rotated. Says what writers say, and whether there are credentials.
"""

import asyncio
import random
import subprocess
import sys
import threading
from pathlib import Path

import boto3
from botocore.exceptions import ClientError

from isotherm.testing.server import RunningServer
from tests.faults import recording
from tests.faults.content import make
from tests.faults.writer import BUCKETS, KEYS

OPERATIONS = ("put", "put", "large", "parts", "copy", "put", "retag", "delete", "put", "copy")
EACH = 24


class RemoteScribe:
    """As `writer.Writer`, through S3."""

    def __init__(self, s3, name, life, say):
        self.s3 = s3
        self.name = name
        self.random = random.Random(f"{name} {life}")
        self.number = (life << 20) + 1
        self.say = say

    def step(self, operation):
        self.number += 1
        bucket = self.random.choice(BUCKETS)
        key = f"{self.name}/{self.random.randrange(KEYS)}"
        getattr(self, operation)({"Bucket": bucket, "Key": key})

    def told(self, op, where, call, **given):
        about = {"source": given.pop("source")} if "source" in given else {}
        self.say(op=op, writer=self.name, bucket=where["Bucket"], key=where["Key"], number=self.number, **about)
        try:
            answer = getattr(self.s3, call)(**where, **given)
        except ClientError as refused:
            if refused.response["Error"]["Code"] != "NoSuchKey":
                raise
            self.say(done="refused", writer=self.name)
        else:
            self.say(done=answer.get("VersionId", "null"), writer=self.name)

    def tags(self):
        return f"number={self.number}&writer={self.name}"

    def put(self, where, size=None):
        data = make(where["Key"], self.number, size or self.random.choice((100, 1_000, 20_000, 70_000)))
        self.told("put", where, "put_object", Body=data, Tagging=self.tags())

    def large(self, where):
        self.put(where, self.random.randrange(1_100_000, 1_300_000))

    def parts(self, where):
        upload = self.s3.create_multipart_upload(**where, Tagging=self.tags())["UploadId"]
        data = make(where["Key"], self.number, 30_000)
        part = self.s3.upload_part(**where, UploadId=upload, PartNumber=1, Body=data)
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        self.told("put", where, "complete_multipart_upload", UploadId=upload, MultipartUpload=parts)

    def copy(self, where):
        target = {**where, "Key": f"{where['Key']} copy"}
        how = {"Tagging": self.tags(), "TaggingDirective": "REPLACE", "CopySource": where}
        self.told("copy", target, "copy_object", source=where["Key"], **how)

    def retag(self, where):
        tags = [{"Key": "number", "Value": str(self.number)}, {"Key": "writer", "Value": self.name}]
        self.told("retag", where, "put_object_tagging", Tagging={"TagSet": tags})

    def delete(self, where):
        self.told("delete", where, "delete_object")


def serve(root: Path, life, say, scribe, open_engines):
    with RunningServer(root / "store") as server:
        say(credentials=server.credential.access_key)

        def remotely():
            s3 = boto3.client("s3", **server.client())
            writer = RemoteScribe(s3, "10", life, say)
            for number in range(EACH):
                writer.step(OPERATIONS[number % len(OPERATIONS)])

        thread = threading.Thread(target=remotely)
        thread.start()
        engines = open_engines(root / "store", life)
        asyncio.run(_beside(scribe(engines, 11, life, say)))
        engines.close()
        thread.join()
        recording.kill(server.pid("gateway-0"))
        server.until(lambda: "sealed segments of dead processes" in server.log, 60, "nobody sealed it")
        remotely_again = RemoteScribe(boto3.client("s3", **server.client()), "12", life, say)
        server.pid("gateway-0")
        for operation in ("put", "delete", "put"):
            remotely_again.step(operation)
        rotated = [sys.executable, "-m", "isotherm.cli", "keys", "rotate", server.credential.access_key]
        subprocess.run([*rotated, "--data", root / "store", "--grace", "0"], check=True, capture_output=True)
        say(credentials=server.credential.access_key)


async def _beside(writer):
    for _ in range(EACH):
        await writer.step(writer.random.choice(("put", "large", "copy", "delete", "forget")))
