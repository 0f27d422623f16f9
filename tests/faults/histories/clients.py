"""Clients that carry out the requests of a history and tell how they were answered.

`S3Client` speaks to whichever gateway accepts its connection; `EmbeddedClient` opens the directory beside the server. Each is
used by one thread. None of them tries anything again: an outcome that is not known is None.
"""

from __future__ import annotations

import hashlib
import re
import time
from base64 import b64encode
from contextlib import suppress
from html import unescape

from awscrt.checksums import crc32c

from isotherm.devices.waiting import drive
from isotherm.errors import Invalid, NotFound, PreconditionFailed, Retry
from isotherm.objects.model import Condition, ReadCondition
from isotherm.testing.object_histories import (
    Cut,
    Delete,
    DeleteMany,
    Done,
    Found,
    Get,
    List,
    Listed,
    Missing,
    Put,
    Refused,
    Unchanged,
)
from tests.faults.histories.wire import Connection, Lost

CONNECTING_S = 240.0
_ROW = re.compile(r"<(Contents|Version|DeleteMarker)>(.*?)</\1>", re.DOTALL)
_FIELD = re.compile(r"<(Key|ETag|VersionId)>(.*?)</\1>")
_DELETED = re.compile(r"<Deleted>(.*?)</Deleted>", re.DOTALL)


class Torn(AssertionError):
    """Bytes that nobody wrote under their etag, or a reply that S3 has no place for."""


def etag_of(body, multipart=False):
    digest = hashlib.md5(body)
    return f"{hashlib.md5(digest.digest()).hexdigest()}-1" if multipart else digest.hexdigest()


class S3Client:
    """Args: `find` gives (url, credential) of the server now, or raises while there is none."""

    def __init__(self, find, bucket, bodies, *, patience_s):
        self.find = find
        self.bucket = bucket
        self.bodies = bodies
        self.patience_s = patience_s
        self.gateway = ""
        self.connection = None

    def connect(self):
        """Be connected, however long the server takes to be there."""
        end = time.monotonic() + CONNECTING_S
        while self.connection is None or self.connection.closed:
            try:
                self.connection = Connection(*self.find(), self.patience_s)
            except Exception:
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)

    def prepare(self, request):
        """What has to be there before the call begins; the method, target, headers and body of the call itself."""
        self.connect()
        if not (isinstance(request, Put) and request.multipart):
            return getattr(self, "_" + type(request).__name__.lower())(request)
        path = f"/{self.bucket}/{request.key}"
        begun = self.ask("POST", f"{path}?uploads=")
        upload = re.search(rb"<UploadId>(.*?)</UploadId>", begun.body)[1].decode()
        part = self.ask("PUT", f"{path}?partNumber=1&uploadId={upload}", {}, self.bodies[request.value])
        named = f"<Part><PartNumber>1</PartNumber><ETag>{part.headers['etag']}</ETag></Part>"
        document = f"<CompleteMultipartUpload>{named}</CompleteMultipartUpload>"
        return "POST", f"{path}?uploadId={upload}", _conditions(request), document.encode()

    def ask(self, method, target, headers=None, body=b""):
        reply = self.connection.ask(method, target, headers, body)
        if reply.status != 200:
            raise Lost(f"{reply.status} before the call")
        return reply

    def perform(self, request, prepared):
        """The answer, or None. Raises Torn."""
        method = prepared[0]
        try:
            reply = self.connection.ask(*prepared)
        except Lost:
            return None
        self.gateway = reply.headers["x-amz-id-2"]
        match reply.status:
            case 404:
                marker = reply.headers.get("x-amz-version-id")
                return Missing(marker if isinstance(request, Get) and request.version is None else None)
            case 405 if isinstance(request, Get) and request.version is not None:
                return Missing(request.version)
            case 412:
                return Refused()
            case 304:
                return Unchanged()
            case 200 | 204:
                return self.understand(request, method, reply)
            case 500 | 503:
                return None
            case _:
                raise Torn(f"{request} was answered {reply.status} {reply.body!r}")

    def understand(self, request, method, reply):
        version = reply.headers.get("x-amz-version-id")
        if isinstance(request, Get):
            value = reply.headers["etag"].strip('"')
            if method == "GET" and value in self.bodies and self.bodies[value] != reply.body:
                raise Torn(f"{request}: {len(reply.body)} bytes that are not of {value}")
            return Found(value, version)
        if isinstance(request, List):
            return _listed(reply.body.decode(), request.versions)
        if isinstance(request, DeleteMany):
            markers = re.findall(r"<DeleteMarkerVersionId>(.*?)</DeleteMarkerVersionId>", reply.body.decode())
            if len(_DELETED.findall(reply.body.decode())) != len(request.keys):
                raise Torn(f"{request} was answered {reply.body!r}")
            return Done(tuple(markers))
        if reply.status == 200 and b"<Error>" in reply.body:
            raise Torn(f"{request} was answered {reply.body!r}")
        made = () if isinstance(request, Delete) and request.version is not None else (version,)
        return Done(tuple(each for each in made if each is not None))

    def cut(self, prepared, part):
        """Send it, or `part` bytes of its body, and cut the connection: what then is known of it."""
        self.connection.send_and_cut(*prepared, part)
        return None if part is None else Cut()

    def recover(self):
        """After an outcome that is not known: wait until requests are answered again."""
        self.be_patient(CONNECTING_S)
        end = time.monotonic() + CONNECTING_S
        while time.monotonic() < end:
            self.connect()
            with suppress(Lost):
                if self.connection.ask("HEAD", f"/{self.bucket}").status == 200:
                    return
            time.sleep(0.01)
        raise Torn("no request is answered any more")

    def be_patient(self, seconds):
        """Give up what has not been answered after so long."""
        self.patience_s = seconds
        if self.connection is not None and not self.connection.closed:
            self.connection.socket.settimeout(seconds)

    def close(self):
        if self.connection is not None:
            self.connection.close()

    def _put(self, request):
        return "PUT", f"/{self.bucket}/{request.key}", _conditions(request), self.bodies[request.value]

    def _copy(self, request):
        headers = {"x-amz-copy-source": f"/{self.bucket}/{request.source}", **_conditions(request)}
        if request.source_match is not None:
            headers["x-amz-copy-source-if-match"] = f'"{request.source_match}"'
        return "PUT", f"/{self.bucket}/{request.key}", headers, b""

    def _get(self, request):
        query = f"?versionId={request.version}" if request.version else ""
        return "HEAD" if request.head else "GET", f"/{self.bucket}/{request.key}{query}", _conditions(request), b""

    def _delete(self, request):
        query = f"?versionId={request.version}" if request.version else ""
        return "DELETE", f"/{self.bucket}/{request.key}{query}", _conditions(request), b""

    def _deletemany(self, request):
        objects = "".join(f"<Object><Key>{key}</Key></Object>" for key in request.keys)
        document = f"<Delete>{objects}</Delete>".encode()
        return "POST", f"/{self.bucket}?delete=", {"x-amz-checksum-crc32c": _crc32c(document)}, document

    def _list(self, request):
        prefix = request.keys[0].rpartition("/")[0] + "%2F"
        query = f"prefix={prefix}&versions=" if request.versions else f"list-type=2&prefix={prefix}"
        return "GET", f"/{self.bucket}?{query}", {}, b""


def _conditions(request):
    if_match, if_none_match = getattr(request, "if_match", None), getattr(request, "if_none_match", None)
    headers = {"if-match": f'"{if_match}"'} if if_match is not None else {}
    if if_none_match is not None:
        headers["if-none-match"] = "*" if if_none_match == "*" else f'"{if_none_match}"'
    return headers


def _crc32c(data):
    return b64encode(crc32c(data).to_bytes(4, "big")).decode()


def _listed(document, versions):
    entries = []
    if "<IsTruncated>true" in document:
        raise Torn(f"a page that should be whole: {document}")
    for kind, row in _ROW.findall(document):
        fields = {name: unescape(text).strip('"') for name, text in _FIELD.findall(row)}
        value = "" if kind == "DeleteMarker" else fields["ETag"]
        entries.append((fields["Key"], value, fields["VersionId"] if versions else None))
    return Listed(tuple(entries))


class EmbeddedClient:
    """A program that opened the directory itself: what it writes is committed by the server's committer while there is one."""

    gateway = "embedded"
    patience_s = None

    def be_patient(self, seconds):
        """It waits for as long as the store does."""

    def __init__(self, space, bucket, bodies):
        self.space = space
        self.bucket = bucket
        self.bodies = bodies

    def prepare(self, request):
        """The coroutine function that the call itself is."""
        if not (isinstance(request, Put) and request.multipart):
            return getattr(self, "_" + type(request).__name__.lower())
        try:
            upload = drive(self.space.create_upload(self.bucket, request.key)).id
            part = drive(self.space.put_part(self.bucket, request.key, upload, 1, self.bodies[request.value]))
        except Retry as error:
            raise Lost(str(error)) from error

        async def complete(request):
            named = [(1, part.etag, None)]
            made = self.space.complete_upload(self.bucket, request.key, upload, named, condition=_condition(request))
            return _made((await made).version_id)

        return complete

    def recover(self):
        """As S3Client.recover."""
        end = time.monotonic() + CONNECTING_S
        while time.monotonic() < end:
            with suppress(Retry):
                drive(self.space.bucket(self.bucket))
                return
            time.sleep(0.01)
        raise Torn("no request is answered any more")

    def perform(self, request, prepared):
        try:
            return drive(prepared(request))
        except PreconditionFailed as error:
            return Unchanged() if error.code == "NotModified" else Refused()
        except NotFound as error:
            marker = error.detail.get("marker")
            return Missing(marker if isinstance(request, Get) and request.version is None else None)
        except Invalid as error:
            if error.code != "MethodNotAllowed":
                raise
            return Missing(request.version)
        except Retry:
            return None

    async def _put(self, request):
        body = self.bodies[request.value]
        made = await self.space.put(self.bucket, request.key, body, condition=_condition(request))
        return _made(made.version_id)

    async def _copy(self, request):
        source = ReadCondition(if_match=(request.source_match,) if request.source_match is not None else ())
        made = await self.space.copy(
            self.bucket,
            request.source,
            self.bucket,
            request.key,
            source_condition=source,
            condition=_condition(request),
        )
        return _made(made.version_id)

    async def _get(self, request):
        condition = ReadCondition(if_none_match=(request.if_none_match,) if request.if_none_match is not None else ())
        with await self.space.open(self.bucket, request.key, request.version, condition) as reading:
            version = reading.version
            data = self.bodies.get(version.etag) if request.head else await reading.read(0, version.size)
        if self.bodies.get(version.etag, data) != data:
            raise Torn(f"{request}: {len(data)} bytes that are not of {version.etag}")
        return Found(version.etag, None if version.version_id == "null" else version.version_id)

    async def _delete(self, request):
        gone = await self.space.delete(self.bucket, request.key, request.version, condition=_condition(request))
        return _made(None if request.version is not None else gone.version_id)

    async def _deletemany(self, request):
        gone = await self.space.delete_many(self.bucket, [(key, None) for key in request.keys])
        markers = [each.version_id for each in gone]
        return Done(tuple(marker for marker in markers if marker is not None))

    async def _list(self, request):
        prefix = request.keys[0].rpartition("/")[0] + "/"
        if not request.versions:
            page = await self.space.list(self.bucket, prefix=prefix)
            return Listed(tuple((entry.key, entry.etag, None) for entry in page.entries))
        page = await self.space.list_versions(self.bucket, prefix=prefix)
        rows = [(row.key, "" if row.is_marker else row.etag, row.version_id) for row in page.entries]
        return Listed(tuple(rows))


def _condition(request):
    return Condition(if_match=request.if_match, if_none_match=getattr(request, "if_none_match", None))


def _made(version_id):
    return Done(() if version_id in ("null", None) else (version_id,))
