"""What options take, in words: for their help, and where something else was given. Pure.

It is read from the JSON Schema of the field that an option fills, so that a bound stands in one place.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_LABELS = "NAME=VALUE, each name 1 to 63 of a-z, 0-9 and ._/-, each value at most {letters} letters, and at most {most} of them"
_FIELD = re.compile(r"`\$\.(\w+)")
_WORDS = re.compile(r"\^\(([\w|-]+)\)\$")


def field_of(message: str) -> str:
    """The field that msgspec complains of; empty where it names none."""
    found = _FIELD.search(message)
    return found[1] if found else ""


def takes_none(schema: Mapping[str, Any]) -> bool:
    """Whether a field may hold nothing."""
    return any(part.get("type") == "null" for part in _parts(schema))


def refusal(option: str, schema: Mapping[str, Any], given: object, *, none: bool) -> str:
    """Why what was given cannot be taken. `none`: whether "none" may be given."""
    parts = [part for part in _parts(schema) if part.get("type") != "null"]
    part = parts[0]
    if part.get("type") == "object":
        return f"{option} takes {_labels(part)}"
    if words := _WORDS.fullmatch(part.get("pattern", "")):
        return f"{option} is {_or(words[1].split('|'))}; {given!r} is not"
    taken = [_kind(option, part, given), *(["none"] if none else [])]
    return f"{option} takes {', or '.join(taken)}; {given!r} is {'neither' if len(taken) > 1 else 'not'}"


def _kind(option: str, part: Mapping[str, Any], given: object) -> str:
    match part.get("type"):
        case "integer" | "number":
            return _number(option, part, given)
        case "boolean":
            return "true or false"
        case _ if part.get("format") == "date-time":
            return "a time as 2026-01-31T00:00:00Z"
        case _:
            return f"a text of at most {part['maxLength']:,} letters" if "maxLength" in part else "a text"


def _number(option: str, part: Mapping[str, Any], given: object) -> str:
    """With its bounds where they are what was missed."""
    unit = " of bytes a second" if option.endswith("-bytes-s") else " of bytes" if option.endswith("-bytes") else ""
    whole = "whole " if part["type"] == "integer" and "." in str(given) else ""
    kind = f"a {whole}number{unit}"
    if unit and not re.fullmatch(r"[-+]?[0-9.]+", str(given)):
        return kind
    least = f"from {part['minimum']:,}" if "minimum" in part else f"above {part.get('exclusiveMinimum', 0):,}"
    return f"{kind} {least} to {part['maximum']:,}"


def _labels(part: Mapping[str, Any]) -> str:
    value = next(one for one in _parts(part["additionalProperties"]) if one.get("type") == "string")
    return _LABELS.format(letters=value["maxLength"], most=part["maxProperties"])


def _parts(schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The kinds of values a schema lets pass."""
    parts = schema.get("anyOf")
    return [one for part in parts for one in _parts(part)] if parts else [schema]


def _or(words: list[str]) -> str:
    return f"{', '.join(words[:-1])} or {words[-1]}"
