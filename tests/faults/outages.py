"""Writers over S3 beside a database that goes away, and what must be true afterwards.

Each writer owns a few keys and writes growing numbers to them, one at a time. What was acknowledged must be there at the end,
or something that the same writer sent later and got no clear answer for. Sizes tell the numbers in the feed: no acknowledged
write may be missing there, and each key's numbers must come in order.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

import isotherm
from isotherm.clock import SystemClock
from isotherm.settings import Settings

KEYS = 3
BOUND_S = 30.0
BUSY = {"ServiceUnavailable", "SlowDown"}


def client(server):
    """Tries once; a reply that takes longer than bounded time is a failure of the test."""
    config = Config(retries={"total_max_attempts": 1}, read_timeout=BOUND_S, connect_timeout=BOUND_S)
    return boto3.client("s3", config=config, **server.client())


def body(number):
    return b"%08d" % number + b"x" * number


@dataclass
class Written:
    """Of one key: numbers acknowledged, and those in doubt since."""

    acknowledged: list = field(default_factory=list)
    doubtful: list = field(default_factory=list)


class Writers:
    """As many threads as `count`; `with` starts and ends them."""

    def __init__(self, server, count):
        self.server = server
        self.written = {f"{writer}/{key}": Written() for writer in range(count) for key in range(KEYS)}
        self.refused = 0
        self.wrong = []
        self._clock = SystemClock()
        self._progress = [0] * count
        self._changed = threading.Condition()
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._write, args=(writer,)) for writer in range(count)]

    def __enter__(self):
        client(self.server).create_bucket(Bucket="box")
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exc):
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def go_on(self, writes, limit_s=60.0):
        """Wait until every writer has had so many more writes acknowledged."""
        with self._changed:
            goals = [done + writes for done in self._progress]

            def reached():
                return self.wrong or all(d >= g for d, g in zip(self._progress, goals, strict=True))

            assert self._changed.wait_for(reached, limit_s), f"no progress: {self._progress}, goals {goals}"
        assert not self.wrong, self.wrong

    def suffer(self, refusals, limit_s=60.0):
        """Wait until so many more writes have been refused."""
        with self._changed:
            goal = self.refused + refusals
            assert self._changed.wait_for(lambda: self.wrong or self.refused >= goal, limit_s), "nothing was refused"

    def _write(self, writer):
        s3 = client(self.server)
        number = 0
        while not self._ended.is_set():
            number += 1
            key = f"{writer}/{number % KEYS}"
            began_s = self._clock.monotonic()
            outcome = self._put(s3, key, number)
            took_s = self._clock.monotonic() - began_s
            with self._changed:
                of = self.written[key]
                if outcome is None:
                    of.acknowledged.append(number)
                    of.doubtful.clear()
                    self._progress[writer] += 1
                else:
                    of.doubtful.append(number)
                    self.refused += 1
                    if outcome:
                        self.wrong.append(outcome)
                if took_s > BOUND_S:
                    self.wrong.append(f"an answer took {took_s:.1f} s")
                self._changed.notify_all()

    def _put(self, s3, key, number):
        """None when acknowledged; else what is wrong with the refusal, if anything is."""
        try:
            s3.put_object(Bucket="box", Key=key, Body=body(number))
        except ClientError as error:
            told = error.response
            headers = told["ResponseMetadata"]["HTTPHeaders"]
            if told["Error"]["Code"] not in BUSY or "retry-after" not in headers:
                return f"{told['Error']} {headers}"
            self._ended.wait(0.05)  # as a client that heeds it would, but sooner
            return ""
        except BotoCoreError as error:  # the gateway broke off: an unclear answer as well
            return "" if "timed out" not in str(error).lower() else str(error)
        return None

    def check(self, meta):
        """Everything acknowledged is there, in the store and in its feed; ask after the writers have ended."""
        assert not self.wrong, self.wrong
        settings = Settings(self.server.data, meta=meta)
        with isotherm.open(self.server.data, settings=settings) as store:
            told = {}
            cursor = None
            while True:
                changes, cursor = store.changes(cursor)
                if not changes:
                    break
                for change in changes:
                    if change.kind == "put":
                        told.setdefault(change.key, []).append(change.size - 8)
            for key, of in self.written.items():
                numbers = told.get(key, [])
                assert numbers == sorted(set(numbers)), (key, "is out of order in the feed")
                assert set(of.acknowledged) <= set(numbers), (key, "misses what was acknowledged")
                if not numbers:
                    continue
                found = int(store.get("box", key)[:8])
                assert found == numbers[-1]
                assert found in {*of.acknowledged[-1:], *of.doubtful}, (key, found, of)
