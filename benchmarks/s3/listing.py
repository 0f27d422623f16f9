"""LIST of 1,000,000 keys in pages of 1,000, whole signed requests, beside a bare page of the same rows (no HTTP at all).

CPU per page over the whole bucket against the bare page, in turns; and the dearest against the cheapest of pages at the start, in
the middle and at the end. 32 keep-alive connections, one gateway, access log and counters on.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import isotherm
from benchmarks.s3 import _peers
from benchmarks.s3._bare import BarePages
from benchmarks.s3._load import Replay, Target, pinned
from benchmarks.s3._report import arguments, figure, write
from isotherm.devices.waiting import drive
from isotherm.meta.port import Transaction
from isotherm.objects.layout import ROOT_TENANT, live_row
from isotherm.objects.model import Attributes
from isotherm.objects.records import NO_ID, NO_REFERENCE, NULL, Record, encode_record

_PAGE = 1_000
_ROWS_A_TRANSACTION = 5_000
_PLACES = 200


def _key(number: int) -> str:
    return f"n/{number:07d}"


def _fill(data: Path, keys: int, modified_ms: int) -> None:
    """Rows of empty objects, written as a transaction of the store writes them, but thousands at once."""
    with isotherm.open(data) as store:
        store.create_bucket("bench")
        bucket = drive(store.space.bucket("bench"))

        def rows(start: int) -> list[tuple[bytes, bytes]]:
            made = []
            for number in range(start, min(start + _ROWS_A_TRANSACTION, keys)):
                key = _key(number).encode()
                etag = hashlib.blake2b(key, digest_size=16).digest()
                record = Record(
                    *(NULL, 0, modified_ms + number, etag, 0, 0, NO_REFERENCE, 0, (), NO_ID, NO_ID),
                    *(Attributes(), {}, None),
                )
                made.append((live_row(ROOT_TENANT, bucket.id, key), encode_record(record)))
            return made

        for start in range(0, keys, _ROWS_A_TRANSACTION):
            written = rows(start)

            async def commit(txn: Transaction, written: list[tuple[bytes, bytes]] = written) -> None:
                stamp = txn.stamp()
                for row, value in written:
                    txn.put(row, value, stamp=stamp)

            drive(store.engines.meta.transact(commit))
    print(f"{keys} keys written", flush=True)


def _targets(numbers: list[int]) -> list[Target]:
    return [Target("/bench", f"list-type=2&start-after={quote(_key(number), safe='')}") for number in numbers]


def main() -> None:
    given = arguments()
    _peers.need("wrk", "taskset")
    keys, rounds, seconds = (20_000, 1, 1) if given.quick else (1_000_000, 5, 3)
    modified_ms = int(time.time() * 1_000) - keys
    last = keys - _PAGE - 1
    everywhere = [number * 7_919 % last for number in range(_PLACES)]
    places = {"start": [0], "middle": [keys // 2], "end": [last]}
    ratios: list[float] = []
    spreads: list[float] = []
    costs: list[float] = []
    with tempfile.TemporaryDirectory(prefix="isotherm-bench-") as name:
        scratch = Path(name)
        _fill(scratch / "data", keys, modified_ms)
        bare = BarePages(scratch / "bare", [_key(number).encode() for number in range(keys)], modified_ms)
        with _peers.isotherm(scratch / "data") as site:
            whole = Replay(scratch, site, "GET", _targets(everywhere))
            parts = {place: Replay(scratch, site, "GET", _targets(numbers)) for place, numbers in places.items()}
            for replay in (whole, *parts.values()):
                replay.run(1)
            for _ in range(rounds):
                with pinned():
                    floor_us = bare.cost_us([_key(number).encode() for number in everywhere])
                outcome = whole.run(seconds)
                found = {place: replay.run(seconds) for place, replay in parts.items()}
                if outcome.refused or any(each.refused for each in found.values()):
                    raise SystemExit("requests were refused")
                by_place = {place: each.cpu_us for place, each in found.items()}
                costs.append(outcome.cpu_us)
                ratios.append(outcome.cpu_us / floor_us)
                spreads.append(max(by_place.values()) / min(by_place.values()))
                told = ", ".join(f"{place} {cost:.0f}" for place, cost in by_place.items())
                print(f"bare page {floor_us:.0f} µs; whole requests {outcome.cpu_us:.0f} µs ({told})", flush=True)
    figures = [
        figure("list_1m_cpu_against_bare_page", ratios, bar=1.5, better="lower"),
        figure("list_1m_page_wherever_it_lies", spreads, bar=1.3, better="lower"),
        figure("list_1m_cpu", costs, bar=None, better="lower", unit="µs"),
    ]
    write(given.json, figures, {}, (__doc__ or "").strip())


if __name__ == "__main__":
    main()
