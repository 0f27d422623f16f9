"""Conditional requests: reads by RFC 9110 §13.2.2, writes by S3's page "Conditional requests", and creators that race."""

import asyncio
import multiprocessing
import threading

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import NotFound, PreconditionFailed
from isotherm.objects.model import Condition, ReadCondition, Versioning
from tests.objects.stores import MIB, get, live_bytes, open_engines, payload

ABSENT = Condition(if_none_match="*")


def code(call):
    try:
        drive(call)
    except (NotFound, PreconditionFailed) as refused:
        return refused.code
    return "done"


def writes(space, condition):
    """Every way to make an object, each with its condition."""
    upload = drive(space.create_upload("box", "key"))
    part = drive(space.put_part("box", "key", upload.id, 1, b"part"))
    return {
        "put": space.put("box", "key", b"new", condition=condition),
        "large put": space.put("box", "key", payload(2 * MIB), condition=condition),
        "copy": space.copy("box", "source", "box", "key", condition=condition),
        "complete": space.complete_upload("box", "key", upload.id, [(1, part.etag, None)], condition=condition),
    }


@pytest.mark.parametrize("versioning", [Versioning.UNVERSIONED, Versioning.ENABLED, Versioning.SUSPENDED])
@pytest.mark.parametrize("kind", ["put", "large put", "copy", "complete"])
@pytest.mark.parametrize(
    ("present", "condition", "outcome"),
    [
        (False, ABSENT, "done"),
        (True, ABSENT, "PreconditionFailed"),
        (False, Condition(if_match="*"), "NoSuchKey"),
        (True, Condition(if_match="*"), "done"),
        (True, Condition(if_match="current"), "done"),
        (True, Condition(if_match="other"), "PreconditionFailed"),
        (False, Condition(if_match="other"), "NoSuchKey"),
        (True, Condition(if_none_match="current"), "PreconditionFailed"),
        (True, Condition(if_none_match="other"), "done"),
    ],
)
def test_a_conditional_write(space, engines, versioning, kind, present, condition, outcome):
    if versioning is not Versioning.UNVERSIONED:
        drive(space.set_versioning("box", versioning))
    drive(space.put("box", "source", b"source"))
    etag = drive(space.put("box", "key", b"old")).etag
    if not present:
        drive(space.delete("box", "key"))
    named = {"current": etag, "other": "0" * 32}
    condition = Condition(named.get(condition.if_match, condition.if_match), named.get(condition.if_none_match, condition.if_none_match))  # fmt: skip
    attempts = writes(space, condition)
    before = live_bytes(engines)
    attempt = attempts.pop(kind)
    for unused in attempts.values():
        unused.close()
    assert code(attempt) == outcome
    if outcome == "done":
        assert get(space, "box", "key") != b"old"
    else:
        assert live_bytes(engines) == before
        assert code(space.head("box", "key")) == ("done" if present else "NoSuchKey")
        if present:
            assert get(space, "box", "key") == b"old"


def test_a_completion_whose_condition_failed_can_be_tried_again(space):
    drive(space.put("box", "key", b"old"))
    upload = drive(space.create_upload("box", "key"))
    part = drive(space.put_part("box", "key", upload.id, 1, b"new"))
    parts = [(1, part.etag, None)]
    assert code(space.complete_upload("box", "key", upload.id, parts, condition=ABSENT)) == "PreconditionFailed"
    drive(space.delete("box", "key"))
    drive(space.complete_upload("box", "key", upload.id, parts, condition=ABSENT))
    assert get(space, "box", "key") == b"new"


def remove(space, etag, version=None):
    return code(space.delete("box", "key", version, condition=Condition(if_match=etag)))


def test_a_conditional_delete(space):
    etag = drive(space.put("box", "key", b"old")).etag
    assert remove(space, "0" * 32) == "PreconditionFailed"
    assert get(space, "box", "key") == b"old"
    assert remove(space, etag) == "done"
    assert code(space.head("box", "key")) == "NoSuchKey"
    assert remove(space, "*") == remove(space, "0" * 32) == "done"
    drive(space.put("box", "key", b"new"))
    assert remove(space, "*") == "done"
    assert code(space.head("box", "key")) == "NoSuchKey"


def test_a_conditional_delete_looks_at_what_it_would_remove(space):
    drive(space.set_versioning("box", Versioning.ENABLED))
    assert remove(space, "*") == "done"
    assert not drive(space.list_versions("box")).entries
    old, new = (drive(space.put("box", "key", data)) for data in (b"old", b"new"))
    assert remove(space, old.etag) == remove(space, new.etag, old.version_id) == "PreconditionFailed"
    assert remove(space, old.etag, old.version_id) == "done"
    assert remove(space, new.etag) == "done"
    assert [e.is_marker for e in drive(space.list_versions("box")).entries] == [True, False]
    assert remove(space, new.etag) == "PreconditionFailed"
    assert remove(space, "*") == "done"
    assert [e.is_marker for e in drive(space.list_versions("box")).entries] == [True, True, False]


NOW, SECOND = 1_700_000_000_000, 1_000


@pytest.mark.parametrize(
    ("condition", "outcome"),
    [
        ({"if_match": ["mine"]}, "done"),
        ({"if_match": ["other", "mine"]}, "done"),
        ({"if_match": ["*"]}, "done"),
        ({"if_match": ["other"]}, "PreconditionFailed"),
        ({"if_none_match": ["mine"]}, "NotModified"),
        ({"if_none_match": ["*"]}, "NotModified"),
        ({"if_none_match": ["other"]}, "done"),
        ({"if_modified_since_ms": NOW}, "NotModified"),
        ({"if_modified_since_ms": NOW - SECOND}, "done"),
        ({"if_unmodified_since_ms": NOW}, "done"),
        ({"if_unmodified_since_ms": NOW - SECOND}, "PreconditionFailed"),
        ({"if_match": ["mine"], "if_unmodified_since_ms": NOW - SECOND}, "done"),
        ({"if_match": ["other"], "if_unmodified_since_ms": NOW}, "PreconditionFailed"),
        ({"if_none_match": ["mine"], "if_modified_since_ms": NOW - SECOND}, "NotModified"),
        ({"if_none_match": ["other"], "if_modified_since_ms": NOW}, "done"),
        ({"if_match": ["mine"], "if_none_match": ["mine"]}, "NotModified"),
        ({"if_match": ["other"], "if_none_match": ["mine"]}, "PreconditionFailed"),
        ({"if_unmodified_since_ms": NOW - SECOND, "if_none_match": ["mine"]}, "PreconditionFailed"),
    ],
)
def test_a_conditional_read(space, clock, condition, outcome):
    clock.step_wall(NOW + 700 - clock.now_ms())  # HTTP dates have whole seconds, stored times milliseconds
    etag = drive(space.put("box", "key", b"data")).etag
    named = {name: [e.replace("mine", etag) for e in v] if isinstance(v, list) else v for name, v in condition.items()}
    assert code(space.open("box", "key", condition=ReadCondition(**named))) == outcome
    copied = space.copy("box", "key", "box", "copy", source_condition=ReadCondition(**named))
    assert code(copied) == outcome


def test_a_failed_read_condition_tells_the_version(space):
    version = drive(space.put("box", "key", b"data"))
    with pytest.raises(PreconditionFailed) as refused:
        drive(space.open("box", "key", condition=ReadCondition(if_none_match=["*"])))
    assert refused.value.detail["version"].etag == version.etag


def _create(space, key, name):
    return code(space.put("box", key, name.encode(), condition=ABSENT))


def test_of_many_racing_threads_exactly_one_creates(space):
    outcomes = {}
    for round_ in range(10):
        gate = threading.Barrier(8)

        def create(name, key=f"key-{round_}", gate=gate):
            gate.wait()
            outcomes[key, name] = _create(space, key, str(name))

        threads = [threading.Thread(target=create, args=(name,)) for name in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        key = f"key-{round_}"
        won = [name for name in range(8) if outcomes[key, name] == "done"]
        assert len(won) == 1
        assert get(space, "box", key) == str(won[0]).encode()


def test_of_many_racing_coroutines_exactly_one_creates(space):
    async def race(key):
        attempts = [space.put("box", key, str(n).encode(), condition=ABSENT) for n in range(32)]
        results = await asyncio.gather(*attempts, return_exceptions=True)
        return [n for n, result in enumerate(results) if not isinstance(result, PreconditionFailed)]

    for key in ("a", "b", "c"):
        won = asyncio.run(race(key))
        assert len(won) == 1
        assert get(space, "box", key) == str(won[0]).encode()


def _race_in_process(path, meta, seed, gate, results):
    engines = open_engines(path, seed=seed, meta=meta)
    space = engines.space()

    async def race():
        for key in range(20):
            gate.wait()
            attempts = [space.put("box", f"key-{key}", f"{seed}.{n}".encode(), condition=ABSENT) for n in range(8)]
            outcomes = await asyncio.gather(*attempts, return_exceptions=True)
            for n, outcome in enumerate(outcomes):
                results.put((key, f"{seed}.{n}", getattr(outcome, "code", "done")))

    asyncio.run(race())
    engines.close()
    results.put(None)


def test_of_creators_in_two_processes_exactly_one_creates(space, engines):
    spawn = multiprocessing.get_context("spawn")
    gate, results = spawn.Barrier(2), spawn.Queue()
    of = engines.settings
    racers = [spawn.Process(target=_race_in_process, args=(of.data, of.meta, seed, gate, results)) for seed in (11, 12)]
    for racer in racers:
        racer.start()
    outcomes, ended = [], 0
    while ended < 2:
        result = results.get(timeout=60)
        ended += result is None
        outcomes += [result] if result else []
    for racer in racers:
        racer.join()
        assert racer.exitcode == 0
    assert len(outcomes) == 2 * 20 * 8
    assert {outcome for *_, outcome in outcomes} == {"done", "PreconditionFailed"}
    for key in range(20):
        won = [name for at, name, outcome in outcomes if at == key and outcome == "done"]
        assert len(won) == 1
        assert get(space, "box", f"key-{key}") == won[0].encode()
