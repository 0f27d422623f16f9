"""The log: one line an event, whatever is in it."""

import json

from isotherm.clock import VirtualClock
from isotherm.telemetry import Level, Log


def test_a_line_tells_time_level_component_message_and_values():
    lines = []
    log = Log("mover", VirtualClock(1_700_000_000_123), write=lines.append)
    log.warning("compacted", moved_bytes=5, path="/a b")
    log.error("plain")
    assert lines == [
        '2023-11-14T22:13:20.123Z warning mover compacted  moved_bytes=5 path="/a b"\n',
        "2023-11-14T22:13:20.123Z error mover plain\n",
    ]


def test_nothing_in_an_event_makes_a_line_of_its_own():
    lines = []
    log = Log("s3", VirtualClock(), write=lines.append)
    hostile = "a\n2023-11-14T22:13:20.123Z error supervisor forged\r\x1b[2J\u2028"
    log.info(hostile, key=hostile, empty="", quoted='"')
    (line,) = lines
    assert line.count("\n") == 1
    assert line[:-1].isprintable()
    assert json.loads(line.partition("key=")[2].partition(" empty=")[0]) == hostile
    assert ' empty="" quoted=' in line


def test_levels_below_the_least_are_dropped_and_a_closed_terminal_ends_nobody():
    lines = []
    Log("s3", VirtualClock(), least=Level.WARNING, write=lines.append).info("quiet")
    assert not lines

    def broken(line):
        raise BrokenPipeError

    Log("s3", VirtualClock(), write=broken).error("loud")
