"""The model of a medium that loses what was not synced: each rule by itself."""

import pytest

from tests.faults.power import BYTES_ONLY, EVERYTHING, LENGTHS_ONLY, NAMES_ONLY, NOTHING, Disk, Variant
from tests.faults.recording import Event, Kind

TOP, DIRECTORY, FILE, OTHER = 1, 2, 3, 4


def disk(*steps):
    """Of (kind, inode, offset, name, data) and the like, after the root's own record."""
    medium = Disk()
    for kind, inode, *rest in [(Kind.MKDIR, TOP), *steps]:
        at, name, data, durable = [*rest, *[0, "", b"", False][len(rest) :]]
        medium.take(Event(kind, durable, 0, inode, at, name, data))
    return medium


MADE = (Kind.CREATE, FILE, 0, "file")
WRITTEN = (Kind.WRITE, FILE, 0, "", b"written")


def test_a_name_and_bytes_are_sure_once_both_were_synced():
    assert disk(MADE, WRITTEN).image(NOTHING) == {}
    assert disk(MADE, WRITTEN, (Kind.SYNC, FILE)).image(NOTHING) == {}
    assert disk(MADE, WRITTEN, (Kind.SYNC, TOP)).image(NOTHING) == {"file": b""}
    assert disk(MADE, WRITTEN, (Kind.SYNC, FILE), (Kind.SYNC, TOP)).image(NOTHING) == {"file": b"written"}


def test_extremes():
    medium = disk(MADE, (Kind.SYNC, TOP), WRITTEN, (Kind.CREATE, OTHER, 0, "other"))
    assert medium.image(EVERYTHING) == {"file": b"written", "other": b""}
    assert medium.image(NAMES_ONLY) == {"file": b"", "other": b""}
    assert medium.image(LENGTHS_ONLY) == {"file": bytes(7), "other": b""}
    assert medium.image(BYTES_ONLY) == {"file": b"written"}


def test_a_write_through_o_dsync_is_sure_alone():
    medium = disk(MADE, (Kind.SYNC, TOP), WRITTEN, (Kind.WRITE, FILE, 2, "", b"RI", True))
    assert medium.image(NOTHING) == {"file": b"\0\0RI"}
    assert medium.image(EVERYTHING) == {"file": b"wrRIten"}


def test_what_a_failed_sync_gave_up_is_not_sure_after_a_later_one():
    later = (Kind.WRITE, FILE, 5, "", b"EN, more")
    medium = disk(MADE, (Kind.SYNC, TOP), WRITTEN, (Kind.SYNC_FAILED, FILE), later, (Kind.SYNC, FILE))
    assert medium.image(NOTHING) == {"file": b"\0\0\0\0\0EN, more"}
    assert medium.image(EVERYTHING) == {"file": b"writtEN, more"}


def test_names_in_a_directory_need_it_and_those_above_it():
    inside = (Kind.MKDIR, DIRECTORY, 0, "box"), (Kind.CREATE, FILE, 0, "box/file")
    assert disk(*inside, (Kind.SYNC, DIRECTORY)).image(NOTHING) == {}
    assert disk(*inside, (Kind.SYNC, TOP)).image(NOTHING) == {"box": None}
    assert disk(*inside, (Kind.SYNC, DIRECTORY), (Kind.SYNC, TOP)).image(NOTHING) == {"box": None, "box/file": b""}


def test_a_replacement_is_the_old_or_the_new():
    old = (MADE, WRITTEN, (Kind.SYNC, FILE), (Kind.SYNC, TOP))
    new = (Kind.CREATE, OTHER, 0, "new"), (Kind.WRITE, OTHER, 0, "", b"other"), (Kind.SYNC, OTHER)
    moved = (Kind.RENAME, OTHER, 0, "new", b"file")
    assert disk(*old, *new, moved).image(NOTHING) == {"file": b"written"}
    assert disk(*old, *new, moved, (Kind.SYNC, TOP)).image(NOTHING) == {"file": b"other"}
    seen = {tuple(disk(*old, *new, moved).image(Variant("any", "any", "any", seed=seed)).items()) for seed in range(40)}
    assert seen == {
        (("file", b"written"),),
        (("file", b"other"),),
        (("file", b"written"), ("new", b"other")),
    }


def test_what_was_removed_may_come_back():
    gone = (MADE, WRITTEN, (Kind.SYNC, FILE), (Kind.SYNC, TOP), (Kind.UNLINK, FILE, 0, "file"))
    assert disk(*gone).image(NOTHING) == {"file": b"written"}
    assert disk(*gone, (Kind.SYNC, TOP)).image(NOTHING) == {}


def test_writes_are_torn_at_sectors_and_pages_and_come_in_any_order():
    first, second = (Kind.WRITE, FILE, 0, "", b"a" * 9_000), (Kind.WRITE, FILE, 0, "", b"b" * 5_000)
    medium = disk(MADE, (Kind.SYNC, TOP), first, second)
    images = {medium.image(Variant("any", "all", "any", seed=seed))["file"] for seed in range(300)}
    assert len(images) > 60
    for image in images:
        for start in range(0, len(image), 512):
            assert (
                len(set(image[start : min(start + 512, 5_000)] if start < 5_000 else image[start : start + 512])) <= 1
            )
    assert any(image.startswith(b"a" * 512 + b"b" * 512) for image in images)
    assert any(image[:512] == bytes(512) and image[512:] for image in images)


@pytest.mark.parametrize("cut", range(4))
def test_a_journal_keeps_the_order_of_names_and_commits_with_a_new_file(cut):
    steps = [MADE, (Kind.CREATE, OTHER, 0, "other"), (Kind.RENAME, OTHER, 0, "other", b"third"), (Kind.SYNC, OTHER)]
    allowed = [{}, {"file"}, {"file", "other"}, {"file", "third"}]
    variants = [Variant("first", "first", "first", seed=seed) for seed in range(50)]
    seen = {frozenset(disk(*steps[:cut]).image(variant)) for variant in variants}
    assert seen == set(map(frozenset, allowed[: cut + 1]))
    assert set(disk(*steps).image(variants[0])) == {"file", "third"}
