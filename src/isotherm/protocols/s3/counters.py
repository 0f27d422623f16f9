"""What a gateway counts: plain 64-bit integers in one flat array, written by the gateway's loop alone.

Layout: one row per operation of OPERATIONS (the last is "Other"), each `ROW` cells wide:

    0…4   requests by status class: 1xx–2xx, 3xx, 4xx, 5xx, broken off (no reply, or not to its end)
    5     bytes received in bodies        6     bytes sent in bodies
    7     sum of latencies, microseconds  8…    requests per latency bucket of BUCKETS_US, the last without bound

The array may lie in memory that other processes read: pass `memoryview(mmap).cast("Q")[…]` of CELLS cells. A reader sees
each cell whole, but not a row at one instant. Latency runs from the head's last byte to the reply's hand-over to the kernel.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator, MutableSequence
from dataclasses import dataclass

OPERATIONS = (
    "AbortMultipartUpload",
    "CompleteMultipartUpload",
    "CopyObject",
    "CreateBucket",
    "CreateMultipartUpload",
    "DeleteBucket",
    "DeleteBucketTagging",
    "DeleteObject",
    "DeleteObjectTagging",
    "DeleteObjects",
    "GetBucketAcl",
    "GetBucketLocation",
    "GetBucketTagging",
    "GetBucketVersioning",
    "GetObject",
    "GetObjectAcl",
    "GetObjectAttributes",
    "GetObjectTagging",
    "HeadBucket",
    "HeadObject",
    "ListBuckets",
    "ListMultipartUploads",
    "ListObjectVersions",
    "ListObjects",
    "ListObjectsV2",
    "ListParts",
    "PutBucketAcl",
    "PutBucketTagging",
    "PutBucketVersioning",
    "PutObject",
    "PutObjectAcl",
    "PutObjectTagging",
    "UploadPart",
    "UploadPartCopy",
    "Other",
)
BUCKETS_US = (50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000, 5_000_000)
CLASSES = ("2xx", "3xx", "4xx", "5xx", "broken")

_IN, _OUT, _SUM, _FIRST_BUCKET = 5, 6, 7, 8
ROW = _FIRST_BUCKET + len(BUCKETS_US) + 1
CELLS = ROW * len(OPERATIONS)
BROKEN = 4


@dataclass(frozen=True, slots=True)
class Row:
    """One operation's counters. `requests` in the order of CLASSES, `buckets` of BUCKETS_US and one without bound."""

    operation: str
    requests: tuple[int, ...]
    bytes_in: int
    bytes_out: int
    latency_us: int
    buckets: tuple[int, ...]


class Counters:
    """Written through `count`; read through `rows`, here or over the same memory in another process."""

    __slots__ = ("_cells", "_starts")

    def __init__(self, cells: MutableSequence[int] | memoryview | None = None) -> None:
        self._cells: MutableSequence[int] | memoryview = array("Q", bytes(CELLS * 8)) if cells is None else cells
        if len(self._cells) != CELLS:
            raise ValueError(f"{CELLS} cells are needed")
        self._starts = {name: at * ROW for at, name in enumerate(OPERATIONS)}

    def count(self, operation: str, status_class: int, bytes_in: int, bytes_out: int, latency_us: int) -> None:
        """One request. `status_class` is an index of CLASSES."""
        cells = self._cells
        start = self._starts.get(operation, CELLS - ROW)
        cells[start + status_class] += 1
        if bytes_in:
            cells[start + _IN] += bytes_in
        if bytes_out:
            cells[start + _OUT] += bytes_out
        cells[start + _SUM] += latency_us
        cells[start + _FIRST_BUCKET + bisect_left(BUCKETS_US, latency_us)] += 1

    def rows(self) -> Iterator[Row]:
        """The operations that were called at least once."""
        for at, name in enumerate(OPERATIONS):
            row = tuple(self._cells[at * ROW : (at + 1) * ROW])
            if any(row):
                yield Row(name, row[:_IN], row[_IN], row[_OUT], row[_SUM], row[_FIRST_BUCKET:])
