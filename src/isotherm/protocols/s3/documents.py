"""Replies of documents and of nothing, as several verbs give them. Pure."""

from __future__ import annotations

from isotherm.protocols.s3.wire import Reply
from isotherm.protocols.s3.xml import document

_XML = ("Content-Type", "application/xml")


def xml_reply(root: str, *content: str, headers: list[tuple[str, str]] | None = None) -> Reply:
    """200 with a document in S3's namespace; `content` is rendered already."""
    return Reply(200, [_XML, *(headers or ())], document(root, *content))


def no_content(headers: list[tuple[str, str]] | None = None) -> Reply:
    return Reply(204, headers or [])
