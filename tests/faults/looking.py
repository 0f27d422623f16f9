"""Looking at a store from all sides: what is in it, whether its views agree, whether it is clean."""

from isotherm.devices.waiting import drive
from isotherm.movers.fsck.check import QUICK, check
from isotherm.movers.fsck.findings import Level
from tests.faults.content import number_of
from tests.faults.writer import BUCKETS, WRITERS
from tests.objects.stores import fetch


def actual_states(space):
    """Every version of every key, read whole: see expected.py."""
    states = {}
    for bucket in BUCKETS:
        after, version = "", ""
        while after is not None:
            page = drive(space.list_versions(bucket, after=after, after_version=version, limit=200))
            for entry in page.entries:
                row = entry.version_id, None, None
                if not entry.is_marker:
                    data = drive(fetch(space, bucket, entry.key, entry.version_id))
                    tags, _ = drive(space.tags(bucket, entry.key, entry.version_id))
                    assert tags["writer"] == entry.key[:2]
                    row = entry.version_id, number_of(data, entry.key.removesuffix(" copy")), int(tags["number"])
                states.setdefault((bucket, entry.key), []).append(row)
            after, version = page.next_key, page.next_version or ""
    return states


def assert_views_agree(space, states):
    """Listings, look-ups and the tag index show the same newest versions."""
    for bucket in BUCKETS:
        newest = {key: rows[0] for (box, key), rows in states.items() if box == bucket and rows[0][1] is not None}
        listed, after = [], ""
        while after is not None:
            page = drive(space.list(bucket, after=after, limit=50))
            listed += [entry.key for entry in page.entries]
            after = page.next_key
        assert listed == sorted(newest)
        assert [drive(space.head(bucket, key)).version_id for key in listed] == [newest[key][0] for key in listed]
        for writer in range(WRITERS):
            mine = [key for key in listed if key[:2] == f"{writer:02}"]
            assert [found.key for found in drive(space.find({"writer": f"{writer:02}"}, bucket=bucket))] == mine
        for key, row in newest.items():
            tags = {"writer": key[:2], "number": str(row[2])}
            assert [found.key for found in drive(space.find(tags, bucket=bucket))] == [key]


def assert_clean(engines, scratch):
    """Nothing is damaged as it is; after a recovery nothing is wasted either."""
    report = check(engines.opened(), scratch, depth=QUICK)
    assert report.number(Level.ERROR) == 0, [finding.text for finding in report.findings]
    drive(engines.segments.recover())
    report = check(engines.opened(), scratch)
    assert report.exit_code == 0, [finding.text for finding in report.findings]
