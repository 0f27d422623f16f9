"""The entrance to objects: everything one tenant can do with them.

A `Space` is bound to a tenant and cannot name another. It owns nothing: engines, clock and randomness are passed in. Its
methods are coroutines which `devices.waiting.drive` can run without an event loop; each verb's semantics live in a module
of their own. Safe from any thread of the process that made the engines.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from isotherm.errors import IsothermError
from isotherm.objects.model import (
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
from isotherm.segments.port import Buffer


class Reading(Protocol):
    """An opened version. Offsets and lengths must lie within `version.size`. Close it (a context manager)."""

    version: Version

    def now(self, offset: int, length: int) -> bytes | None:
        """Verified bytes if they are in memory; None where reading would block. Up to 1 MiB."""
        ...

    async def read(self, offset: int, length: int) -> bytes: ...

    def chunks(self, offset: int, length: int) -> AsyncIterator[bytes]: ...

    def sendable(self, offset: int, length: int) -> tuple[int, int] | None:
        """(descriptor, file offset) if the range lies in one extent that was verified lately; see segments/port.py."""
        ...

    def close(self) -> None: ...


class Space(Protocol):
    # buckets ------------------------------------------------------------------------------------------------------
    async def create_bucket(self, name: str) -> Bucket:
        """AlreadyExists(BucketAlreadyOwnedByYou) when there; Invalid(InvalidBucketName)."""
        ...

    async def delete_bucket(self, name: str) -> None:
        """NotEmpty while it holds versions or markers (open uploads are aborted with it); NotFound(NoSuchBucket)."""
        ...

    async def bucket(self, name: str) -> Bucket: ...
    async def buckets(self, *, prefix: str = "", after: str = "", limit: int = 10_000) -> list[Bucket]: ...
    async def set_versioning(self, name: str, versioning: Versioning) -> None: ...
    async def set_bucket_tags(self, name: str, tags: Mapping[str, str]) -> None: ...

    # objects ------------------------------------------------------------------------------------------------------
    async def put(
        self,
        bucket: str,
        key: str,
        body: Buffer | Body,
        *,
        attributes: Attributes = ...,
        tags: Mapping[str, str] = ...,
        condition: Condition = ...,
        digests: Digests = ...,
    ) -> Version:
        """Invalid(BadDigest, KeyTooLongError, EntityTooLarge, InvalidTag), PreconditionFailed, NotFound(NoSuchBucket)."""
        ...

    async def head(self, bucket: str, key: str, version_id: str | None = None) -> Version:
        """NotFound(NoSuchBucket | NoSuchKey | NoSuchVersion).

        When the current version is a delete marker: NotFound(NoSuchKey) with detail `marker` = its version id. When
        `version_id` names a marker: Invalid(MethodNotAllowed) with the same detail and `modified_ms`.
        """
        ...

    async def open(
        self, bucket: str, key: str, version_id: str | None = None, condition: ReadCondition | None = None
    ) -> Reading:
        """As head. With a condition: PreconditionFailed(PreconditionFailed | NotModified), detail `version`."""
        ...

    async def part_range(self, version: Version, number: int) -> tuple[int, int]:
        """(offset, length) of a part of a multipart object; the whole of another for part 1; Invalid(InvalidPartNumber)."""
        ...

    async def part_list(self, version: Version) -> Sequence[Part]:
        """The parts of a multipart object; empty for another."""
        ...

    async def delete(
        self, bucket: str, key: str, version_id: str | None = None, condition: Condition = ...
    ) -> Deleted: ...

    async def delete_many(
        self, bucket: str, items: Sequence[tuple[str, str | None]]
    ) -> list[Deleted | IsothermError]: ...

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
        condition: Condition = ...,
        algorithm: Algorithm | None = None,
    ) -> Version:
        """No bytes are copied. None for attributes or tags: the source's. A copy onto itself must change something."""
        ...

    # listings -----------------------------------------------------------------------------------------------------
    async def list(
        self, bucket: str, *, prefix: str = "", delimiter: str = "", after: str = "", limit: int = 1_000
    ) -> Listing:
        """Keys and common prefixes strictly greater than `after`."""
        ...

    async def list_versions(
        self,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        after: str = "",
        after_version: str = "",
        limit: int = 1_000,
    ) -> Listing: ...

    # multipart ----------------------------------------------------------------------------------------------------
    async def create_upload(
        self,
        bucket: str,
        key: str,
        *,
        attributes: Attributes = ...,
        tags: Mapping[str, str] = ...,
        algorithm: Algorithm | None = None,
        full_object: bool = False,
    ) -> Upload: ...

    async def upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        """NotFound(NoSuchUpload)."""
        ...

    async def put_part(
        self, bucket: str, key: str, upload_id: str, number: int, body: Buffer | Body, *, digests: Digests = ...
    ) -> Part: ...

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
        ...

    async def parts(
        self, bucket: str, key: str, upload_id: str, *, after: int = 0, limit: int = 1_000
    ) -> tuple[Sequence[Part], bool]:
        """Parts with a number greater than `after`, and whether more follow."""
        ...

    async def uploads(
        self,
        bucket: str,
        *,
        prefix: str = "",
        delimiter: str = "",
        after: str = "",
        after_upload: str = "",
        limit: int = 1_000,
    ) -> UploadListing: ...

    async def complete_upload(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        parts: Sequence[tuple[int, str, Checksum | None]],
        *,
        condition: Condition = ...,
        checksum: Checksum | None = None,
        size: int | None = None,
    ) -> Version:
        """`parts`: (number, etag, checksum if given) ascending. Invalid(InvalidPart, InvalidPartOrder, EntityTooSmall)."""
        ...

    async def abort_upload(self, bucket: str, key: str, upload_id: str) -> None: ...

    # tags and feed ------------------------------------------------------------------------------------------------
    async def tags(self, bucket: str, key: str, version_id: str | None = None) -> tuple[Mapping[str, str], Version]: ...

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
        ...

    async def find(
        self, tags: Mapping[str, str], *, bucket: str | None = None, after: Found | None = None, limit: int = 1_000
    ) -> Sequence[Found]:
        """Objects whose current version carries all of `tags`, in order of bucket creation and key."""
        ...

    async def changes(
        self, after: str | None, *, bucket: str | None = None, prefix: str = "", limit: int = 1_000
    ) -> tuple[Sequence[Change], str]:
        """Records of this tenant after a cursor (None: the oldest retained), and the cursor to go on from."""
        ...
