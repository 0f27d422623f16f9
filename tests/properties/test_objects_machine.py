"""Space against a dictionary: any sequence of operations, restarts, compactions and clock steps among them."""

import hashlib
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from isotherm.clock import VirtualClock
from isotherm.devices.waiting import drive
from isotherm.errors import AlreadyExists, Invalid, NotEmpty, NotFound, PreconditionFailed
from isotherm.objects.model import Attributes, Condition, Versioning
from isotherm.objects.space import Space
from isotherm.tenancy.usage import Usage, read_usage
from tests.objects.stores import (
    TENANT,
    body,
    changes,
    compact,
    fetch,
    live_bytes,
    open_engines,
    payload,
    recounted,
    rows_of,
    sweep,
)
from tests.properties.model import ENABLED, SUSPENDED, UNVERSIONED, Bucket, Model, Upload, Version, roll_up

MEMORY = Path("/dev/shm")  # thousands of commits, none of which need survive this machine
STATES = {UNVERSIONED: Versioning.UNVERSIONED, ENABLED: Versioning.ENABLED, SUSPENDED: Versioning.SUSPENDED}

buckets = st.sampled_from(["one", "two", "three"])
keys = st.sampled_from(["a", "a", "a", "a/b", "a/b/", "a\0", "é", "k" * 600 + "/x"])
rarely = st.sampled_from([False] * 15 + [True])
places = st.just("") | keys
sizes = st.sampled_from([0, 1, 5, 100, 100, 100, 3_000, 70_000, (1 << 20) + 7])
tag_sets = st.one_of(
    st.just({}),
    st.dictionaries(st.sampled_from(["x", "y", "z", "long" * 40]), st.sampled_from(["1", "2", "é" * 60]), max_size=4),
    st.integers(1, 2).map(lambda n: {"x": "1", **{f"many-{at}": "v" for at in range(n * 40)}}),
)
metadata = st.dictionaries(st.sampled_from(["m", "n"]), st.sampled_from(["1", "é"]), max_size=2)
numbers = st.integers(0, 20)
conditions = st.sampled_from(["none"] * 6 + ["absent", "present", "this", "other"])


class Objects(RuleBasedStateMachine):
    @initialize()
    def start(self):
        self.path = Path(tempfile.mkdtemp(prefix="objects-machine-", dir=MEMORY if MEMORY.is_dir() else None))
        self.clock = VirtualClock()
        self.model = Model()
        self.bodies = 0
        self.lives = 0
        self.open()
        for bucket, state in (("one", UNVERSIONED), ("two", ENABLED), ("three", SUSPENDED)):
            self.create_bucket(bucket)
            if state != UNVERSIONED:
                self.set_versioning(bucket, state)

    def open(self):
        self.lives += 1
        self.engines = open_engines(self.path, seed=self.lives, clock=self.clock)
        parts = {"part_bytes_least": 1}
        self.space = Space(TENANT, self.engines.meta, self.engines.segments, self.clock, self.engines.ids, **parts)

    # what rules share
    def need(self, bucket):
        """Have the bucket; where it is not, see what calls say."""
        if bucket not in self.model.buckets:
            with pytest.raises(NotFound) as missing:
                drive(self.space.list(bucket))
            assert missing.value.code == "NoSuchBucket"
            self.create_bucket(bucket)

    def pick(self, bucket, number):
        """(key, version) of any version there is, those of keys with many before others; of new ones where there is none."""
        self.need(bucket)
        if not self.model.rows(bucket):
            self.put_several(bucket, ["a", "a", "b"], {"x": "1"})
        versions = self.model.buckets[bucket].keys
        rows = sorted(self.model.rows(bucket), key=lambda row: -len(versions[row[0]]))
        return rows[number % len(rows)][:2]

    def data(self, size):
        self.bodies += 1
        return payload(size, self.bodies)

    def condition(self, kind, bucket, key):
        """(condition, what it makes of a write now)."""
        current = self.model.current(bucket, key)
        there = current is not None
        if kind == "absent":
            return Condition(if_none_match="*"), PreconditionFailed if there else None
        if kind == "present":
            return Condition(if_match="*"), None if there else NotFound
        if kind == "this" and there:
            return Condition(if_match=current.etag), None
        if kind == "other":
            return Condition(if_match="0" * 32), PreconditionFailed if there else NotFound
        return Condition(), None

    def attempt(self, call, refusal):
        """The call's result; None where it was refused as it must be."""
        if refusal is None:
            return drive(call)
        with pytest.raises(refusal):
            drive(call)
        return None

    # buckets
    @rule(bucket=buckets)
    def create_bucket(self, bucket):
        there = bucket in self.model.buckets
        made = self.attempt(self.space.create_bucket(bucket), AlreadyExists if there else None)
        if made is not None:
            self.model.buckets[bucket] = Bucket(made.id)
            self.model.feed.append(("bucket-created", bucket, "", ""))

    @rule(bucket=buckets, really=rarely)
    def delete_bucket(self, bucket, really=True):
        self.need(bucket)
        if not really and not self.model.rows(bucket):
            return
        if self.model.rows(bucket):
            self.attempt(self.space.delete_bucket(bucket), NotEmpty)
            return
        drive(self.space.delete_bucket(bucket))
        del self.model.buckets[bucket]
        for upload in [upload for upload in self.model.uploads.values() if upload.bucket == bucket]:
            self.forget(upload)
        self.model.feed.append(("bucket-deleted", bucket, "", ""))

    @rule(bucket=buckets, state=st.sampled_from([ENABLED, SUSPENDED, ENABLED, SUSPENDED, UNVERSIONED]))
    def set_versioning(self, bucket, state):
        self.need(bucket)
        refusal = Invalid if state == UNVERSIONED else None
        self.attempt(self.space.set_versioning(bucket, STATES[state]), refusal)
        if refusal is None:
            self.model.buckets[bucket].state = state
            self.model.feed.append(("versioning", bucket, "", ""))

    # objects
    @rule(bucket=buckets, keys=st.lists(keys, min_size=1, max_size=4), tags=tag_sets)
    def put_several(self, bucket, keys, tags):
        for key in keys:
            self.put(bucket, key, 100, "w", {}, tags, "none")

    @rule(
        bucket=buckets, key=keys, size=sizes, form=st.sampled_from("wdu"), meta=metadata, tags=tag_sets, when=conditions
    )
    def put(self, bucket, key, size, form, meta, tags, when):
        self.need(bucket)
        data = self.data(size)
        sent = data if form == "w" else body(data, 300_000, declared=form == "d")
        condition, refusal = self.condition(when, bucket, key)
        call = self.space.put(
            bucket, key, sent, attributes=Attributes({}, meta), tags=tags, condition=condition
        )  # fmt: skip
        made = self.attempt(call, refusal)
        if made is not None:
            assert made.etag == hashlib.md5(data).hexdigest()
            kept = self.model.payload(data, manifest=form == "u" or size > 1 << 20)
            self.model.add(bucket, key, Version(made.version_id, kept, made.etag, meta, tags))

    @rule(bucket=buckets, key=keys.filter(lambda key: key != "a") | keys)
    def delete(self, bucket, key):
        self.need(bucket)
        deleted = drive(self.space.delete(bucket, key))
        assert deleted.marker == (self.model.buckets[bucket].state != UNVERSIONED)
        self.model.delete(bucket, key, deleted.version_id)

    @rule(bucket=buckets, number=numbers)
    def delete_version(self, bucket, number):
        key, version = self.pick(bucket, number)
        deleted = drive(self.space.delete(bucket, key, version.id))
        assert (deleted.version_id, deleted.marker) == (version.id, self.model.remove(bucket, key, version.id))

    @rule(bucket=buckets, picks=st.lists(st.tuples(keys, st.none() | numbers), max_size=4))
    def delete_many(self, bucket, picks):
        self.need(bucket)
        items = []
        for key, number in picks:
            picked = None if number is None else self.pick(bucket, number)
            items.append((picked[0], picked[1].id) if picked else (key, None))
        for (key, version_id), deleted in zip(items, drive(self.space.delete_many(bucket, items)), strict=True):
            if version_id is None:
                self.model.delete(bucket, key, deleted.version_id)
            else:
                assert deleted.marker == bool(self.model.remove(bucket, key, version_id))

    @rule(
        source=buckets, number=numbers, bucket=buckets, key=keys,
        meta=st.none() | metadata, tags=st.none() | tag_sets, when=conditions,
    )  # fmt: skip
    def copy(self, source, number, bucket, key, meta, tags, when):
        from_key, version = self.pick(source, number)
        self.need(bucket)
        condition, refusal = self.condition(when, bucket, key)
        if version.marker:
            refusal = Invalid
        attributes = None if meta is None else Attributes({}, meta)
        call = self.space.copy(
            source, from_key, bucket, key,
            source_version_id=version.id, attributes=attributes, tags=tags, condition=condition,
        )  # fmt: skip
        made = self.attempt(call, refusal)
        if made is not None:
            meta = version.metadata if meta is None else meta
            tags = version.tags if tags is None else tags
            self.model.add(bucket, key, Version(made.version_id, version.payload, version.etag, meta, tags))

    @rule(bucket=buckets, number=numbers, tags=tag_sets, replace=st.booleans())
    def set_tags(self, bucket, number, tags, replace):
        key, version = self.pick(bucket, number)
        call = self.space.set_tags(bucket, key, tags, version_id=version.id, replace=replace)
        if self.attempt(call, Invalid if version.marker else None) is not None:
            version.tags = tags if replace else {**version.tags, **tags}
            self.model.feed.append(("tags", bucket, key, version.id))

    # uploads
    @rule(bucket=buckets, key=keys, meta=metadata, tags=tag_sets)
    def create_upload(self, bucket, key, meta, tags):
        self.need(bucket)
        made = drive(self.space.create_upload(bucket, key, attributes=Attributes({}, meta), tags=tags))
        self.model.uploads[made.id] = Upload(made.id, bucket, key, meta, tags)

    def forget(self, upload):
        del self.model.uploads[upload.id]
        for kept, _ in upload.parts.values():
            self.model.unrefer(kept)

    def an_upload(self, number):
        if not self.model.uploads:
            self.create_upload("one", "a", {"m": "1"}, {"x": "1"})
        return list(self.model.uploads.values())[number % len(self.model.uploads)]

    @rule(number=numbers, part=st.integers(1, 3), size=sizes)
    def put_part(self, number, part, size):
        upload = self.an_upload(number)
        data = self.data(size)
        made = drive(self.space.put_part(upload.bucket, upload.key, upload.id, part, data))
        # a part sent again takes its predecessor's bytes away at once: no manifest refers to them any more
        upload.parts[part] = self.model.payload(data, manifest=True), made.etag

    @rule(number=numbers, mask=st.integers(1, 7), when=conditions)
    def complete_upload(self, number, mask, when):
        upload = self.an_upload(number)
        for part in (1, 2)[len(upload.parts) :]:
            self.put_part(number, part, 50)
        chosen = [(part, *upload.parts[part]) for part in sorted(upload.parts) if mask & 1 << part - 1]
        condition, refusal = self.condition(when, upload.bucket, upload.key)
        if not chosen or not all(len(kept.data) for _, kept, _ in chosen[:-1]):
            refusal = refusal or Invalid
        named = [(part, etag, None) for part, _, etag in chosen]
        call = self.space.complete_upload(upload.bucket, upload.key, upload.id, named, condition=condition)
        made = self.attempt(call, refusal)
        if made is not None:
            whole = self.model.payload(b"".join(kept.data for _, kept, _ in chosen), manifest=True)
            upload.parts.clear()
            self.forget(upload)
            version = Version(made.version_id, whole, made.etag, upload.metadata, upload.tags)
            self.model.add(upload.bucket, upload.key, version)

    @rule(number=numbers)
    def abort_upload(self, number):
        upload = self.an_upload(number)
        drive(self.space.abort_upload(upload.bucket, upload.key, upload.id))
        self.forget(upload)

    # what happens beside
    @rule()
    def sweep(self):
        sweep(self.engines)
        self.model.unswept.clear()

    @rule()
    def restart_and_compact(self):
        self.engines.close()
        self.open()
        drive(compact(self.engines))

    @rule(milliseconds=st.sampled_from([-3_600_000, -1, 1_000, 3_600_000]))
    def step_clock(self, milliseconds):
        self.clock.step_wall(milliseconds)

    # questions
    @rule(bucket=buckets, number=numbers, start=st.floats(0, 1), end=st.floats(0, 1))
    def read(self, bucket, number, start, end):
        key, version = self.pick(bucket, number)
        if version.marker:
            self.attempt(self.space.open(bucket, key, version.id), Invalid)
            return
        data = version.payload.data
        first, last = sorted((int(start * len(data)), int(end * len(data))))
        assert drive(fetch(self.space, bucket, key, version.id, first, last - first)) == data[first:last]

    @rule(bucket=buckets, key=keys)
    def head(self, bucket, key):
        self.need(bucket)
        current = self.model.current(bucket, key)
        if current is None:
            versions = self.model.buckets[bucket].keys.get(key)
            with pytest.raises(NotFound) as missing:
                drive(self.space.head(bucket, key))
            assert missing.value.detail.get("marker") == (versions[0].id if versions else None)
            return
        seen = drive(self.space.head(bucket, key))
        told = (seen.version_id, seen.size, seen.etag, dict(seen.attributes.metadata), seen.tag_count)
        assert told == (current.id, len(current.payload.data), current.etag, current.metadata, len(current.tags))
        assert dict(drive(self.space.tags(bucket, key))[0]) == current.tags

    @rule(bucket=buckets, prefix=places, delimiter=st.sampled_from(["", "/", "\0"]), after=places)
    def list(self, bucket, prefix, delimiter, after):
        self.need(bucket)
        expected = roll_up(self.model.live_keys(bucket), prefix, delimiter, after)
        for limit in (1, 3, 100):
            page = drive(self.space.list(bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit))
            seen = sorted([entry.key for entry in page.entries] + list(page.prefixes), key=str.encode)
            assert seen == expected[:limit]
            assert (page.next_key is not None) == (len(expected) > limit)

    @rule(bucket=buckets, limit=st.integers(1, 5))
    def list_versions(self, bucket, limit):
        self.need(bucket)
        seen, after, version = [], "", ""
        while after is not None:
            page = drive(self.space.list_versions(bucket, after=after, after_version=version, limit=limit))
            seen += [(e.key, e.version_id, e.is_marker, e.is_latest, e.etag) for e in page.entries]
            after, version = page.next_key, page.next_version or ""
        rows = [(k, v.id, v.marker, latest, v.etag or "0" * 32) for k, v, latest in self.model.rows(bucket)]
        assert seen == rows

    @rule(tags=tag_sets.filter(bool), limit=st.integers(1, 4))
    def find(self, tags, limit):
        wanted = dict(list(tags.items())[:3])
        seen, after = [], None
        while page := drive(self.space.find(wanted, after=after, limit=limit)):
            seen += [(found.bucket, found.key) for found in page]
            after = page[-1]
        assert seen == self.model.find(wanted)

    @invariant()
    def what_is_counted_is_what_is_there(self):
        if hasattr(self, "model"):
            assert live_bytes(self.engines) == self.model.live_bytes()
            assert drive(read_usage(self.engines.meta, TENANT)).own == recounted(self.engines)

    def teardown(self):
        if not hasattr(self, "engines"):
            return
        try:
            told = [(change.kind, change.bucket, change.key, change.version_id) for change in changes(self.space)]
            assert told == self.model.feed
            for bucket in list(self.model.buckets):
                self.list_versions(bucket, 3)
                for number, (key, version, _) in enumerate(self.model.rows(bucket)):
                    self.read(bucket, number, 0, 1)
                    assert version.marker or dict(drive(self.space.tags(bucket, key, version.id))[0]) == version.tags
                for key, version, _ in self.model.rows(bucket):
                    drive(self.space.delete(bucket, key, version.id))
                drive(self.space.delete_bucket(bucket))
            sweep(self.engines)
            assert (live_bytes(self.engines), rows_of(self.engines)) == (0, {})
            assert drive(read_usage(self.engines.meta, TENANT)).total == Usage()
        finally:
            self.engines.close()
            shutil.rmtree(self.path)


QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


def test_objects_are_what_a_dictionary_says(metadata):
    some = settings(
        max_examples=100 if metadata == "lmdb" else 25,
        stateful_step_count=50,
        deadline=None,
        derandomize=True,
        suppress_health_check=QUIET,
    )
    run_state_machine_as_test(Objects, settings=some)


@pytest.mark.torture
def test_objects_are_what_a_dictionary_says_for_long(metadata):
    many = settings(max_examples=2_000, stateful_step_count=120, deadline=None, suppress_health_check=QUIET)
    run_state_machine_as_test(Objects, settings=many)
