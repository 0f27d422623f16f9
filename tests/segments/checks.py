"""What must hold for any store of segments, whatever happened to it."""

from isotherm.devices.waiting import drive
from isotherm.segments import accounting
from isotherm.segments.accounting import State
from isotherm.segments.format import FILE_HEADER_BYTES
from isotherm.segments.scan import Gap
from isotherm.testing.shelf import key_of


def every_row(meta):
    rows, after = {}, -1
    while page := drive(accounting.segment_rows(meta, after)):
        rows |= dict(page)
        after = page[-1][0]
    return rows


def referred(rig):
    """Extent → names that refer to it."""
    found = {}
    for name in drive(rig.shelf.names()):
        for extent in drive(rig.shelf.extents(name)):
            found.setdefault(extent, set()).add(name)
    return found


def check_accounts(rig, *, power_was_cut=False):
    """Every byte of every segment is accounted for, and live is exactly what is referred to."""
    references = referred(rig)
    rows = every_row(rig.meta)
    assert {extent.segment for extent in references} <= {
        segment for segment, row in rows.items() if row.state is not State.EMPTIED
    }
    for segment, row in rows.items():
        live = drive(accounting.live_bytes(rig.meta, segment))
        assert live == sum(extent.length for extent in references if extent.segment == segment)
        if row.state is State.EMPTIED:
            continue
        with rig.segments.scan(segment) as scan:
            found = list(scan.walk())
            size = scan.size
        extents = {header.extent(segment) for header in found if not isinstance(header, Gap)}
        assert {extent for extent in references if extent.segment == segment} <= extents
        lengths = [part.length if isinstance(part, Gap) else part.end - part.at for part in found]
        assert FILE_HEADER_BYTES + sum(lengths) == size
        if row.state is State.SEALED:
            walked = [part for part in found if not isinstance(part, Gap) and part.at < row.end]
            assert row.payload == sum(part.length for part in walked) >= live
            assert row.extents == len(walked)
            assert row.end == max([part.end for part in walked], default=FILE_HEADER_BYTES)
            # Of what lay unacknowledged behind the end when a segment was given up, a power cut keeps what it likes.
            assert size == row.size or (power_was_cut and size >= row.end)
    check_shared_rows(rig, references)


def check_shared_rows(rig, references):
    for extent, names in references.items():
        owners = set(drive(accounting.sharers(rig.meta, extent, 10_000)))
        assert owners == {key_of(name) for name in names} if len(names) > 1 else owners <= {key_of(n) for n in names}


def check_values(rig, expected):
    assert {name: drive(rig.shelf.get(name)) for name in drive(rig.shelf.names())} == expected
