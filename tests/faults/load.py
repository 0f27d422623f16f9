"""Programs and S3 clients that work on one store while things happen to it, and know what must be in it.

Each client has keys of its own. What fails it does again until it is done: who had it killed under him does not know
whether it was, and putting the same once more makes it so. Between its writes it reads what it wrote last, and whatever it
sees must be that. In the bucket that keeps versions, the versions of a key must be in the order in which they were put.

    with Load(clients) as load: load.until(100); …      # a thread each
    load.compare(space)
"""

import random
import threading
import time

from botocore.exceptions import BotoCoreError, ClientError

from isotherm.devices.waiting import drive
from isotherm.errors import IsothermError, NotFound, Retry
from tests.faults.content import make, number_of
from tests.objects.stores import MIB, fetch

PLAIN, KEPT = "plain", "kept"
KEYS = 5
PATIENCE_S = 90
_AGAIN_S = 0.02  # between attempts, so that a server that starts gets the processor


class Failed(Exception):
    """An attempt whose outcome is not known."""


class Program:
    """A client that opened the store itself."""

    def __init__(self, store):
        self.store = store

    def put(self, bucket, key, data):
        self._try(self.store.put, bucket, key, data, tags={"number": str(number_of(data))})

    def delete(self, bucket, key):
        self._try(self.store.delete, bucket, key)

    def get(self, bucket, key):
        try:
            return self._try(self.store.get, bucket, key)
        except NotFound:
            return None

    def _try(self, call, *given, **named):
        try:
            return call(*given, **named)
        except Retry as error:
            raise Failed from error


class Remote:
    """A client of S3. `connect` makes a boto3 client that tries once; again after each failure, as servers move."""

    def __init__(self, connect):
        self.connect = connect
        self.s3 = None

    def put(self, bucket, key, data):
        tags = f"number={number_of(data)}"
        if len(data) < MIB:
            self._try("put_object", Bucket=bucket, Key=key, Body=data, Tagging=tags)
            return
        upload = self._try("create_multipart_upload", Bucket=bucket, Key=key, Tagging=tags)["UploadId"]
        part = self._try("upload_part", Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=data)
        parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
        self._try("complete_multipart_upload", Bucket=bucket, Key=key, UploadId=upload, MultipartUpload=parts)

    def delete(self, bucket, key):
        self._try("delete_object", Bucket=bucket, Key=key)

    def get(self, bucket, key):
        try:
            answer = self._try("get_object", Bucket=bucket, Key=key)
        except NotFound:
            return None
        try:
            return answer["Body"].read()
        except Exception as error:  # cut off in mid-answer
            self.s3 = None
            raise Failed from error

    def _try(self, call, **given):
        try:
            self.s3 = self.s3 or self.connect()
            return getattr(self.s3, call)(**given)
        except ClientError as error:
            answer = error.response
            if answer["Error"]["Code"] == "NoSuchKey":
                raise NotFound from error
            # the wall clock may have stepped between the signature and its check
            assert answer["ResponseMetadata"]["HTTPStatusCode"] >= 500 or "Skewed" in answer["Error"]["Code"], answer
            raise Failed from error
        except (BotoCoreError, IsothermError, OSError) as error:
            self.s3 = None
            raise Failed from error


class _Worker(threading.Thread):
    """One client at work."""

    def __init__(self, name, client, load):
        super().__init__(name=name, daemon=True)
        self.client = client
        self.load = load
        self.random = random.Random(name)
        self.number = 0
        self.done = 0
        self.failures = 0
        self.states = {}
        self.history = {}
        self.doubtful = None
        self.error = None

    def run(self):
        try:
            while not self.load.over:
                self.step()
        except BaseException as error:
            self.error = error

    def step(self):
        """Write, or read what was written."""
        bucket = self.random.choice((PLAIN, PLAIN, KEPT))
        key = f"{self.name}/{self.random.randrange(KEYS)}"
        what = self.random.choice(("put", "put", "put", "get", "get", "delete" if bucket == PLAIN else "put"))
        data = None
        if what == "put":
            self.number += 1
            data = make(key, self.number, self.random.choice((200, 5_000, 70_000, 70_000, MIB + 10)))
        if what == "get":
            self.look(bucket, key)
            return
        self.doubtful = bucket, key, data and self.number
        if self.attempt(what, bucket, key, *([data] if data else [])) is _STOPPED:
            return
        self.doubtful = None
        self.states[bucket, key] = data and self.number
        if bucket == KEPT:
            self.history.setdefault(key, []).append(self.number)
        self.done += 1

    def look(self, bucket, key):
        found = self.attempt("get", bucket, key)
        if found is not _STOPPED:
            seen = None if found is None else number_of(found, key)
            assert seen == self.states.get((bucket, key)), (bucket, key, seen, self.states.get((bucket, key)))

    def attempt(self, what, *given):
        """Again and again."""
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                return getattr(self.client, what)(*given)
            except Failed as error:
                self.failures += 1
                if self.load.over:
                    return _STOPPED
                if time.monotonic() > end:
                    raise TimeoutError(f"{what} did not succeed in {PATIENCE_S} s") from error
                time.sleep(_AGAIN_S)


_STOPPED = object()


class Load:
    def __init__(self, clients):
        self.over = False
        self.workers = [_Worker(name, client, self) for name, client in clients.items()]

    def __enter__(self):
        for worker in self.workers:
            worker.start()
        return self

    def __exit__(self, *exc):
        self.over = True
        for worker in self.workers:
            worker.join()

    @property
    def done(self):
        return sum(worker.done for worker in self.workers)

    @property
    def failures(self):
        return sum(worker.failures for worker in self.workers)

    def further(self, number):
        """Wait until each client has done so many writes more."""
        goals = [(worker, worker.done + number) for worker in self.workers]
        end = time.monotonic() + PATIENCE_S
        while any(worker.done < goal for worker, goal in goals):
            for worker in self.workers:
                if worker.error is not None:
                    raise worker.error
            assert time.monotonic() < end, f"they came to a halt: {[(w.name, w.done, goal) for w, goal in goals]}"
            time.sleep(_AGAIN_S)

    def compare(self, space):
        """After the load: nothing that was acknowledged is lost, whoever looks."""
        for worker in self.workers:
            if worker.error is not None:
                raise worker.error
            for (bucket, key), number in worker.states.items():
                try:
                    seen = number_of(drive(fetch(space, bucket, key)), key)
                except NotFound:
                    seen = None
                allowed = {number}
                if worker.doubtful is not None and worker.doubtful[:2] == (bucket, key):
                    allowed.add(worker.doubtful[2])
                assert seen in allowed, (bucket, key, seen, allowed)
            for key, put in worker.history.items():
                rows = drive(space.list_versions(KEPT, prefix=key, limit=10_000)).entries
                tags = [drive(space.tags(KEPT, key, row.version_id))[0] for row in rows]
                numbers = [int(tag["number"]) for tag in tags][::-1]
                assert numbers == sorted(numbers), f"versions of {key} are out of order: {numbers}"
                assert set(put) <= set(numbers), (key, put, numbers)
