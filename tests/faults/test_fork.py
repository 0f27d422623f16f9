"""A store does not survive os.fork(): what a child inherits refuses to work, and does its parent no harm."""

import multiprocessing

import pytest

import isotherm
from isotherm.errors import ForkedHandle, IsothermError
from tests.objects.stores import MIB, payload


def _try_everything(store, results):
    """In the child: what each call does."""
    calls = {
        "put": lambda: store.put("box", "key", b"child"),
        "put large": lambda: store.put("box", "key", payload(2 * MIB)),
        "get": lambda: store.get("box", "small"),
        "get large": lambda: store.get("box", "large"),
        "head": lambda: store.head("box", "small"),
        "delete": lambda: store.delete("box", "small"),
        "copy": lambda: store.copy(("box", "small"), ("box", "copy")),
        "list": lambda: store.list("box"),
        "iterate": lambda: list(store.iterate("box")),
        "tags": lambda: store.tags("box", "small"),
        "set tags": lambda: store.set_tags("box", "small", {"a": "2"}),
        "find": lambda: store.find({"a": "1"}),
        "changes": lambda: store.changes(),
        "buckets": lambda: store.buckets(),
        "create bucket": lambda: store.create_bucket("child"),
    }
    outcomes = {}
    for name, call in calls.items():
        try:
            call()
            outcomes[name] = "done"
        except IsothermError as error:
            outcomes[name] = type(error).__name__
    store.close()
    results.put(outcomes)


@pytest.fixture
def store(tmp_path):
    with isotherm.open(tmp_path / "store") as opened:
        opened.create_bucket("box")
        opened.put("box", "small", b"small", tags={"a": "1"})
        opened.put("box", "large", payload(2 * MIB))
        yield opened


def test_every_call_of_a_child_is_refused(store):
    fork = multiprocessing.get_context("fork")
    results = fork.SimpleQueue()
    child = fork.Process(target=_try_everything, args=(store, results))
    child.start()
    outcomes = results.get()
    child.join()
    assert child.exitcode == 0
    assert set(outcomes.values()) == {ForkedHandle.__name__}, outcomes
    store.put("box", "after", payload(100_000))
    assert store.get("box", "after") == payload(100_000)
    assert store.get("box", "small") == b"small"
    assert store.get("box", "large") == payload(2 * MIB)
    assert [entry.key for entry in store.iterate("box")] == ["after", "large", "small"]
    assert store.tags("box", "small") == {"a": "1"}


def _open_anew(path, results):
    try:
        with isotherm.open(path) as own:
            own.put("box", "of the child", b"child")
            results.put(own.get("box", "small"))
    except IsothermError as error:
        results.put(error)


def test_a_child_may_open_a_store_of_its_own(store):
    fork = multiprocessing.get_context("fork")
    results = fork.SimpleQueue()
    child = fork.Process(target=_open_anew, args=(store.engines.settings.data, results))
    child.start()
    outcome = results.get()
    child.join()
    assert outcome == b"small"
    assert store.get("box", "of the child") == b"child"
    store.put("box", "after", b"parent")
    assert store.get("box", "after") == b"parent"


def test_children_of_a_data_loader_leave_their_parents_locks_alone(store):
    """Workers that inherit a store and end, as those of a data loader do, while their parent goes on writing."""
    fork = multiprocessing.get_context("fork")
    for number in range(5):
        children = [fork.Process(target=int) for _ in range(3)]
        for child in children:
            child.start()
        store.put("box", f"{number}", payload(50_000, number))
        for child in children:
            child.join()
            assert child.exitcode == 0
    for number in range(5):
        assert store.get("box", f"{number}") == payload(50_000, number)
