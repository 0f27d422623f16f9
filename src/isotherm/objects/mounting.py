"""A tenant's own space, with buckets of others mounted in it: the one place where a request crosses from tenant to tenant.

For each name of a bucket it chooses the handle to use: the tenant's own, or one that is bound to a granted bucket and to the
grant's row (`context.Warrant`) and reaches nothing else. What was not granted is refused here, the same whether it is there or
not: writing where reading was granted, keys beyond the grant's prefix, and the bucket itself, which is its owner's. Keys are
the owner's keys, whole; of his bucket's name, tags and other buckets nothing is told.

As `Space`, from any thread of its process.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from isotherm.errors import Denied, IsothermError
from isotherm.objects.conditions import NO_CONDITION
from isotherm.objects.model import (
    PARTS_MOST,
    Algorithm,
    Attributes,
    Body,
    Bucket,
    Checksum,
    Condition,
    Deleted,
    Digests,
    Listing,
    Part,
    ReadCondition,
    Upload,
    UploadListing,
    Version,
    Versioning,
)
from isotherm.objects.names import check_limit, encode_text
from isotherm.objects.read import Reading
from isotherm.objects.space import Space
from isotherm.objects.transfer import transfer, transfer_part
from isotherm.segments.port import Buffer
from isotherm.tenancy.grant_record import Access
from isotherm.tenancy.mounts import Mount

T = TypeVar("T")

READ, WRITE = Access.READ, Access.WRITE
_NO_ATTRIBUTES = Attributes()
_NO_DIGESTS = Digests()
_NO_TAGS: Mapping[str, str] = {}


class MountingSpace(Space):
    """Args:
    own: of the tenant.
    mounts: alias → what is mounted there.
    reach: a handle bound to a granted bucket; raises where its owner is not served.
    """

    __slots__ = ("_mounts", "_own", "_reach")

    def __init__(self, own: Space, mounts: Mapping[str, Mount], reach: Callable[[Mount], Awaitable[Space]]) -> None:
        self._context = own._context
        self._own = own
        self._mounts = mounts
        self._reach = reach

    async def _at(self, bucket: str, access: Access, *keys: str) -> tuple[Space, str]:
        """The handle for a bucket, and the bucket's name there. Raises Denied for what was not granted."""
        mount = self._mounts.get(bucket)
        if mount is None:
            return self._own, bucket
        mount.demand(access, *keys)
        return await self._reach(mount), mount.grant.bucket_name

    async def _do(
        self, bucket: str, access: Access, keys: Sequence[str], act: Callable[[Space, str], Awaitable[T]]
    ) -> T:
        with _named(bucket):
            space, name = await self._at(bucket, access, *keys)
            return await act(space, name)

    def _within(self, bucket: str) -> str:
        mount = self._mounts.get(bucket)
        return mount.grant.prefix if mount is not None else ""

    # buckets ------------------------------------------------------------------------------------------------------
    def owner_of(self, name: str) -> int | None:
        mount = self._mounts.get(name)
        return mount.grant.owner if mount is not None else None

    async def delete_bucket(self, name: str) -> None:
        self.demand_own(name)
        await self._own.delete_bucket(name)

    async def set_versioning(self, name: str, versioning: Versioning) -> None:
        self.demand_own(name)
        await self._own.set_versioning(name, versioning)

    async def set_bucket_tags(self, name: str, tags: Mapping[str, str]) -> None:
        self.demand_own(name)
        await self._own.set_bucket_tags(name, tags)

    async def bucket(self, name: str) -> Bucket:
        found = await self._do(name, READ, (), lambda space, at: space.bucket(at))
        return replace(found, name=name, tags={}) if name in self._mounts else found

    async def buckets(self, *, prefix: str = "", after: str = "", limit: int = 10_000) -> list[Bucket]:
        """Own ones and aliases, in order of their names; an alias was made when its grant was."""
        encode_text(prefix), encode_text(after)
        own = await self._own.buckets(prefix=prefix, after=after, limit=limit)
        mounted = [
            Bucket(mount.grant.bucket, alias, mount.grant.created_ms, Versioning.UNVERSIONED)
            for alias, mount in self._mounts.items()
            if alias.startswith(prefix) and alias > after
        ]
        return sorted([*own, *mounted], key=lambda bucket: bucket.name)[: check_limit(limit)]

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
        def act(space: Space, at: str) -> Awaitable[Version]:
            return space.put(at, key, body, attributes=attributes, tags=tags, condition=condition, digests=digests)

        return await self._do(bucket, WRITE, (key,), act)

    async def head(self, bucket: str, key: str, version_id: str | None = None) -> Version:
        return await self._do(bucket, READ, (key,), lambda space, at: space.head(at, key, version_id))

    async def open(
        self, bucket: str, key: str, version_id: str | None = None, condition: ReadCondition | None = None
    ) -> Reading:
        return await self._do(bucket, READ, (key,), lambda space, at: space.open(at, key, version_id, condition))

    async def read(self, bucket: str, key: str, offset: int = 0, length: int | None = None) -> bytes:
        return await self._do(bucket, READ, (key,), lambda space, at: space.read(at, key, offset, length))

    async def part_range(self, bucket: str, version: Version, number: int) -> tuple[int, int]:
        keys = (version.key,)
        return await self._do(bucket, READ, keys, lambda space, at: space.part_range(at, version, number))

    async def part_list(
        self, bucket: str, version: Version, *, after: int = 0, limit: int = PARTS_MOST
    ) -> Sequence[Part]:
        def act(space: Space, at: str) -> Awaitable[Sequence[Part]]:
            return space.part_list(at, version, after=after, limit=limit)

        return await self._do(bucket, READ, (version.key,), act)

    async def delete(
        self, bucket: str, key: str, version_id: str | None = None, condition: Condition = NO_CONDITION
    ) -> Deleted:
        return await self._do(bucket, WRITE, (key,), lambda space, at: space.delete(at, key, version_id, condition))

    async def delete_many(self, bucket: str, items: Sequence[tuple[str, str | None]]) -> list[Deleted | IsothermError]:
        """A key beyond the grant's prefix is refused by itself."""
        prefix = self._within(bucket)
        granted = [item for item in items if item[0].startswith(prefix)]
        done = iter(await self._do(bucket, WRITE, (), lambda space, at: space.delete_many(at, granted)))
        return [next(done) if key.startswith(prefix) else Denied("Access Denied") for key, _ in items]

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
        """Within the tenant, or within one granted bucket, no bytes are copied; else they are."""
        with _named(source_bucket):
            reader, name = await self._at(source_bucket, READ, source_key)
        with _named(bucket):
            writer, at = await self._at(bucket, WRITE, key)
        if reader is not writer:
            with _named(source_bucket, bucket):
                return await transfer(
                    (reader, name, source_key),
                    source_version_id,
                    source_condition,
                    (writer, at, key),
                    attributes=attributes,
                    tags=tags,
                    condition=condition,
                    algorithm=algorithm,
                )
        with _named(source_bucket):
            return await writer.copy(
                name,
                source_key,
                at,
                key,
                source_version_id=source_version_id,
                source_condition=source_condition,
                attributes=attributes,
                tags=tags,
                condition=condition,
                algorithm=algorithm,
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
        within = within or self._within(bucket)

        def act(space: Space, at: str) -> Awaitable[Listing]:
            return space.list(at, prefix=prefix, delimiter=delimiter, after=after, limit=limit, within=within)

        return await self._do(bucket, READ, (), act)

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
        within = within or self._within(bucket)

        def act(space: Space, at: str) -> Awaitable[Listing]:
            return space.list_versions(
                at,
                prefix=prefix,
                delimiter=delimiter,
                after=after,
                after_version=after_version,
                limit=limit,
                within=within,
            )

        return await self._do(bucket, READ, (), act)

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
        def act(space: Space, at: str) -> Awaitable[Upload]:
            return space.create_upload(
                at, key, attributes=attributes, tags=tags, algorithm=algorithm, full_object=full_object
            )

        return await self._do(bucket, WRITE, (key,), act)

    async def upload(self, bucket: str, key: str, upload_id: str) -> Upload:
        return await self._do(bucket, WRITE, (key,), lambda space, at: space.upload(at, key, upload_id))

    async def put_part(
        self, bucket: str, key: str, upload_id: str, number: int, body: Buffer | Body, *, digests: Digests = _NO_DIGESTS
    ) -> Part:
        def act(space: Space, at: str) -> Awaitable[Part]:
            return space.put_part(at, key, upload_id, number, body, digests=digests)

        return await self._do(bucket, WRITE, (key,), act)

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
        with _named(source_bucket):
            reader, name = await self._at(source_bucket, READ, source_key)
        with _named(bucket):
            writer, at = await self._at(bucket, WRITE, key)
        with _named(source_bucket, bucket):
            return await transfer_part(
                (reader, name, source_key),
                source_version_id,
                source_condition,
                source_range,
                (writer, at, key),
                upload_id,
                number,
            )

    async def parts(
        self, bucket: str, key: str, upload_id: str, *, after: int = 0, limit: int = 1_000
    ) -> tuple[Sequence[Part], bool]:
        def act(space: Space, at: str) -> Awaitable[tuple[Sequence[Part], bool]]:
            return space.parts(at, key, upload_id, after=after, limit=limit)

        return await self._do(bucket, WRITE, (key,), act)

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
        """Uploads are begun by whoever writes: for a reader there is nothing to see."""
        within = within or self._within(bucket)

        def act(space: Space, at: str) -> Awaitable[UploadListing]:
            return space.uploads(
                at,
                prefix=prefix,
                delimiter=delimiter,
                after=after,
                after_upload=after_upload,
                limit=limit,
                within=within,
            )

        return await self._do(bucket, WRITE, (), act)

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
        def act(space: Space, at: str) -> Awaitable[Version]:
            return space.complete_upload(at, key, upload_id, parts, condition=condition, checksum=checksum, size=size)

        return await self._do(bucket, WRITE, (key,), act)

    async def abort_upload(self, bucket: str, key: str, upload_id: str) -> None:
        await self._do(bucket, WRITE, (key,), lambda space, at: space.abort_upload(at, key, upload_id))

    # tags ---------------------------------------------------------------------------------------------------------
    async def tags(self, bucket: str, key: str, version_id: str | None = None) -> tuple[Mapping[str, str], Version]:
        return await self._do(bucket, READ, (key,), lambda space, at: space.tags(at, key, version_id))

    async def set_tags(
        self,
        bucket: str,
        key: str,
        tags: Mapping[str, str],
        *,
        version_id: str | None = None,
        replace: bool = True,
    ) -> Version:
        def act(space: Space, at: str) -> Awaitable[Version]:
            return space.set_tags(at, key, tags, version_id=version_id, replace=replace)

        return await self._do(bucket, WRITE, (key,), act)


@contextmanager
def _named(*names: str) -> Iterator[None]:
    """A refusal tells the caller's name of a bucket, never its owner's; of two, that both are meant."""
    try:
        yield
    except IsothermError as error:
        if "BucketName" in error.detail:
            error.detail["BucketName"] = " or ".join(names)
        raise
