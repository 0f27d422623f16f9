"""What a program of this room is called with, and the JSON it writes."""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--quick", action="store_true")
    return parser.parse_args()


def figure(name: str, runs: Sequence[float], *, bar: float | None, better: str, unit: str = "ratio") -> dict[str, Any]:
    return {
        "name": name,
        "value": round(statistics.median(runs), 4),
        "bar": bar,
        "better": better,
        "unit": unit,
        "runs": [round(run, 4) for run in runs],
    }


def write(target: Path, figures: Sequence[dict[str, Any]], versions: dict[str, str], notes: str) -> None:
    target.write_text(json.dumps({"figures": list(figures), "versions": versions, "notes": notes}))
