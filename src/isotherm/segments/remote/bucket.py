"""A bucket of S3, GCS, Azure or a directory, through `obstore`: the only module that talks to it.

Calls with an event loop await; without one they block (devices/waiting.py). Time-outs, retries and backoff are obstore's
own. Credentials come from its environment variables (AWS_…, GOOGLE_…, AZURE_…) or the machine's identity, never from the
URL, which is logged.

Any thread or loop of the process that opened it; the library's threads do not survive `os.fork()`, so a child is refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from isotherm.devices.fork import ForkGuard
from isotherm.errors import AlreadyExists, Corrupt, Invalid, NoSpace, NotFound, Unavailable
from isotherm.segments.port import Buffer
from isotherm.segments.remote.settings import RemoteSettings, check_url

_PAGE = 1_000
_SAID_MOST = 300
_INSTANCE_IDENTITY = "169.254.169.254"  # where the library asks for credentials when it was given none
_CONNECT_S = 5.0
_BACKOFF_FIRST_S, _BACKOFF_MOST_S = 0.05, 2.0
_RETRIES_MOST = 10
_SECONDS_MOST = 300

Span = tuple[int, int]
"""(start, length) in bytes."""


class Bucket:
    """Objects by name.

    Args:
        store: one of obstore's.
        label: what to call it in messages.

    Errors of every call: `NotFound` where the object does not exist; `Unavailable` where the store cannot be reached, is
    too slow or refuses; `ForkedHandle`.
    """

    def __init__(self, store: Any, label: str) -> None:
        import obstore

        self._obstore = obstore
        self._store = store
        self._label = label
        self._guard = ForkGuard("the connection to a bucket")

    @classmethod
    def open(cls, url: str, settings: RemoteSettings) -> Bucket:
        """The bucket and prefix of a URL. Its query sets options of obstore (region, endpoint, …), and times of its own:
        `request_s` and `retry_s`.

        Raises:
            Invalid: it is no such URL, or has an unknown option.
        """
        from obstore.exceptions import BaseError
        from obstore.store import from_url

        parts = urlsplit(check_url(url))
        plain = urlunsplit((parts.scheme, parts.netloc, parts.path, "", ""))
        config: dict[str, Any] = dict(parse_qsl(parts.query))
        request_s = _seconds(config, "request_s", settings.request_s)
        retry_s = _seconds(config, "retry_s", settings.retry_s)
        given: dict[str, Any] = {}
        if parts.scheme == "file":
            given["mkdir"] = True
        else:
            options: dict[str, Any] = {
                "timeout": timedelta(seconds=request_s),
                "connect_timeout": timedelta(seconds=min(_CONNECT_S, request_s)),
            }
            allowed = config.pop("allow_http", "").lower() in (
                "true",
                "1",
                "yes",
            )  # obstore panics over it among the others
            if allowed or config.get("endpoint", "").startswith("http://"):
                options["allow_http"] = True
            backoff = {
                "init_backoff": timedelta(seconds=_BACKOFF_FIRST_S),
                "max_backoff": timedelta(seconds=_BACKOFF_MOST_S),
            }
            given = {
                "config": config,
                "client_options": options,
                "retry_config": {
                    "max_retries": _RETRIES_MOST,
                    "retry_timeout": timedelta(seconds=retry_s),
                    "backoff": backoff,
                },
            }
        try:
            return cls(from_url(plain, **given), plain)
        except (BaseError, ValueError, TypeError) as error:
            raise Invalid(f"cannot use {plain} as a bucket: {_first_line(error)}") from error

    @property
    def label(self) -> str:
        return self._label

    def demand_usable(self, name: str) -> None:
        """Ask for an object that may be there or not, before anything rests on this bucket. Blocks.

        Raises:
            Invalid: there is no such bucket, it refuses the credentials, or there are none: no waiting mends that.
            Unavailable: it cannot be reached now.
        """
        refusals = (self._obstore.exceptions.PermissionDeniedError, self._obstore.exceptions.UnauthenticatedError)
        try:
            self.read(name, 0, 1)
        except Corrupt:
            return
        except NotFound as error:
            if "NoSuchBucket" in str(error.__cause__):
                raise Invalid(f"the bucket of {self._label} does not exist: make it first") from error
        except Unavailable as error:
            if isinstance(error.__cause__, refusals):
                raise Invalid(f"{self._label}: the bucket refuses these credentials") from error
            if _INSTANCE_IDENTITY in str(error.__cause__):
                raise Invalid(
                    f"{self._label}: there are no credentials in the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY; "
                    "files of profiles are not read), and this machine has no identity of its own"
                ) from error
            raise

    async def get(self, name: str, spans: Sequence[Span]) -> list[memoryview]:
        """Ranges of an object, each exactly as long as asked for; near ones by one request.

        Raises:
            Corrupt: the object is shorter.
        """
        starts, ends = [start for start, _ in spans], [start + length for start, length in spans]
        loop = _on_loop()
        with self._explained(name):
            if len(spans) == 1:
                one = {"start": starts[0], "end": ends[0]}
                if loop:
                    found = [await self._obstore.get_range_async(self._store, name, **one)]
                else:
                    found = [self._obstore.get_range(self._store, name, **one)]
            elif loop:
                found = await self._obstore.get_ranges_async(self._store, name, starts=starts, ends=ends)
            else:
                found = self._obstore.get_ranges(self._store, name, starts=starts, ends=ends)
        views = [memoryview(part) for part in found]
        if any(len(view) != length for view, (_, length) in zip(views, spans, strict=True)):
            raise Corrupt(f"{name} is shorter than its extent")
        return views

    def read(self, name: str, start: int, length: int) -> bytes:
        """A range of an object, cut off where it ends; blocks."""
        with self._explained(name):
            return bytes(self._obstore.get_range(self._store, name, start=start, length=length))

    def size(self, name: str) -> int:
        """Of an object, bytes; blocks."""
        with self._explained(name):
            return int(self._obstore.head(self._store, name)["size"])

    def create(self, name: str, data: Buffer) -> None:
        """Put an object that must not exist; durable on return. Blocks.

        Raises:
            AlreadyExists: there is one: another's, or this one, where an answer was lost and the request sent again.
            NoSpace: the store is full.
        """
        with self._explained(name):
            self._obstore.put(self._store, name, data, mode="create", use_multipart=False)

    def upload(self, name: str, part_bytes: int) -> Upload:
        """A large object on its way."""
        self._guard.check()
        return Upload(self, self._obstore.open_writer(self._store, name, buffer_size=part_bytes, max_concurrency=1))

    def listed(self, prefix: str) -> Iterator[list[tuple[str, int]]]:
        """Pages of (name, bytes) of the objects in a folder; blocks."""
        with self._explained(prefix):
            pages = iter(self._obstore.list(self._store, prefix, chunk_size=_PAGE))
        while True:
            with self._explained(prefix):
                page = next(pages, None)
            if page is None:
                return
            yield [(meta["path"], meta["size"]) for meta in page]

    def remove(self, names: Sequence[str]) -> None:
        """Remove objects; those that do not exist are none to remove. Blocks."""
        for start in range(0, len(names), _PAGE):
            some = list(names[start : start + _PAGE])
            try:
                with self._explained(f"{len(some)} objects"):
                    self._obstore.delete(self._store, some)
            except NotFound:
                for name in some:
                    self._remove_one(name)

    def _remove_one(self, name: str) -> None:
        with suppress(NotFound), self._explained(name):
            self._obstore.delete(self._store, name)

    @contextmanager
    def _explained(self, name: str) -> Iterator[None]:
        """Around calls of the library: its errors as this platform's."""
        self._guard.check()
        try:
            yield
        except FileNotFoundError as error:
            raise NotFound(f"{name} is not in {self._label}") from error
        except self._obstore.exceptions.AlreadyExistsError as error:
            raise AlreadyExists(f"{name} exists in {self._label}") from error
        except (self._obstore.exceptions.BaseError, OSError, ValueError) as error:
            first = _first_line(error).lower()
            if "range" in first and any(word in first for word in ("invalid", "satisf")):
                raise Corrupt(f"{name} is shorter than its extent") from error
            if "no space left" in str(error).lower():
                raise NoSpace(f"{self._label} is full") from error
            raise Unavailable(f"{self._label}: {_first_line(error)}") from error


class Upload:
    """A large object on its way: it exists from `finish` on, or never. Blocks; one user at a time."""

    def __init__(self, bucket: Bucket, writer: Any) -> None:
        self._bucket = bucket
        self._writer = writer

    def write(self, data: Buffer) -> None:
        """Raises as the calls of `Bucket`; then only `abort` makes sense."""
        with self._bucket._explained("an upload"):
            self._writer.write(data)

    def finish(self) -> None:
        """Durable on return. Raises as `write`; then whether it exists is unknown."""
        with self._bucket._explained("an upload"):
            self._writer.close()
        self._writer = None

    def abort(self) -> None:
        """Give it up; what was sent is removed, as far as the store can be reached. Never raises; idempotent."""
        writer, self._writer = self._writer, None
        if writer is not None:
            with suppress(Exception):  # what is left of it is the store's to expire
                writer.__exit__(Unavailable, None, None)


def _seconds(config: dict[str, Any], name: str, otherwise: float) -> float:
    """An option of the URL, taken out of it. Raises `Invalid`."""
    given = config.pop(name, otherwise)
    try:
        seconds = float(given)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= _SECONDS_MOST:
        raise Invalid(f"{name} in the bucket's URL is {given!r}; it must be a number of seconds up to {_SECONDS_MOST}")
    return seconds


def _on_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:_SAID_MOST] or type(error).__name__
