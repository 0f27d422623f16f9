"""Pages of versions: each key from its newest, resumable after any version, even one that is gone by then."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isotherm.devices.waiting import drive
from isotherm.errors import Invalid
from isotherm.objects.model import Versioning
from tests.objects.stores import open_engines

NAMES = ["a", "a/b", "a/c", "b", "b\0", "b\0\0", "b\0x", "é", "k" * 600, "k" * 600 + "/x", "k" * 1024, "z"]


@pytest.fixture(scope="module")
def filled(tmp_path_factory, metadata_of_module):
    """(space, rows): a bucket that has seen all three states, and its versions as a listing must show them."""
    engines = open_engines(tmp_path_factory.mktemp("versions"))
    space = engines.space()
    drive(space.create_bucket("box"))
    history = {name: [] for name in NAMES}

    def put(name):
        history[name].append((drive(space.put("box", name, name.encode())).version_id, False))

    def delete(name):
        deleted = drive(space.delete("box", name))
        history[name].append((deleted.version_id, True))

    for name in NAMES[:8]:
        put(name)
    drive(space.set_versioning("box", Versioning.ENABLED))
    for turn, name in itertools.product(range(5), NAMES[1:]):
        (delete if (turn + len(name)) % 3 == 0 else put)(name)
    drive(space.set_versioning("box", Versioning.SUSPENDED))
    for name in NAMES[2::3]:
        history[name] = [(version, marker) for version, marker in history[name] if version != "null"]
        (put if len(name) % 2 else delete)(name)
    drive(space.set_versioning("box", Versioning.ENABLED))
    put(NAMES[5])
    rows = [
        (name, version, marker, at == 0)
        for name in sorted(NAMES, key=str.encode)
        for at, (version, marker) in enumerate(reversed(history[name]))
    ]
    yield space, rows
    engines.close()


def shown(page):
    return [(entry.key, entry.version_id, entry.is_marker, entry.is_latest) for entry in page.entries]


def test_all_versions_of_all_keys(filled):
    space, rows = filled
    page = drive(space.list_versions("box"))
    assert shown(page) == rows
    assert (page.next_key, page.next_version) == (None, None)


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_pages_together_are_the_whole(filled, limit):
    space, rows = filled
    seen, after, version = [], "", ""
    while after is not None:
        page = drive(space.list_versions("box", after=after, after_version=version, limit=limit))
        assert len(page.entries) <= limit
        seen += shown(page)
        after, version = page.next_key, page.next_version or ""
    assert seen == rows


def test_every_version_can_be_resumed_after(filled):
    space, rows = filled
    for at, (name, version, _, _) in enumerate(rows):
        assert shown(drive(space.list_versions("box", after=name, after_version=version))) == rows[at + 1 :]
        rest = [row for row in rows if row[0].encode() > name.encode()]
        assert shown(drive(space.list_versions("box", after=name))) == rest


prefixes = st.sampled_from(["", "a", "a/", "b", "b\0", "k" * 600, "é", "nothing"])


@settings(max_examples=150, deadline=None)
@given(prefix=prefixes, delimiter=st.sampled_from(["", "/", "\0", "k"]), limit=st.integers(1, 12))
def test_prefix_and_delimiter(filled, prefix, delimiter, limit):
    space, rows = filled
    expected = []
    for row in rows:
        if not row[0].startswith(prefix):
            continue
        at = row[0].find(delimiter, len(prefix)) if delimiter else -1
        common = row[0][: at + len(delimiter)] if at >= 0 else None
        if common is None or common not in expected:
            expected.append(row if common is None else common)
    seen, after, version = [], "", ""
    while after is not None:
        page = drive(
            space.list_versions(
                "box", prefix=prefix, delimiter=delimiter, after=after, after_version=version, limit=limit
            )
        )
        assert len(page.entries) + len(page.prefixes) <= limit
        found = [*shown(page), *page.prefixes]
        seen += sorted(found, key=lambda row: (row if isinstance(row, str) else row[0]).encode())
        after, version = page.next_key, page.next_version or ""
    assert seen == expected


@pytest.mark.parametrize("versioning", Versioning)
@pytest.mark.parametrize("limit", [1, 2, 5])
def test_a_bucket_can_be_emptied_page_by_page(tmp_path, versioning, limit):
    """As clients do it: each page is deleted before the next one is asked for."""
    engines = open_engines(tmp_path)
    space = engines.space()
    drive(space.create_bucket("box"))
    for name in ("a", "b", "c"):
        drive(space.put("box", name, b"1"))
    if versioning is not Versioning.UNVERSIONED:
        drive(space.set_versioning("box", Versioning.ENABLED))
        for name in ("a", "b", "c", "b"):
            drive(space.put("box", name, b"2"))
        drive(space.set_versioning("box", versioning))
        drive(space.delete("box", "b"))
        drive(space.put("box", "a", b"3"))
    after, version = "", ""
    while after is not None:
        page = drive(space.list_versions("box", after=after, after_version=version, limit=limit))
        results = drive(space.delete_many("box", [(entry.key, entry.version_id) for entry in page.entries]))
        assert len(results) == len(page.entries)
        after, version = page.next_key, page.next_version or ""
    drive(space.delete_bucket("box"))
    engines.close()


def test_after_a_null_version_that_is_gone_the_rest_of_its_key_is_shown(tmp_path, metadata):
    engines = open_engines(tmp_path)
    space = engines.space()
    drive(space.create_bucket("box"))
    drive(space.put("box", "a", b"1"))
    drive(space.set_versioning("box", Versioning.ENABLED))
    newer = drive(space.put("box", "a", b"2")).version_id
    drive(space.delete("box", "a", "null"))
    page = drive(space.list_versions("box", after="a", after_version="null"))
    assert [entry.version_id for entry in page.entries] == [newer]
    engines.close()


@pytest.mark.parametrize("version", ["x", "0" * 31, "é" * 32, "-1"])
def test_a_version_marker_that_cannot_be_one(filled, version):
    space, _ = filled
    with pytest.raises(Invalid) as refused:
        drive(space.list_versions("box", after="a", after_version=version))
    assert refused.value.code == "InvalidArgument"


def test_a_version_marker_needs_a_key_marker(filled):
    space, rows = filled
    with pytest.raises(Invalid) as refused:
        drive(space.list_versions("box", after_version=rows[0][1]))
    assert refused.value.code == "InvalidArgument"
