"""A store inside a program: what `isotherm.open` and `isotherm.open_async` return.

A store opened here works alone or beside a running server on the same directory: while a server lives, its committer
commits for this process, which then never holds the metadata's writer lock. On PostgreSQL it commits for itself.

`Store` may be used from many threads; `AsyncStore` from the coroutines of any event loop. Neither survives `os.fork()`:
a child that uses its parent's raises `ForkedHandle`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, cast

from isotherm.devices.waiting import drive
from isotherm.movers.round import RoundReport
from isotherm.objects.model import (
    Attributes,
    Body,
    Bucket,
    Change,
    Condition,
    Deleted,
    Entry,
    Found,
    Listing,
    Version,
    Versioning,
)
from isotherm.objects.read import clipped
from isotherm.segments.port import Buffer
from isotherm.settings import Settings
from isotherm.store.engines import Engines, compose

Source = Buffer | BinaryIO | Iterable[bytes]
"""What a program may put: bytes at once (whatever gives a buffer: an array too), a binary file, or pieces."""

_PIECE_BYTES = 1 << 20
_ANY = Condition()


def open(path: str | Path, *, settings: Settings | None = None) -> Store:  # noqa: A001  (the name users expect)
    """Open the store in directory `path`, making it where there is none. Blocks; use it as a context manager."""
    return Store(compose(settings or Settings(Path(path)), role="foreign"))


def open_async(path: str | Path, *, settings: Settings | None = None) -> AsyncStore:
    """As `open`, for programs with an event loop. Opening itself blocks for some milliseconds."""
    return AsyncStore(compose(settings or Settings(Path(path)), role="foreign"))


class AsyncStore:
    """The store for programs with an event loop. `space` has every operation; the methods here are the usual ones."""

    def __init__(self, engines: Engines) -> None:
        self.engines = engines
        self.space = engines.space()

    async def put(
        self,
        bucket: str,
        key: str,
        data: Buffer | Body,
        *,
        tags: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
        content_type: str | None = None,
        condition: Condition = _ANY,
    ) -> Version:
        """Durable on return, with its tags and its record in the change feed. Errors: `Space.put`."""
        attributes = _attributes(metadata, content_type)
        return await self.space.put(bucket, key, data, attributes=attributes, tags=tags or {}, condition=condition)

    async def get(
        self, bucket: str, key: str, *, offset: int = 0, length: int | None = None, version_id: str | None = None
    ) -> bytes:
        """The verified bytes of a version, or of a range of it; a range is cut off at the object's end."""
        if version_id is None:
            return await self.space.read(bucket, key, offset, length)
        with await self.space.open(bucket, key, version_id) as reading:
            return await reading.read(*clipped(reading.version.size, offset, length))

    async def iterate(self, bucket: str, prefix: str = "") -> AsyncIterator[Entry]:
        """Every key under a prefix, in order, page by page: each page is one consistent state."""
        after: str | None = ""
        while after is not None:
            page = await self.space.list(bucket, prefix=prefix, after=after)
            for entry in page.entries:
                yield entry
            after = page.next_key

    def close(self) -> None:
        self.engines.close()

    async def __aenter__(self) -> AsyncStore:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()


class Store:
    """The store inside a program. Every call returns when it is done: a write when it is durable."""

    def __init__(self, engines: Engines) -> None:
        self._async = AsyncStore(engines)
        self.engines = engines
        self.space = engines.space()
        self._rounds = engines.rounds()

    # buckets
    def create_bucket(self, name: str) -> Bucket:
        return drive(self.space.create_bucket(name))

    def delete_bucket(self, name: str) -> None:
        drive(self.space.delete_bucket(name))

    def buckets(self) -> list[Bucket]:
        return drive(self.space.buckets())

    def set_versioning(self, name: str, versioning: Versioning) -> None:
        drive(self.space.set_versioning(name, versioning))

    # objects
    def put(
        self,
        bucket: str,
        key: str,
        data: Source,
        *,
        tags: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
        content_type: str | None = None,
        condition: Condition = _ANY,
    ) -> Version:
        """Store bytes, a binary file or an iterable of pieces. Durable on return. Errors: `Space.put`."""
        whole = _whole(data)
        body = Body(_pieces(cast("BinaryIO | Iterable[bytes]", data))) if whole is None else whole
        attributes = _attributes(metadata, content_type)
        return drive(self.space.put(bucket, key, body, attributes=attributes, tags=tags or {}, condition=condition))

    def get(
        self, bucket: str, key: str, *, offset: int = 0, length: int | None = None, version_id: str | None = None
    ) -> bytes:
        """The verified bytes of a version, or of a range of it. Errors: `Space.head`, Corrupt."""
        if version_id is None:
            return drive(self.space.read(bucket, key, offset, length))
        return drive(self._async.get(bucket, key, offset=offset, length=length, version_id=version_id))

    def head(self, bucket: str, key: str, version_id: str | None = None) -> Version:
        return drive(self.space.head(bucket, key, version_id))

    def delete(self, bucket: str, key: str, version_id: str | None = None) -> Deleted:
        return drive(self.space.delete(bucket, key, version_id))

    def copy(self, source: tuple[str, str], target: tuple[str, str]) -> Version:
        """A new version of `target`, (bucket, key), that refers to the bytes of `source`."""
        return drive(self.space.copy(*source, *target))

    def list(
        self, bucket: str, *, prefix: str = "", delimiter: str = "", after: str = "", limit: int = 1_000
    ) -> Listing:
        """One page; `iterate` for all."""
        return drive(self.space.list(bucket, prefix=prefix, delimiter=delimiter, after=after, limit=limit))

    def iterate(self, bucket: str, prefix: str = "") -> Iterator[Entry]:
        """Every key under a prefix, in order."""
        after: str | None = ""
        while after is not None:
            page = drive(self.space.list(bucket, prefix=prefix, after=after))
            yield from page.entries
            after = page.next_key

    def maintain(self) -> RoundReport:
        """One bounded round of background work (`movers/round.py`), which a server does by itself.

        A program whose store no server serves calls it now and then: dead space comes back, old feed records go.
        """
        return drive(self._rounds.run())

    # tags and feed
    def tags(self, bucket: str, key: str) -> Mapping[str, str]:
        return drive(self.space.tags(bucket, key))[0]

    def set_tags(self, bucket: str, key: str, tags: Mapping[str, str], *, replace: bool = True) -> None:
        """Any number of tags, up to 4 MB a call; `replace=False` adds to what is there."""
        drive(self.space.set_tags(bucket, key, tags, replace=replace))

    def find(self, tags: Mapping[str, str], *, bucket: str | None = None, limit: int = 1_000) -> Sequence[Found]:
        """Objects whose current version carries all of `tags`."""
        return drive(self.space.find(tags, bucket=bucket, limit=limit))

    def changes(self, after: str | None = None, *, limit: int = 1_000) -> tuple[Sequence[Change], str]:
        """The change feed after a cursor (None: from the oldest record retained), and the cursor to go on from."""
        return drive(self.space.changes(after, limit=limit))

    def close(self) -> None:
        self.engines.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _attributes(metadata: Mapping[str, str] | None, content_type: str | None) -> Attributes:
    return Attributes({"content-type": content_type} if content_type else {}, metadata or {})


def _whole(data: Source) -> Buffer | None:
    """What gives a buffer, as one: an array gives its items one by one as well."""
    try:
        return data if isinstance(data, bytes) else memoryview(data)  # type: ignore[arg-type]
    except TypeError:
        return None


async def _pieces(source: BinaryIO | Iterable[bytes]) -> AsyncIterator[Buffer]:
    if isinstance(source, Iterable) and not hasattr(source, "read"):
        for piece in source:
            yield piece
        return
    while piece := source.read(_PIECE_BYTES):
        yield piece
