"""Query parameters that several verbs read. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from isotherm.errors import Invalid
from isotherm.objects.model import NULL_VERSION

_INTEGER_MOST = 2**31 - 1


def invalid_argument(message: str, name: str, value: str | None = None) -> Invalid:
    return Invalid(message, code="InvalidArgument", ArgumentName=name, ArgumentValue=value)


def version_of(query: Mapping[str, str]) -> str | None:
    """The versionId asked for, or None for the current one.

    Raises:
        Invalid: InvalidArgument for what cannot be a version's id.
    """
    text = query.get("versionId")
    if text is None:
        return None
    if not is_version_id(text):
        raise invalid_argument("Invalid version id specified", "versionId", text)
    return text


def is_version_id(text: str) -> bool:
    """32 lower-case hexadecimal digits, or "null"."""
    return text == NULL_VERSION or (len(text) == 32 and not text.strip("0123456789abcdef"))


def whole_number(query: Mapping[str, str], name: str, *, least: int = 0, most: int = _INTEGER_MOST) -> int | None:
    """An integer parameter; None where it is absent or empty. Raises Invalid(InvalidArgument)."""
    text = query.get(name)
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) <= 16 and least <= int(text) <= most:
        return int(text)
    raise invalid_argument(f"Argument {name} must be an integer between {least} and {most}", name, text)


def needed_number(query: Mapping[str, str], name: str, *, most: int) -> int:
    """An integer parameter from 1 to `most` that must be given. Raises Invalid(InvalidArgument)."""
    number = whole_number(query, name, least=1, most=most)
    if number is None:
        raise invalid_argument(f"This operation needs the parameter {name}.", name)
    return number


def flag(query: Mapping[str, str], name: str) -> bool:
    """A boolean parameter. Raises Invalid(InvalidArgument) for anything but true, false and nothing."""
    text = query.get(name, "")
    if text.lower() not in ("", "true", "false"):
        raise invalid_argument(f"Argument {name} must be true or false", name, text)
    return text.lower() == "true"


def url_encoded(query: Mapping[str, str]) -> bool:
    """Whether `encoding-type=url` asks for percent-encoded keys. Raises Invalid(InvalidArgument) for another type."""
    kind = query.get("encoding-type")
    if kind not in (None, "url"):
        raise invalid_argument("Invalid Encoding Method specified in Request", "encoding-type", kind)
    return kind is not None
