"""What is counted and logged of requests, and that others can read it."""

import mmap

import pytest

from isotherm.protocols.s3 import routes
from isotherm.protocols.s3.access_log import AccessLog, Line
from isotherm.protocols.s3.counters import BUCKETS_US, CELLS, OPERATIONS, Counters
from isotherm.protocols.s3.wire import Reply
from tests.s3.wire.harness import Wire, run, sign


def test_every_operation_of_the_router_has_a_row():
    named = {route.operation for route in routes.ROUTES.values()}
    assert named <= set(OPERATIONS)
    assert set(OPERATIONS) - named == {"Other"}


def test_counters_over_shared_memory_are_seen_by_whoever_maps_it():
    memory = mmap.mmap(-1, CELLS * 8)
    ours = Counters(memoryview(memory).cast("Q"))
    theirs = Counters(memoryview(memory).cast("Q"))
    ours.count("PutObject", 0, 100, 20, 70)
    ours.count("PutObject", 2, 5, 0, 10_000_000)
    ours.count("a name of tomorrow", 4, 0, 0, 0)
    put, other = theirs.rows()
    assert (put.operation, put.requests, put.bytes_in, put.bytes_out) == ("PutObject", (1, 0, 1, 0, 0), 105, 20)
    assert put.latency_us == 10_000_070
    assert put.buckets == (0, 1, *[0] * (len(BUCKETS_US) - 2), 1)
    assert (other.operation, other.requests) == ("Other", (0, 0, 0, 0, 1))


@pytest.mark.parametrize("micros", [0, 50, 51, 5_000_000, 5_000_001])
def test_a_latency_falls_into_the_first_bucket_that_holds_it(micros):
    counters = Counters()
    counters.count("GetObject", 0, 0, 0, micros)
    [row] = counters.rows()
    bounds = [*BUCKETS_US, float("inf")]
    assert [bound for bound, count in zip(bounds, row.buckets, strict=True) if count] == [
        min(bound for bound in bounds if micros <= bound)
    ]


def test_memory_of_another_size_is_refused():
    with pytest.raises(ValueError, match="cells"):
        Counters([0] * 3)


def test_requests_are_counted_by_what_became_of_them():
    async def dispatch(request):
        request.operation = "GetObject"
        if request.key == "bug":
            raise ZeroDivisionError
        return Reply(int(request.key), [], b"12345" if request.key == "200" else b"")

    wire = Wire(dispatch)
    keys = ["200", "200", "206", "304", "404", "bug"]
    run(wire.converse(b"".join(sign("GET", f"/b/{key}") for key in keys) + b"nonsense\r\n\r\n"))
    rows = {row.operation: row for row in wire.counters.rows()}
    assert rows["GetObject"].requests == (3, 1, 1, 1, 0)
    assert rows["Other"].requests == (0, 0, 1, 0, 0)
    assert [line["status"] for line in wire.logged()] == [200, 200, 206, 304, 404, 500, 400]


def test_a_line_cannot_be_forged():
    wire = Wire()
    run(wire.converse(sign("GET", "/b/%0A%22,%22status%22:200%7D%0A", {"user-agent": 'a"b\\c'})))
    [line] = wire.logged()
    assert line["key"] == '\n","status":200}\n'
    assert line["agent"] == 'a"b\\c'
    assert wire.lines.getvalue().count(b"\n") == 1


def test_no_secret_is_logged():
    wire = Wire()
    run(wire.converse(b"GET /b/k?X-Amz-Signature=feed&X-Amz-Algorithm=x HTTP/1.1\r\nHost: a\r\n\r\n"))
    assert b"feed" not in wire.lines.getvalue()
    [line] = wire.logged()
    assert (line["path"], line["error"]) == ("/b/k", "AuthorizationQueryParametersError")


def test_lines_are_written_in_batches():
    written = []

    class Writer:
        def write(self, data):
            written.append(data)

    log = AccessLog(Writer())
    line = Line("", "", "", None, "", "", "", "", "", "", 200, "", 0, 0, 0.0, "")
    for _ in range(300):
        log.add(line)
    assert [data.count(b"\n") for data in written] == [256]
    log.flush()
    log.flush()
    assert [data.count(b"\n") for data in written] == [256, 44]
