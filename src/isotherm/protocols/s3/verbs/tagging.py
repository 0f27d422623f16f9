"""Get, Put and Delete of BucketTagging and ObjectTagging. Source: S3 API reference.

S3's limits on tags are this edge's (attributes.py): an object may carry more, written by other ways, and is read whole.
"""

from __future__ import annotations

from collections.abc import Mapping

from isotherm.errors import NotFound
from isotherm.objects.model import NULL_VERSION, Version
from isotherm.protocols.s3.attributes import BUCKET_TAGS_MOST, OBJECT_TAGS_MOST, checked_tags
from isotherm.protocols.s3.digests import verified_body
from isotherm.protocols.s3.documents import no_content, xml_reply
from isotherm.protocols.s3.parameters import version_of
from isotherm.protocols.s3.wire import Reply, Request
from isotherm.protocols.s3.xml import malformed, parse, tag

_DOCUMENT_BYTES_MOST = 256 << 10


async def get_object_tagging(request: Request) -> Reply:
    tags, version = await request.space.tags(request.bucket, request.key, version_of(request.query))
    return _tagging_reply(tags, _version_header(version))


async def put_object_tagging(request: Request) -> Reply:
    tags = await _read_tagging(request, OBJECT_TAGS_MOST)
    version = await request.space.set_tags(request.bucket, request.key, tags, version_id=version_of(request.query))
    return Reply(200, _version_header(version))


async def delete_object_tagging(request: Request) -> Reply:
    version = await request.space.set_tags(request.bucket, request.key, {}, version_id=version_of(request.query))
    return no_content(_version_header(version))


async def get_bucket_tagging(request: Request) -> Reply:
    bucket = await request.space.bucket(request.bucket)
    if not bucket.tags:
        raise NotFound("The TagSet does not exist", code="NoSuchTagSet", BucketName=request.bucket)
    return _tagging_reply(bucket.tags, [])


async def put_bucket_tagging(request: Request) -> Reply:
    tags = await _read_tagging(request, BUCKET_TAGS_MOST)
    await request.space.set_bucket_tags(request.bucket, tags)
    return no_content()


async def delete_bucket_tagging(request: Request) -> Reply:
    await request.space.set_bucket_tags(request.bucket, {})
    return no_content()


async def _read_tagging(request: Request, most: int) -> dict[str, str]:
    root = parse(await verified_body(request, _DOCUMENT_BYTES_MOST), ("Tagging",))
    root.expect("TagSet")
    tag_set = root.one("TagSet")
    if tag_set is None:
        raise malformed("Tagging has no TagSet")
    tag_set.expect("Tag")
    pairs = []
    for element in tag_set.children:
        element.expect("Key", "Value")
        pairs.append((element.needed("Key"), element.needed("Value")))
    return checked_tags(pairs, most)


def _tagging_reply(tags: Mapping[str, str], headers: list[tuple[str, str]]) -> Reply:
    rows = [f"<Tag>{tag('Key', key)}{tag('Value', tags[key])}</Tag>" for key in sorted(tags)]
    return xml_reply("Tagging", f"<TagSet>{''.join(rows)}</TagSet>", headers=headers)


def _version_header(version: Version) -> list[tuple[str, str]]:
    return [] if version.version_id == NULL_VERSION else [("x-amz-version-id", version.version_id)]
