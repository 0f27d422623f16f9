"""DeleteObjects: up to 1,000 keys in one document. Source: S3 API reference.

An object's ETag in the document is a condition on its delete. LastModifiedTime and Size, which S3 knows for directory
buckets only, are not implemented.
"""

from __future__ import annotations

from dataclasses import dataclass

from isotherm.errors import IsothermError, NotFound, Unsupported
from isotherm.objects.model import Condition, Deleted
from isotherm.protocols.s3.conditions import unquoted
from isotherm.protocols.s3.digests import verified_body
from isotherm.protocols.s3.documents import xml_reply
from isotherm.protocols.s3.error_table import message_of, status_and_code
from isotherm.protocols.s3.parameters import is_version_id
from isotherm.protocols.s3.wire import Reply, Request
from isotherm.protocols.s3.xml import Element, malformed, optional, parse, tag

KEYS_MOST = 1_000
_DOCUMENT_BYTES_MOST = 8 << 20  # 1,000 keys of 1,024 bytes, each written as `&#60;`, and room for the rest


@dataclass(frozen=True, slots=True)
class _Item:
    key: str
    version_id: str | None
    etag: str | None


async def delete_objects(request: Request) -> Reply:
    root = parse(await verified_body(request, _DOCUMENT_BYTES_MOST), ("Delete",))
    root.expect("Object", "Quiet")
    quiet = (root.value("Quiet") or "").strip().lower() == "true"
    items = [_item(element) for element in root.children if element.name == "Object"]
    if not 0 < len(items) <= KEYS_MOST:
        raise malformed(f"a Delete names 1 to {KEYS_MOST} objects")
    outcomes = await _delete(request, items)
    rows = []
    for item, outcome in zip(items, outcomes, strict=True):
        if isinstance(outcome, Deleted):
            if not quiet:
                rows.append(_deleted(item, outcome))
        else:
            rows.append(_error(item, outcome))
    return xml_reply("DeleteResult", *rows)


def _item(element: Element) -> _Item:
    element.expect("Key", "VersionId", "ETag", "LastModifiedTime", "Size")
    if element.one("LastModifiedTime") is not None or element.one("Size") is not None:
        raise Unsupported("Conditions on LastModifiedTime and Size are not implemented.")
    key = element.needed("Key")
    if not key:
        raise malformed("an object without a key")
    etag = element.value("ETag")
    return _Item(key, element.value("VersionId") or None, unquoted(etag) if etag is not None else None)


async def _delete(request: Request, items: list[_Item]) -> list[Deleted | IsothermError]:
    """One outcome for each item, in order. Conditional ones go one by one, the others together."""
    space, bucket = request.space, request.bucket
    outcomes: dict[int, Deleted | IsothermError] = {}
    together: list[int] = []
    for at, item in enumerate(items):
        if item.version_id is not None and not is_version_id(item.version_id):
            outcomes[at] = NotFound("The version ID specified in the request is not valid.", code="NoSuchVersion")
        elif item.etag is None:
            together.append(at)
    if together:
        found = await space.delete_many(bucket, [(items[at].key, items[at].version_id) for at in together])
        outcomes.update(zip(together, found, strict=True))
    for at, item in enumerate(items):
        if at not in outcomes:
            try:
                condition = Condition(if_match=item.etag)
                outcomes[at] = await space.delete(bucket, item.key, item.version_id, condition)
            except IsothermError as error:
                outcomes[at] = error
    return [outcomes[at] for at in range(len(items))]


def _deleted(item: _Item, outcome: Deleted) -> str:
    if outcome.marker:
        marker = f"<DeleteMarker>true</DeleteMarker>{optional('DeleteMarkerVersionId', outcome.version_id)}"
    else:
        marker = ""
    return f"<Deleted>{tag('Key', item.key)}{optional('VersionId', item.version_id)}{marker}</Deleted>"


def _error(item: _Item, error: IsothermError) -> str:
    status, code = status_and_code(error)
    return (
        f"<Error>{tag('Key', item.key)}{optional('VersionId', item.version_id)}"
        f"{tag('Code', code)}{tag('Message', message_of(error, status))}</Error>"
    )
