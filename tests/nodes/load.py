"""Clients that write to nodes while those are killed, and remember what was acknowledged."""

from __future__ import annotations

import random
import threading

from botocore.exceptions import BotoCoreError, ClientError

from isotherm.testing.segments_suite import payload

SIZES = (100, 5_000, 30_000, 200_000, 1_500_000)


class Load:
    """Writers, each with keys of its own, until `stop`.

    `acknowledged`: key → seed of the value that was acknowledged last. `unsure`: key → seeds of later puts without an answer,
    each of which may have happened or not.
    """

    def __init__(self, client_of, count, seed):
        self.acknowledged = {}
        self.unsure = {}
        self.puts = 0
        self._client_of = client_of
        self._stopping = threading.Event()
        self._enough = threading.Condition()
        self._threads = [threading.Thread(target=self._write, args=(n, seed), daemon=True) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def wait_for(self, puts):
        """Until so many more have been acknowledged."""
        with self._enough:
            target = self.puts + puts
            assert self._enough.wait_for(lambda: self.puts >= target, 100)

    def stop(self):
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def value(self, key, seed):
        return payload(SIZES[(seed + int(key.rpartition("/")[2])) % len(SIZES)], seed)

    def allowed(self, key):
        """Every value that the key may have now; None: none."""
        seeds = [self.acknowledged.get(key), *self.unsure.get(key, ())]
        return [None if seed is None else self.value(key, seed) for seed in seeds]

    def _write(self, number, seed):
        choice = random.Random(f"{seed} {number}")
        turn = 0
        while not self._stopping.is_set():
            turn += 1
            key = f"{number}/{choice.randrange(6)}"
            written = seed * 1_000_000 + turn
            try:
                self._client_of(number).put_object(Bucket="lake", Key=key, Body=self.value(key, written))
            except (ClientError, BotoCoreError):
                self.unsure.setdefault(key, []).append(written)
                continue
            with self._enough:
                self.acknowledged[key] = written
                self.unsure.pop(key, None)
                self.puts += 1
                self._enough.notify_all()
