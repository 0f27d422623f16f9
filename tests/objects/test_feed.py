"""The change feed: every change once, in the order of commits, resumable anywhere."""

import asyncio

import pytest

from isotherm.devices.waiting import drive
from isotherm.errors import CursorExpired, Invalid
from isotherm.objects.layout import FEED
from isotherm.objects.model import Attributes, Condition, Versioning
from tests.objects.stores import changes


def told(space, after=None, **options):
    return [(change.kind, change.key, change.version_id) for change in changes(space, after, **options)]


def test_every_kind_of_change_once_and_in_order(space):
    put = drive(space.put("box", "a", b"12345"))
    drive(space.set_tags("box", "a", {"t": "1"}))
    drive(space.set_versioning("box", Versioning.ENABLED))
    second = drive(space.put("box", "a", b"x"))
    marker = drive(space.delete("box", "a"))
    drive(space.delete("box", "a", second.version_id))
    copied = drive(space.copy("box", "a", "box", "b", source_version_id="null"))
    upload = drive(space.create_upload("box", "c")).id
    part = drive(space.put_part("box", "c", upload, 1, b"x"))
    completed = drive(space.complete_upload("box", "c", upload, [(1, part.etag, None)]))
    drive(space.set_versioning("box", Versioning.SUSPENDED))
    drive(space.delete("box", "b"))
    drive(space.set_bucket_tags("box", {"t": "1"}))
    assert told(space) == [
        ("bucket-created", "", ""),
        ("put", "a", "null"),
        ("tags", "a", "null"),
        ("versioning", "", ""),
        ("put", "a", second.version_id),
        ("marker", "a", marker.version_id),
        ("delete", "a", second.version_id),
        ("put", "b", copied.version_id),
        ("put", "c", completed.version_id),
        ("versioning", "", ""),
        ("marker", "b", "null"),
        ("bucket-tags", "", ""),
    ]
    feed = changes(space)
    assert (feed[1].size, feed[1].etag, feed[1].bucket) == (5, put.etag, "box")
    assert [change.cursor for change in feed] == sorted({change.cursor for change in feed})


def test_what_changes_nothing_is_not_told(space):
    drive(space.put("box", "a", b"x"))
    cursor = drive(space.changes(None))[1]
    drive(space.delete("box", "nothing"))
    drive(space.delete("box", "a", "0" * 32))
    with pytest.raises(Exception, match="precondition"):
        drive(space.put("box", "a", b"y", condition=Condition(if_none_match="*")))
    drive(space.list("box"))
    upload = drive(space.create_upload("box", "u")).id
    drive(space.put_part("box", "u", upload, 1, b"x"))
    drive(space.abort_upload("box", "u", upload))
    assert told(space, cursor) == []


def test_pages_can_be_cut_anywhere(space):
    for number in range(20):
        drive(space.put("box", f"{number}", b""))
    whole = changes(space)
    for limit in (1, 3, 7, 100):
        seen, cursor = [], None
        while True:
            page, following = drive(space.changes(cursor, limit=limit))
            assert len(page) <= limit
            if following == cursor or not page:
                break
            seen, cursor = seen + list(page), following
        assert seen == whole
    for at, change in enumerate(whole):
        assert changes(space, change.cursor) == whole[at + 1 :]


def test_filters_skip_records_and_still_move_the_cursor(space):
    drive(space.create_bucket("other"))
    for number in range(30):
        drive(space.put("other" if number % 3 else "box", f"{'x' if number % 2 else 'y'}/{number}", b""))
    everything = changes(space)
    for options in ({"bucket": "box"}, {"prefix": "x/"}, {"bucket": "other", "prefix": "y/2"}, {"bucket": "nothing"}):
        expected = [
            change
            for change in everything
            if change.bucket == options.get("bucket", change.bucket)
            and change.key.startswith(options.get("prefix", ""))
        ]
        seen, cursor = [], None
        for _ in range(20):
            page, cursor = drive(space.changes(cursor, limit=3, **options))
            seen += page
        assert seen == expected
        assert drive(space.changes(cursor, limit=3, **options)) == ([], cursor)


def test_a_reader_beside_writers_sees_every_change_once(space):
    async def write(writer):
        for number in range(25):
            key = f"{writer}/{number % 4}"
            if number % 5 == 4:
                await space.delete("box", key)
            else:
                await space.put("box", key, b"x", attributes=Attributes({}, {"n": str(number)}))

    async def follow(until):
        seen, cursor = [], None
        while not until.done() or (await space.changes(cursor))[0]:
            page, cursor = await space.changes(cursor, limit=10)
            seen += page
            await asyncio.sleep(0)
        return seen

    async def race():
        writers = asyncio.gather(*[write(writer) for writer in range(8)])
        seen = await follow(writers)
        await writers
        return seen

    seen = asyncio.run(race())
    assert [change.cursor for change in seen] == [change.cursor for change in changes(space)]
    assert len(seen) == len({change.cursor for change in seen}) == 1 + 8 * 25
    for writer in range(8):
        kinds = [change.kind for change in seen if change.key.startswith(f"{writer}/")]
        assert kinds == ["delete" if number % 5 == 4 else "put" for number in range(25)]


def test_cursors_that_are_none(space, engines):
    for cursor in ("x", "00", "0" * 31, "g" * 32, "0" * 34):
        with pytest.raises(Invalid):
            drive(space.changes(cursor))
    with pytest.raises(CursorExpired):
        drive(space.changes("f" * 32))


def test_a_follower_behind_the_retained_feed_is_told(space, engines):
    for number in range(30):
        drive(space.put("box", f"{number}", b""))
    early, late = changes(space)[2].cursor, changes(space)[-1].cursor
    drive(engines.meta.trim(FEED, 5))
    with pytest.raises(CursorExpired):
        drive(space.changes(early))
    assert drive(space.changes(late)) == ([], late)
    assert len(changes(space)) == 5


def test_the_stamps_of_the_feed_do_not_follow_the_clock(space, clock):
    for step in (0, -3_600_000, 3_600_000, -7_200_000):
        clock.step_wall(step)
        drive(space.put("box", f"{step}", b""))
    assert [change.key for change in changes(space)][1:] == ["0", "-3600000", "3600000", "-7200000"]


@pytest.mark.parametrize("value", [b"", b"\xc1", b"\x98\x01\x01\xa3put\xa1\xf8", b"\x93\x01\x01\x05"], ids=str)
def test_a_damaged_record_sends_its_followers_to_a_snapshot(space, engines, value):
    """However often they asked, they would not get past it."""
    drive(space.put("box", "a", b"x"))
    before = drive(space.changes(None))[1]

    async def append(txn):
        txn.append(FEED, value)

    drive(engines.meta.transact(append))
    drive(space.put("box", "b", b"x"))
    for cursor in (None, before):
        with pytest.raises(CursorExpired, match="damaged"):
            drive(space.changes(cursor))
    after = drive(space.changes(drive(engines.meta.feed_end(FEED)).hex()))[1]
    drive(space.put("box", "c", b"x"))
    assert told(space, after) == [("put", "c", "null")]
