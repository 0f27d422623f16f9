"""The entrance to objects: everything one tenant can do with them.

A `Space` is bound to a tenant and cannot name another. It owns nothing: engines, clock and randomness are passed in. Its
methods are coroutines which `devices.waiting.drive` can run without an event loop; each verb's semantics live in a module
of their own. Safe from any thread of the process that made the engines.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from isotherm.clock import Clock
from isotherm.errors import Denied, IsothermError
from isotherm.ids import Ids
from isotherm.meta.port import Meta
from isotherm.objects import buckets, complete, copy, delete, events, listing, multipart, read, tagging, write
from isotherm.objects.conditions import NO_CONDITION
from isotherm.objects.context import Context, Warrant
from isotherm.objects.model import (
    PART_BYTES_LEAST,
    PARTS_MOST,
    Algorithm,
    Attributes,
    Body,
    Bucket,
    Change,
    Checksum,
    Condition,
    Deleted,
    Digests,
    Found,
    Listing,
    Part,
    ReadCondition,
    Upload,
    UploadListing,
    Version,
    Versioning,
)
from isotherm.objects.read import Reading
from isotherm.objects.records import as_version
from isotherm.segments.port import Buffer, Segments
from isotherm.tenancy.quota import Quota

_NO_ATTRIBUTES = Attributes()
_NO_DIGESTS = Digests()
_NO_TAGS: Mapping[str, str] = {}


class Space:
    """Objects of one tenant.

    Args:
        part_bytes_least: of every part of an upload but its last.
        quota: charges the tenant; one for all spaces of a process, which knows the tree.
        warrant: where the handle acts in one bucket of another tenant: by what right. Then no other bucket is there.
    """

    __slots__ = ("_context",)

    def __init__(
        self,
        tenant: int,
        meta: Meta,
        segments: Segments,
        clock: Clock,
        ids: Ids,
        *,
        part_bytes_least: int = PART_BYTES_LEAST,
        quota: Quota | None = None,
        warrant: Warrant | None = None,
    ) -> None:
        self._context = Context(tenant, meta, segments, clock, ids, part_bytes_least, quota or Quota(), warrant)

    # buckets ------------------------------------------------------------------------------------------------------
    async def create_bucket(self, name: str) -> Bucket:
        """AlreadyExists(BucketAlreadyOwnedByYou) when there; Invalid(InvalidBucketName)."""
        return await buckets.create(self._context, name)

    async def delete_bucket(self, name: str) -> None:
        """NotEmpty while it holds versions or markers (open uploads are aborted with it); NotFound(NoSuchBucket)."""
        await buckets.delete(self._context, name)

    async def bucket(self, name: str) -> Bucket:
        """NotFound(NoSuchBucket)."""
        return await self._context.bucket(self._context.meta, name)

    async def buckets(self, *, prefix: str = "", after: str = "", limit: int = 10_000) -> list[Bucket]:
        """In order of their names."""
        return await buckets.page(self._context, prefix=prefix, after=after, limit=limit)

    def owner_of(self, name: str) -> int | None:
        """The tenant that has granted a bucket to this one; None for this one's own, as all are here."""
        return None

    def demand_own(self, name: str) -> None:
        """Raises Denied for a bucket that was granted by somebody else."""
        if self.owner_of(name) is not None:
            raise Denied("This bucket was granted to you; what concerns the bucket itself is its owner's.")

    async def set_versioning(self, name: str, versioning: Versioning) -> None:
        """Enabled or suspended; Invalid for going back to unversioned."""
        await buckets.set_versioning(self._context, name, versioning)

    async def set_bucket_tags(self, name: str, tags: Mapping[str, str]) -> None:
        """Replace the tags of a bucket."""
        await buckets.set_tags(self._context, name, tags)

    # objects ------------------------------------------------------------------------------------------------------
    async def put(
        self,
        bucket: str,
        key: str,
        body: Buffer | Body,
        *,
        attributes: Attributes = _NO_ATTRIBUTES,
        tags: Mapping[str, str] = _NO_TAGS,
        condition: Condition = NO_CONDITION,
        digests: Digests = _NO_DIGESTS,
    ) -> Version:
        """Invalid(BadDigest, KeyTooLongError, EntityTooLarge, InvalidTag), PreconditionFailed, NotFound(NoSuchBucket), OverQuota."""
        return await write.put(self._context, bucket, key, body, attributes, tags, condition, digests)

    async def head(self, bucket: str, key: str, version_id: str | None = None) -> Version:
        """NotFound(NoSuchBucket | NoSuchKey | NoSuchVersion).

        When the current version is a delete marker: NotFound(NoSuchKey) with detail `marker` = its version id. When
        `version_id` names a marker: Invalid(MethodNotAllowed) with the same detail and `modified_ms`.
        """
        return await read.head(self._context, bucket, key, version_id)

    def open(
        self, bucket: str, key: str, version_id: str | None = None, condition: ReadCondition | None = None
    ) -> Coroutine[Any, Any, Reading]:
        """As head. With a condition: PreconditionFailed(PreconditionFailed | NotModified), detail `version`."""
        return read.open_version(self._context, bucket, key, version_id, condition)

    async def read(self, bucket: str, key: str, offset: int = 0, length: int | None = None) -> bytes:
        """Verified bytes of the current version, or of what of a range lies within it. Errors as head; Corrupt, Unavailable."""
        return await read.read_newest(self._context, bucket, key, offset, length)

    async def part_range(self, bucket: str, version: Version, number: int) -> tuple[int, int]:
        """(offset, length) of a part of a multipart object; the whole of another for part 1; Invalid(InvalidPartNumber)."""
        return await read.part_range(self._context, version, number)

    async def part_list(
        self, bucket: str, version: Version, *, after: int = 0, limit: int = PARTS_MOST
    ) -> Sequence[Part]:
        """The parts of a multipart object with a number greater than `after`; none of another object."""
        return await read.part_list(self._context, version, after, limit)

    async def delete(
        self, bucket: str, key: str, version_id: str | None = None, condition: Condition = NO_CONDITION
    ) -> Deleted:
        """Deleting what is not there succeeds. A delete marker is made where the bucket keeps versions."""
        return await delete.delete(self._context, bucket, key, version_id, condition)

    async def delete_many(self, bucket: str, items: Sequence[tuple[str, str | None]]) -> list[Deleted | IsothermError]:
        """One result for each (key, version id), in order; up to 100 keys share a transaction."""
        return await delete.delete_many(self._context, bucket, items)

    async def copy(
        self,
        source_bucket: str,
        source_key: str,
        bucket: str,
        key: str,
        *,
        source_version_id: str | None = None,
        source_condition: ReadCondition | None = None,
        attributes: Attributes | None = None,
        tags: Mapping[str, str] | None = None,
        condition: Condition = NO_CONDITION,
        algorithm: Algorithm | None = None,
    ) -> Version:
        """No bytes are copied. None for attributes or tags: the source's. A copy onto itself must change something."""
        source = (source_bucket, source_key, source_version_id)
        return await copy.copy(
            self._context, source, bucket, key, source_condition, attributes, tags, condition, algorithm
        )

    # listings -----------------------------------------------------------------------------------------------------
    async def list(
        self,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        after: str = "",
        limit: int = 1_000,
        within: str = "",
    ) -> Listing:
        """Keys greater than `after`, rolled up into common prefixes; when `after` is one of these, what follows it.

        `within`: only keys that begin so as well; common prefixes still count from `prefix`. So in the other listings.
        """
        return await listing.list_objects(
            self._context, bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit, within=within
        )

    async def list_versions(
        self,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        after: str = "",
        after_version: str = "",
        limit: int = 1_000,
        within: str = "",
    ) -> Listing:
        """All versions and markers, of each key from the newest; after `after_version` of the key `after`.

        Invalid for an `after_version` that cannot be one, or without `after`.
        """
        return await listing.list_versions(
            self._context,
            bucket,
            prefix=prefix,
            delimiter=delimiter,
            after=after,
            after_version=after_version,
            limit=limit,
            within=within,
        )

    # multipart ----------------------------------------------------------------------------------------------------
    async def create_upload(
        self,
        bucket: str,
        key: str,
        *,
        attributes: Attributes = _NO_ATTRIBUTES,
        tags: Mapping[str, str] = _NO_TAGS,
        algorithm: Algorithm | None = None,
        full_object: bool = False,
    ) -> Upload:
        """Invalid where `full_object` does not go with the algorithm."""
        return await multipart.create(self._context, bucket, key, attributes, tags, algorithm, full_object)

    async def upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        """NotFound(NoSuchUpload)."""
        _, found = await multipart.find_upload(self._context, self._context.meta, bucket, key, upload_id)
        return found

    async def put_part(
        self, bucket: str, key: str, upload_id: str, number: int, body: Buffer | Body, *, digests: Digests = _NO_DIGESTS
    ) -> Part:
        """As put; NotFound(NoSuchUpload). A part sent again replaces the earlier one."""
        return await multipart.put_part(self._context, bucket, key, upload_id, number, body, digests)

    async def copy_part(
        self,
        source_bucket: str,
        source_key: str,
        bucket: str,
        key: str,
        upload_id: str,
        number: int,
        *,
        source_version_id: str | None = None,
        source_condition: ReadCondition | None = None,
        source_range: tuple[int, int] | None = None,
    ) -> tuple[Part, Version]:
        """`source_range` is (offset, length). Returns the part and the source's version."""
        source = (source_bucket, source_key, source_version_id)
        target = (bucket, key, upload_id, number)
        return await multipart.copy_part(self._context, source, target, source_condition, source_range)

    async def parts(
        self, bucket: str, key: str, upload_id: str, *, after: int = 0, limit: int = 1_000
    ) -> tuple[Sequence[Part], bool]:
        """Parts with a number greater than `after`, and whether more follow."""
        return await multipart.list_parts(self._context, bucket, key, upload_id, after, limit)

    async def uploads(
        self,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        after: str = "",
        after_upload: str = "",
        limit: int = 1_000,
        within: str = "",
    ) -> UploadListing:
        """In order of key and of beginning."""
        return await listing.list_uploads(
            self._context,
            bucket,
            prefix=prefix,
            delimiter=delimiter,
            after=after,
            after_upload=after_upload,
            limit=limit,
            within=within,
        )

    async def complete_upload(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        parts: Sequence[tuple[int, str, Checksum | None]],
        *,
        condition: Condition = NO_CONDITION,
        checksum: Checksum | None = None,
        size: int | None = None,
    ) -> Version:
        """`parts`: (number, etag, checksum if given) ascending. Invalid(InvalidPart, InvalidPartOrder, EntityTooSmall).

        Asked again for what it has done already, it answers as it did, as long as that is the current version.
        """
        return await complete.complete(self._context, bucket, key, upload_id, parts, condition, checksum, size)

    async def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        """NotFound(NoSuchUpload)."""
        await multipart.abort(self._context, bucket, key, upload_id)

    # tags and feed ------------------------------------------------------------------------------------------------
    async def tags(self, bucket: str, key: str, version_id: str | None = None) -> tuple[Mapping[str, str], Version]:
        """All tags of a version. Errors as head."""
        found, record, live = await tagging.get_tags(self._context, bucket, key, version_id)
        return found, as_version(record, key, latest=live)

    async def set_tags(
        self,
        bucket: str,
        key: str,
        tags: Mapping[str, str],
        *,
        version_id: str | None = None,
        replace: bool = True,
    ) -> Version:
        """`replace=False` merges into what is there: any number in as many calls as it takes (4 MB each)."""
        return await tagging.set_tags(self._context, bucket, key, tags, version_id, keep=not replace)

    async def find(
        self, tags: Mapping[str, str], *, bucket: str | None = None, after: Found | None = None, limit: int = 1_000
    ) -> Sequence[Found]:
        """Objects whose current version carries all of `tags`, in order of bucket id and key."""
        return await tagging.find(self._context, tags, bucket=bucket, after=after, limit=limit)

    async def changes(
        self, after: str | None, *, bucket: str | None = None, prefix: str = "", limit: int = 1_000
    ) -> tuple[Sequence[Change], str]:
        """Records of this tenant after a cursor (None: the oldest retained), and the cursor to go on from."""
        return await events.changes(self._context, after, bucket=bucket, prefix=prefix, limit=limit)
