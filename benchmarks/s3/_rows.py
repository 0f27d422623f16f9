"""Objects by the hundred thousand: rows of empty ones, written as a transaction of the store writes them, but thousands at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice

from isotherm.devices.waiting import drive
from isotherm.meta.port import Meta, Transaction
from isotherm.objects.layout import live_row
from isotherm.objects.model import Attributes
from isotherm.objects.records import NO_ID, NO_REFERENCE, NULL, Record, encode_record

Row = tuple[bytes, bytes]

_ROWS_A_TRANSACTION = 5_000


def empty_object(tenant: int, bucket: int, key: bytes, modified_ms: int) -> Row:
    etag = hashlib.blake2b(key, digest_size=16).digest()
    record = Record(
        *(NULL, 0, modified_ms, etag, 0, 0, NO_REFERENCE, 0, (), NO_ID, NO_ID),
        *(Attributes(), {}, None),
    )
    return live_row(tenant, bucket, key), encode_record(record)


def write_rows(meta: Meta, rows: Iterable[Row]) -> int:
    """How many there were."""
    count = 0
    remaining: Iterator[Row] = iter(rows)
    while written := list(islice(remaining, _ROWS_A_TRANSACTION)):

        async def commit(txn: Transaction, written: list[Row] = written) -> None:
            stamp = txn.stamp()
            for row, value in written:
                txn.put(row, value, stamp=stamp)

        drive(meta.transact(commit))
        count += len(written)
    return count
