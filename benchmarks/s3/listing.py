"""LIST of 1,000,000 keys in pages of 1,000, whole signed requests, beside a bare page of the same rows (no HTTP at all).

CPU per page over the whole bucket against the bare page, in turns; and the dearest against the cheapest of pages at the start, in
the middle and at the end. 32 keep-alive connections, one gateway, access log and counters on.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from urllib.parse import quote

import isotherm
from benchmarks.s3 import _peers
from benchmarks.s3._bare import BarePages
from benchmarks.s3._load import Replay, Target, pinned
from benchmarks.s3._report import arguments, figure, write
from benchmarks.s3._rows import empty_object, write_rows
from isotherm.devices.waiting import drive
from isotherm.objects.layout import ROOT_TENANT

_PAGE = 1_000
_PLACES = 200


def _key(number: int) -> str:
    return f"n/{number:07d}"


def _fill(data: Path, keys: int, modified_ms: int) -> None:
    with isotherm.open(data) as store:
        store.create_bucket("bench")
        bucket = drive(store.space.bucket("bench")).id
        write_rows(
            store.engines.meta,
            (empty_object(ROOT_TENANT, bucket, _key(number).encode(), modified_ms + number) for number in range(keys)),
        )
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
