"""What may be a bucket's name, an object's key, a tag. Pure.

Sources: S3 "General purpose bucket naming rules" and "Naming Amazon S3 objects". Keys may be any UTF-8 of 1 to 1,024
bytes, `.` and `..`, `//`, zeros and control characters included: a key is an opaque string, never a path.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from isotherm.errors import Invalid
from isotherm.objects.model import KEY_BYTES_MOST, TAGS_BYTES_MOST

_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9.-]{1,61})[a-z0-9]")
_ADDRESS = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}")
_TAG_BYTES_MOST = 64_000
_TAG_ROWS_BYTES = 100  # of a tag's two rows, beside the tag, which may be in both, and the object's key
_ROWS_BYTES_MOST = 9_500_000  # meta.port.TRANSACTION_BYTES, less what else goes into the transaction


def check_bucket(name: str) -> None:
    """Raises Invalid(InvalidBucketName)."""
    if (
        _BUCKET.fullmatch(name)
        and not any(pair in name for pair in ("..", ".-", "-."))  # a bucket may become a host name
        and not _ADDRESS.fullmatch(name)
        and not name.startswith(("xn--", "sthree-"))
        and not name.endswith(("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3"))
    ):
        return
    raise Invalid("The specified bucket is not valid.", code="InvalidBucketName", BucketName=name)


def encode_key(key: str) -> bytes:
    """The key's UTF-8. Raises Invalid(KeyTooLongError | InvalidURI | InvalidArgument)."""
    try:
        raw = key.encode()
    except UnicodeEncodeError:
        raise Invalid("The key is not valid Unicode.", code="InvalidURI") from None
    if len(raw) > KEY_BYTES_MOST:
        raise Invalid("Your key is too long.", code="KeyTooLongError", MaxSizeAllowed=KEY_BYTES_MOST, Size=len(raw))
    if not raw:
        raise Invalid("A key has at least one byte.", code="InvalidArgument")
    return raw


def check_tags(tags: Mapping[str, str], raw_key: bytes = b"") -> int:
    """The bytes of all keys and values. Raises Invalid(InvalidTag | EntityTooLarge).

    Args:
        raw_key: of the object they are for: each tag has an index row that names it, and all go into one transaction.
    """
    total = 0
    for name, value in tags.items():
        try:
            size = len(name.encode()) + len(value.encode())
        except UnicodeEncodeError:
            raise Invalid("A tag is not valid Unicode.", code="InvalidTag") from None
        if not name:
            raise Invalid("A tag's key has at least one character.", code="InvalidTag")
        if size > _TAG_BYTES_MOST:
            raise Invalid(f"A tag has at most {_TAG_BYTES_MOST} bytes.", code="InvalidTag")
        total += size
    if total > TAGS_BYTES_MOST:
        raise Invalid(f"One call takes at most {TAGS_BYTES_MOST} bytes of tags.", code="EntityTooLarge")
    rows = 2 * total + len(tags) * (_TAG_ROWS_BYTES + len(raw_key) + raw_key.count(0))
    if raw_key and rows > _ROWS_BYTES_MOST and len(tags) > 1:
        raise Invalid(
            f"With their index, {len(tags)} tags of this object are too much for one call: set them in several.",
            code="EntityTooLarge",
        )
    return total
