"""Rendering of listings: the part of LIST that costs (docs: one entry is one format operation). Pure; from any thread.

Keys of a page are looked at together: one pass in C tells whether any of them needs escaping, and mostly none does. Dates
come from a table of minutes. Whatever a page holds is one string, encoded once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import quote

from isotherm.objects.model import Algorithm, Entry, Listing
from isotherm.protocols.s3.dates import ISO_SECONDS, iso_minute
from isotherm.protocols.s3.xml import escape, needs_escape

_URL_SAFE = "/-_.~*"
_URL_PLAIN = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/-_.~*"


def quoted(key: str) -> str:
    """A key as `encoding-type=url` has it. The slash stays, the space is %20."""
    return quote(key, safe=_URL_SAFE, errors="surrogatepass")


def encoder(url: bool) -> Callable[[str], str]:
    """How keys, prefixes, delimiters and markers are written in a listing."""
    return quoted if url else escape


def _encoded(keys: list[str], url: bool) -> list[str]:
    joined = "".join(keys).encode(errors="surrogatepass")
    if url:
        return [quoted(key) for key in keys] if joined.translate(None, _URL_PLAIN) else keys
    return [escape(key) for key in keys] if needs_escape(joined) else keys


def owner_element(owner: str) -> str:
    name = escape(owner)
    return f"<Owner><ID>{name}</ID><DisplayName>{name}</DisplayName></Owner>"


def _checksum_element(algorithm: Algorithm | None, composite: bool) -> str:
    if algorithm is None:
        return ""
    kind = "COMPOSITE" if composite else "FULL_OBJECT"
    return f"<ChecksumAlgorithm>{algorithm.value}</ChecksumAlgorithm><ChecksumType>{kind}</ChecksumType>"


def contents(entries: Sequence[Entry], *, url: bool, owner: str = "") -> str:
    """The `Contents` of ListObjects and ListObjectsV2. `owner` is a rendered element or nothing."""
    keys = _encoded([entry.key for entry in entries], url)
    tail = f"{owner}<StorageClass>STANDARD</StorageClass></Contents>"
    rows = []
    seconds = ISO_SECONDS
    second_before, date = -1, ""
    algorithm_before: Algorithm | None = None
    composite_before = False
    ending = tail
    for key, entry in zip(keys, entries, strict=True):
        second = entry.modified_ms // 1000
        if second != second_before:
            second_before, date = second, iso_minute(second // 60) + seconds[second % 60]
        algorithm, composite = entry.checksum_algorithm, entry.checksum_composite
        if algorithm is not algorithm_before or composite is not composite_before:
            algorithm_before, composite_before = algorithm, composite
            ending = _checksum_element(algorithm, composite) + tail
        rows.append(
            f"<Contents><Key>{key}</Key><LastModified>{date}</LastModified>"
            f"<ETag>&quot;{entry.etag}&quot;</ETag><Size>{entry.size}</Size>{ending}"
        )
    return "".join(rows)


def versions(entries: Sequence[Entry], *, url: bool, owner: str) -> str:
    """The `Version` and `DeleteMarker` elements of ListObjectVersions, in order. `owner` is a rendered element."""
    keys = _encoded([entry.key for entry in entries], url)
    rows = []
    for key, entry in zip(keys, entries, strict=True):
        minute, second = divmod(entry.modified_ms // 1000, 60)
        start = (
            f"<Key>{key}</Key><VersionId>{entry.version_id}</VersionId>"
            f"<IsLatest>{'true' if entry.is_latest else 'false'}</IsLatest>"
            f"<LastModified>{iso_minute(minute)}{ISO_SECONDS[second]}</LastModified>"
        )
        if entry.is_marker:
            rows.append(f"<DeleteMarker>{start}{owner}</DeleteMarker>")
        else:
            checksum = _checksum_element(entry.checksum_algorithm, entry.checksum_composite)
            rows.append(
                f"<Version>{start}<ETag>&quot;{entry.etag}&quot;</ETag><Size>{entry.size}</Size>{checksum}{owner}"
                "<StorageClass>STANDARD</StorageClass></Version>"
            )
    return "".join(rows)


def common_prefixes(prefixes: Sequence[str], *, url: bool) -> str:
    """One element for each common prefix."""
    texts = _encoded(list(prefixes), url)
    return "".join([f"<CommonPrefixes><Prefix>{text}</Prefix></CommonPrefixes>" for text in texts])


def truncated(listing: Listing) -> str:
    return f"<IsTruncated>{'true' if listing.next_key is not None else 'false'}</IsTruncated>"
