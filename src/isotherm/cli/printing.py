"""What a command answers, for people: tables of lists, and names and values of a single thing. `--json` is for programs.

Nothing is ever cut. Where standard output is no terminal, lines are as long as they are. On a terminal that is too narrow for a
table, long texts are folded; where that is not enough, each record takes a few lines. Columns that are set nowhere are left out.
Whatever a terminal would obey is escaped.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import typer

_LEADING = ("path", "id", "state", "standing")
_IDS = ("id", "tenant_id", "caller_id", "target_id", "owner_id", "to_id", "within")
_NOTHING = "–"
_GAP = 2
_WHOLE_MOST = 24
"""Columns that are no wider are never folded: times, numbers, access keys."""
_FOLDED_LEAST = 12
"""Narrower than that, a folded column is not read."""


def print_table(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], headings: Mapping[str, str] | None = None
) -> None:
    """`headings`: of columns that are not headed by their own name."""
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in table(rows, columns, width, headings or {}):
        typer.echo(line)


def table(
    rows: Sequence[Mapping[str, Any]], columns: Sequence[str], width: int | None, headings: Mapping[str, str]
) -> list[str]:
    """The lines of a table in a terminal of `width` columns; None: as wide as it is."""
    from rich.cells import cell_len

    columns = [name for name in columns if not rows or any(_is_set(row[name]) for row in rows)]
    heads = [headings.get(name, name.replace("_", " ")) for name in columns]
    lines = [[shown(row[name], name) for name in columns] for row in rows]
    widths = [max(map(cell_len, cells)) for cells in zip(heads, *lines, strict=True)]
    if width is not None:
        fitted = _fitted(widths, width)
        if fitted is None:
            return [text for cells in lines for text in _packed(heads, cells, width)]
        widths = fitted
    return [text for cells in (heads, *lines) for text in _laid_out(cells, widths)]


def print_one(told: Mapping[str, Any]) -> None:
    """Names and values of a single thing, those first that tell what it is."""
    leading = [name for name in _LEADING if name in told]
    for name in (*leading, *(name for name in told if name not in leading)):
        if told[name] is not None and told[name] != {}:
            typer.echo(f"{name.replace('_', ' '):<32}{shown(told[name], name)}")


def print_usage(told: Mapping[str, Any]) -> None:
    """What a tenant holds, in words."""
    limits = [
        f"{told[name]:,} {unit}"
        for name, unit in (("capacity_bytes", "bytes"), ("objects", "versions and uploads"))
        if told[name] is not None
    ]
    lines = {
        "path": told["path"],
        "id": shown(told["id"], "id"),
        "own": _held(told["own"]),
        "total": _held(told["total"]) + ", with all below it",
        "limits": ", ".join(limits) + " in total" if limits else "none",
        "nearly used up": ", ".join(name.replace("_", " ") for name in told["warnings"]),
        "not whole yet": "" if told["counted"] else "what an earlier version wrote is still being counted",
    }
    for name, text in lines.items():
        if text:
            typer.echo(f"{name:<16}{text}")


def shown(value: Any, name: str = "") -> str:
    """A value on one line. `name`: of the field it stands in."""
    if name in _IDS and isinstance(value, int):
        return f"@{value}"
    if isinstance(value, Mapping) and "signature" in value:
        return "see --json"
    if isinstance(value, Mapping):
        pairs = ((part, value[part]) for part in value)
        return " ".join(f"{_plain(part)}={_change(one)}" for part, one in pairs) or _NOTHING
    if isinstance(value, list):
        return ",".join(map(_plain, value)) or _NOTHING
    return _plain(value)


def _change(value: Any) -> str:
    """Of a record: before and after."""
    return f"{shown(value[0])}→{shown(value[1])}" if isinstance(value, list) and len(value) == 2 else shown(value)


def _plain(value: Any) -> str:
    text = str(value) if _is_set(value) else _NOTHING
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def _is_set(value: Any) -> bool:
    return value is not None and value not in ("", {}, [])


def _held(held: Mapping[str, int]) -> str:
    counts = [
        _count(held["bytes"], "byte"),
        _count(held["objects"], "object"),
        _count(held["versions"], "version"),
        _count(held["markers"], "delete marker"),
        f"{_count(held['uploads'], 'upload')} of {_count(held['upload_bytes'], 'byte')}",
    ]
    return ", ".join(counts)


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


def _fitted(widths: Sequence[int], width: int) -> list[int] | None:
    """Widths of columns that fit a terminal; None: they would be too narrow to be read, or too many."""
    left = width - _GAP * (len(widths) - 1) - sum(one for one in widths if one <= _WHOLE_MOST)
    folded = sorted(one for one in widths if one > _WHOLE_MOST)
    most = 0
    for at, one in enumerate(folded):  # the narrowest first: what it leaves is the others'
        most = left // (len(folded) - at)
        if one > most:
            break
        left -= one
        most = one
    if left < 0 or (folded and most < _FOLDED_LEAST):
        return None
    return [one if one <= _WHOLE_MOST else min(one, most) for one in widths]


def _laid_out(cells: Sequence[str], widths: Sequence[int]) -> list[str]:
    """A row of a table, on as many lines as its longest cell takes."""
    from itertools import zip_longest

    from rich.cells import chop_cells, set_cell_size

    folded = [chop_cells(cell, width) or [""] for cell, width in zip(cells, widths, strict=True)]
    return [
        (" " * _GAP).join(set_cell_size(part, width) for part, width in zip(parts, widths, strict=True)).rstrip()
        for parts in zip_longest(*folded, fillvalue="")
    ]


def _packed(heads: Sequence[str], cells: Sequence[str], width: int) -> list[str]:
    """A record with the names of its values, on as few lines as it fits; those that follow are indented."""
    from rich.cells import cell_len

    lines = [""]
    for head, cell in zip(heads, cells, strict=True):
        if cell == _NOTHING:
            continue
        text = f"{head} {cell}"
        if lines[-1] and cell_len(lines[-1]) + _GAP + cell_len(text) > width:
            lines.append(" " * 2 * _GAP + text)
        else:
            lines[-1] += " " * _GAP * bool(lines[-1]) + text
    return lines
