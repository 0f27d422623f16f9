"""COPY between handles that share no rows: the bytes are read through one and written through the other.

What one tenant stores is its own, bytes and keys included, so that nothing of one refers to another's. As on S3, a copy takes up to
5 GiB; parts of an upload may be copied from larger objects. Coroutines, as those of `Space`.
"""

from __future__ import annotations

from collections.abc import Mapping

from isotherm.errors import Conflicted, Invalid
from isotherm.objects.locate import naming_source
from isotherm.objects.model import (
    PART_BYTES_MOST,
    Algorithm,
    Attributes,
    Body,
    Condition,
    Digests,
    Part,
    ReadCondition,
    Version,
)
from isotherm.objects.space import Space

Place = tuple[Space, str, str]
"""(handle, bucket, key)"""


async def transfer(
    source: Place,
    version_id: str | None,
    source_condition: ReadCondition | None,
    target: Place,
    *,
    attributes: Attributes | None,
    tags: Mapping[str, str] | None,
    condition: Condition,
    algorithm: Algorithm | None,
) -> Version:
    """As `Space.copy`. Raises Conflicted where the source was replaced while its tags were read, Invalid beyond 5 GiB."""
    reader, bucket, key = source
    writer, to_bucket, to_key = target
    with naming_source():
        opened = await reader.open(bucket, key, version_id, source_condition)
    with opened as reading:
        version = reading.version
        if version.size > PART_BYTES_MOST:
            raise Invalid(
                "The specified copy source is larger than the maximum allowable size for a copy source: "
                f"{PART_BYTES_MOST}",
                code="InvalidRequest",
            )
        if tags is None:
            tags, tagged = await reader.tags(bucket, key, version_id)
            if tagged.stamp != version.stamp:
                raise Conflicted("The source changed while it was copied; try again.")
        return await writer.put(
            to_bucket,
            to_key,
            Body(reading.chunks(0, version.size), version.size),
            attributes=attributes if attributes is not None else version.attributes,
            tags=tags,
            condition=condition,
            digests=_digests(version, algorithm),
        )


async def transfer_part(
    source: Place,
    version_id: str | None,
    source_condition: ReadCondition | None,
    source_range: tuple[int, int] | None,
    target: Place,
    upload_id: str,
    number: int,
) -> tuple[Part, Version]:
    """As `Space.copy_part`."""
    reader, bucket, key = source
    writer, to_bucket, to_key = target
    with naming_source():
        opened = await reader.open(bucket, key, version_id, source_condition)
    with opened as reading:
        offset, length = source_range or (0, reading.version.size)
        if offset < 0 or length < 0 or offset + length > reading.version.size:
            raise Invalid("The requested range is not satisfiable", code="InvalidRange")
        body = Body(reading.chunks(offset, length), length)
        return await writer.put_part(to_bucket, to_key, upload_id, number, body), reading.version


def _digests(version: Version, algorithm: Algorithm | None) -> Digests:
    """The checksum to compute: the one asked for, else the source's kind. Where the source has the same of the whole, they must agree."""
    known = version.checksum
    wanted = algorithm or (known.algorithm if known is not None else None)
    same = known is not None and known.algorithm is wanted and not known.parts
    return Digests(algorithm=wanted, value=known.value if known is not None and same else None)
