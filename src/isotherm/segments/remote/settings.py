"""What an operator may set about segments in a bucket. Frozen; passed in at construction."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from isotherm.errors import Invalid

SCHEMES = ("s3", "s3a", "gs", "az", "azure", "abfs", "abfss", "file")
_SECRET = ("secret", "token", "password", "sas", "credential", "access_key", "account_key", "service_account")


@dataclass(frozen=True, slots=True)
class RemoteSettings:
    """Sizes in bytes, times in seconds.

    Args:
        inline_bytes: payloads of `append` up to this lie in the metadata.
        append_bytes_most: longest payload of `append`.
        extent_bytes_most: where a stream cuts its payload into extents; it holds one of them in memory.
        segment_bytes: a stream goes on in another object from here on.
        part_bytes: of a multipart upload. A stream holds up to two: one being filled, one on its way.
        group_bytes: appends that arrive together share an object of about this much.
        linger_s: how long the first of them waits for others.
        uploads: objects of appends on their way at once, per media class; streams that write at once.
        read_bytes: of a long range this much is asked for at once, and as much again ahead of the reader.
        cache_bytes: memory for extents of one block, so that they need not be fetched again.
        known_bytes: memory for block checksums of longer ones.
        grace_s: what nothing refers to any more is kept this long for those who may still be reading it.
        inline_grace_s: the same for payloads in the metadata, which are read in one go.
        lease_s: a mover that has shown no life for so long has lost its work to another.
        abandoned_s: an object under way for so long has been left by a process that died.
        stranger_s: objects that the metadata does not know are removed when a mover has seen them for so long.
        survey_s: how often a mover looks for both.
        request_s, retry_s: time-out of one request, and how long failing ones are tried again.
    """

    inline_bytes: int = 16 << 10
    append_bytes_most: int = 4 << 20
    extent_bytes_most: int = 2 << 20
    segment_bytes: int = 256 << 20
    part_bytes: int = 5 << 20
    group_bytes: int = 8 << 20
    linger_s: float = 0.002
    uploads: int = 8
    read_bytes: int = 2 << 20
    cache_bytes: int = 64 << 20
    known_bytes: int = 32 << 20
    grace_s: float = 600.0
    inline_grace_s: float = 60.0
    lease_s: float = 30.0
    abandoned_s: float = 21_600.0
    stranger_s: float = 86_400.0
    survey_s: float = 600.0
    request_s: float = 30.0
    retry_s: float = 10.0


def check_url(url: str) -> str:
    """The same URL, if it names a store and tells no secret.

    Raises:
        Invalid: it does not, or it does.
    """
    parts = urlsplit(url)
    options = [(name.lower(), value) for name, value in parse_qsl(parts.query)]
    secret = any("@" in value or any(word in name for word in _SECRET) for name, value in options)
    if parts.username or parts.password or secret:
        raise Invalid("a bucket's URL holds no secrets: give credentials in the environment (AWS_ACCESS_KEY_ID, …)")
    if parts.scheme not in SCHEMES or (parts.scheme != "file" and not parts.netloc):
        raise Invalid(f"{url!r} is no bucket: give s3://bucket/prefix, gs://…, az://… or file:///directory")
    return url
