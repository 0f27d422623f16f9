"""What a verb of the S3 protocol receives and gives back: the seam between the connection and the verbs.

The connection (connection.py and what it uses) parses, authenticates, limits and sends; verbs translate between S3's
words and `objects.Space`. Neither knows the other's inside.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import msgspec

from isotherm.objects.model import Body
from isotherm.objects.read import Reading
from isotherm.objects.space import Space


class Request(msgspec.Struct):
    """An authenticated request.

    `path` is the percent-decoded path (without a virtual host's bucket), `bucket` and `key` are "" where there is none.
    `query` maps decoded names to decoded values ("" for a bare name); repeated names keep the first value. `headers`
    maps lower-case names to values; repeated names are joined with ",". `body` is already freed of aws-chunked framing;
    `trailers` is filled when it has ended. `space` is the authenticated tenant's, `owner` its name, which S3 calls the owner's id.
    Header values are decoded as ISO 8859-1, byte for byte; those of a `Reply` are encoded so. `operation` is the router's to
    set, before anything else: S3's name of the call ("GetObject"), for counters and the access log.
    """

    id: str
    method: str
    path: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Body
    trailers: dict[str, str]
    space: Space
    access_key: str
    region: str
    owner: str = ""
    operation: str = ""


def bucket_owner(request: Request, bucket: str) -> str:
    """The name of whoever owns a bucket: the caller, or who has granted it to him."""
    granted_by = request.space.owner_of(bucket)
    return request.owner if granted_by is None else str(granted_by)


class Ranged(msgspec.Struct):
    """A part of an opened version to send; the connection closes the reading."""

    reading: Reading
    offset: int
    length: int


class Reply(msgspec.Struct):
    """`body` is whole bytes, a range of an object, or an iterator of pieces (sent chunked).

    Date, Server, Content-Length, x-amz-request-id, x-amz-id-2 and Connection are the connection's to add; for HEAD it
    sends no body but the Content-Length of it: `length` where the body is not given. `code` is the S3 error code of an
    error reply, for the access log. `lines` are header lines rendered already, of values that cannot hold the end of a line.
    """

    status: int = 200
    headers: list[tuple[str, str]] = []
    body: bytes | Ranged | AsyncIterator[bytes] = b""
    length: int | None = None
    code: str = ""
    lines: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What an error reply may tell of its request; "" for what was not known when it was refused.

    `id` and `host_id` are the values of x-amz-request-id and x-amz-id-2; `path` is the raw path as it was sent.
    """

    id: str
    host_id: str
    method: str = ""
    path: str = ""
    bucket: str = ""
    key: str = ""
