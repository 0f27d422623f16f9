"""What the clients of one history ask: few keys, many conditions, and etags that somebody has just seen.

Pure but for the shared counter and what has been seen, which threads may share.
"""

import itertools

from isotherm.testing.object_histories import Copy, Delete, DeleteMany, Done, Found, Get, List, Listed, Put
from tests.faults.histories.clients import etag_of

SIZES = [0, 20, 20, 300, 300, 5_000, 70_000]
LARGE_BYTES = 5_300_000
"""More than is written at once: such a body is streamed, and lies under a manifest."""
WEIGHTS = {
    "put": 16,
    "create": 12,
    "replace": 18,
    "get": 20,
    "head": 6,
    "get_if_new": 4,
    "delete": 6,
    "delete_this": 5,
    "delete_many": 2,
    "list": 8,
    "copy": 6,
    "multipart": 4,
}
VERSION_WEIGHTS = {**WEIGHTS, "get_version": 6, "delete_version": 6, "list_versions": 5}


class Seen:
    """Etags and version ids by key, in the order in which clients learnt of them."""

    def __init__(self, keys):
        self.values = {key: [] for key in keys}
        self.versions = {key: [] for key in keys}

    def learn(self, request, answer):
        if isinstance(answer, Found):
            self.values[request.key].append(answer.value)
        elif isinstance(answer, Listed):
            for key, value, _ in answer.entries:
                self.values[key].append(value or "none")
        elif isinstance(answer, Done) and isinstance(request, Put):
            self.values[request.key].append(request.value)
        if isinstance(answer, Done):
            written = request.keys if isinstance(request, DeleteMany) else (request.key,)
            for key, version in zip(written, answer.versions, strict=False):
                self.versions[key].append(version)


class Workload:
    """Requests at random, and the bodies of their values."""

    def __init__(self, name, keys, *, versioned, large):
        self.name = name
        self.keys = tuple(f"{name}/{letter}" for letter in "abcdefgh"[:keys])
        self.versioned = versioned
        self.weights = VERSION_WEIGHTS if versioned else WEIGHTS
        if len(self.keys) == 1:
            self.weights = {name: weight for name, weight in self.weights.items() if name != "copy"}
        self.large = large
        self.seen = Seen(self.keys)
        self.bodies = {}
        self.numbers = itertools.count(1)

    def request(self, rng):
        kind = rng.choices(list(self.weights), list(self.weights.values()))[0]
        key = rng.choice(self.keys)
        return getattr(self, kind)(rng, key)

    def final(self):
        """What is asked when all is over and everybody else is silent."""
        everything = [List(self.keys, versions=self.versioned)]
        return [Get(key) for key in self.keys] + everything

    def value(self, rng, number, *, multipart=False):
        size = LARGE_BYTES if self.large and rng.random() < 0.04 else rng.choice(SIZES)
        body = f"{self.name} {number} ".encode() + rng.randbytes(size)
        value = etag_of(body, multipart)
        self.bodies[value] = body
        return value

    def an_etag(self, rng, key):
        """Mostly the newest that anybody has seen of the key."""
        seen = self.seen.values[key]
        if not seen:
            return "none"
        return seen[-1] if rng.random() < 0.7 else rng.choice(seen[-4:])

    def put(self, rng, key):
        number = next(self.numbers)
        return Put(number, key, self.value(rng, number))

    def create(self, rng, key):
        number = next(self.numbers)
        return Put(number, key, self.value(rng, number), if_none_match="*")

    def replace(self, rng, key):
        number = next(self.numbers)
        return Put(number, key, self.value(rng, number), if_match=self.an_etag(rng, key))

    def multipart(self, rng, key):
        number = next(self.numbers)
        condition = rng.choice([{}, {"if_none_match": "*"}, {"if_match": self.an_etag(rng, key)}])
        return Put(number, key, self.value(rng, number, multipart=True), multipart=True, **condition)

    def copy(self, rng, key):
        source = rng.choice([other for other in self.keys if other != key])
        condition = rng.choice(
            [
                {},
                {"if_none_match": "*"},
                {"if_match": self.an_etag(rng, key)},
                {"source_match": self.an_etag(rng, source)},
            ]
        )
        return Copy(next(self.numbers), source, key, **condition)

    def get(self, rng, key):
        return Get(key)

    def head(self, rng, key):
        return Get(key, head=True)

    def get_if_new(self, rng, key):
        return Get(key, if_none_match=self.an_etag(rng, key))

    def get_version(self, rng, key):
        versions = self.seen.versions[key]
        return Get(key, version=rng.choice(versions[-6:])) if versions else Get(key)

    def delete(self, rng, key):
        return Delete(next(self.numbers), key)

    def delete_this(self, rng, key):
        return Delete(next(self.numbers), key, if_match=self.an_etag(rng, key))

    def delete_version(self, rng, key):
        versions = self.seen.versions[key]
        return Delete(next(self.numbers), key, version=rng.choice(versions[-6:]) if versions else None)

    def delete_many(self, rng, key):
        return DeleteMany(next(self.numbers), self.keys)

    def list(self, rng, key):
        return List(self.keys)

    def list_versions(self, rng, key):
        return List(self.keys, versions=True)
