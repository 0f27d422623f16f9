"""XML as S3 speaks it: a strict, bounded reader of small documents, and the escaping of what is written.

Reading: expat with UTF-8 only, no document type (hence no entities but the five and character references), bounded
depth and number of elements, S3's namespace or none. Anything else is MalformedXML. Pure; from any thread.

Writing: keys may hold characters that XML 1.0 cannot carry. As S3 does, they go out as character references (`&#x1;`),
which a strict parser refuses: clients that hold such keys ask for `encoding-type=url`. Documents that only repeat a key
(errors, uploads) are made `legible` instead.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from xml.parsers import expat

from isotherm.errors import Invalid

DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"

_SCHEMES = ("http://", "https://")
_DEPTH_MOST = 8
_ELEMENTS_MOST = 80_000
_TEXT_MOST = 16_384
_SPACE = " \t\r\n"

_PLAIN = bytes(byte for byte in range(0x20, 0x100) if byte not in b'&<>"\x7f')
_SPECIAL = re.compile(r'[&<>"\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]')
_UNCARRIED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}


def malformed(why: str) -> Invalid:
    return Invalid(
        f"The XML you provided was not well-formed or did not validate against our published schema: {why}.",
        code="MalformedXML",
    )


class Element:
    """An element: its local name, its text (where it has no children) and its children."""

    __slots__ = ("children", "name", "text")

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = ""
        self.children: list[Element] = []

    def expect(self, *names: str) -> None:
        """Raises MalformedXML for a child of any other name, or for text between the children."""
        for child in self.children:
            if child.name not in names:
                raise malformed(f"unexpected element {child.name[:64]} in {self.name}")
        if self.text.strip(_SPACE):
            raise malformed(f"unexpected text in {self.name}")

    def one(self, name: str) -> Element | None:
        """The child of that name, if any. Raises MalformedXML for more than one."""
        found = [child for child in self.children if child.name == name]
        if len(found) > 1:
            raise malformed(f"more than one {name} in {self.name}")
        return found[0] if found else None

    def value(self, name: str) -> str | None:
        """The text of the child of that name, as it stands. Raises MalformedXML for more than one or one with children."""
        child = self.one(name)
        return None if child is None else child.leaf()

    def needed(self, name: str) -> str:
        value = self.value(name)
        if value is None:
            raise malformed(f"{self.name} has no {name}")
        return value

    def leaf(self) -> str:
        if self.children:
            raise malformed(f"unexpected element in {self.name}")
        return self.text


class _Builder:
    __slots__ = ("count", "open", "root")

    def __init__(self) -> None:
        self.root: Element | None = None
        self.open: list[Element] = []
        self.count = 0

    def start(self, name: str, attributes: object) -> None:
        space, _, local = name.rpartition(" ")
        if space and not (space.startswith(_SCHEMES) and space.split("://")[1] == NAMESPACE[7:]):
            raise malformed("unknown namespace")
        self.count += 1
        if self.count > _ELEMENTS_MOST or len(self.open) >= _DEPTH_MOST:
            raise malformed("too many elements")
        element = Element(local)
        if self.open:
            self.open[-1].children.append(element)
        else:
            self.root = element
        self.open.append(element)

    def end(self, name: str) -> None:
        self.open.pop()

    def text(self, data: str) -> None:
        element = self.open[-1]
        if element.children and not data.strip(_SPACE):
            return
        element.text += data
        if len(element.text) > _TEXT_MOST:
            raise malformed(f"the text of {element.name[:64]} is too long")


def _refuse(*details: object) -> None:
    raise malformed("document types and entities are not accepted")


def _declared(version: str, encoding: str | None, standalone: int) -> None:
    if encoding is not None and encoding.lower() not in ("utf-8", "utf8", "us-ascii"):
        raise malformed("the encoding must be UTF-8")


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def parse(body: bytes, names: Collection[str]) -> Element:
    """The root element, whose name must be one of `names`. Raises Invalid(MalformedXML)."""
    if b"\0" in body or not _is_utf8(body):  # expat would otherwise find out about UTF-16 by itself
        raise malformed("the encoding must be UTF-8")
    builder = _Builder()
    parser = expat.ParserCreate(encoding="utf-8", namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.text
    parser.StartDoctypeDeclHandler = _refuse
    parser.EntityDeclHandler = _refuse
    parser.ProcessingInstructionHandler = _refuse
    parser.XmlDeclHandler = _declared
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError) as error:
        raise malformed(str(error)) from None
    if builder.root is None or builder.root.name not in names:
        raise malformed("unexpected root element")
    return builder.root


def _reference(match: re.Match[str]) -> str:
    character = match[0]
    return _NAMED.get(character) or f"&#x{ord(character):X};"


def escape(text: str) -> str:
    """Text as it may stand in an element or a quoted attribute."""
    return _SPECIAL.sub(_reference, text)


def needs_escape(joined: bytes) -> bool:
    """Whether any of many texts, joined and in UTF-8, might change under `escape`. Cheap: one pass in C.

    The two non-characters U+FFFE and U+FFFF are told by their common first bytes.
    """
    return bool(joined.translate(None, _PLAIN)) or b"\xef\xbf" in joined


def carried(text: str) -> bool:
    """Whether XML 1.0 can carry every character of it, if need be as a reference."""
    return _UNCARRIED.search(text) is None


def legible(text: str) -> str:
    """The text with U+FFFD for what XML cannot carry: for documents that must be readable whatever they speak of."""
    return _UNCARRIED.sub("\ufffd", text)


def tag(name: str, value: str | int) -> str:
    """`<name>value</name>`, escaped."""
    return f"<{name}>{escape(value) if isinstance(value, str) else value}</{name}>"


def optional(name: str, value: str | int | None) -> str:
    """The element, or nothing for None."""
    return "" if value is None else tag(name, value)


def document(root: str, *content: str) -> bytes:
    """A whole document in S3's namespace; `content` is rendered already."""
    body = "".join(content)
    return f'{DECLARATION}<{root} xmlns="{NAMESPACE}">{body}</{root}>'.encode()
