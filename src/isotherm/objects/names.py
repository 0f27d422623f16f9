"""What may be a bucket's name, an object's key, a tag, an attribute, a limit. Pure.

Sources: S3 "General purpose bucket naming rules" and "Naming Amazon S3 objects". Keys may be any UTF-8 of 1 to 1,024
bytes, `.` and `..`, `//`, zeros and control characters included: a key is an opaque string, never a path.

A program may hand in anything: what is no text is refused here, before it lies in a record that nobody can read again.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from isotherm.errors import Invalid
from isotherm.objects.model import KEY_BYTES_MOST, TAGS_BYTES_MOST, Attributes

_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9.-]{1,61})[a-z0-9]")
_ADDRESS = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}")
_TAG_BYTES_MOST = 64_000
_TAG_ROWS_BYTES = 100  # of a tag's two rows, beside the tag, which may be in both, and the object's key
_LIMIT_MOST = 1 << 40
_ROWS_BYTES_MOST = 9_500_000  # meta.port.TRANSACTION_BYTES, less what else goes into the transaction


def check_bucket(name: str) -> None:
    """Raises Invalid(InvalidBucketName)."""
    if (
        isinstance(name, str)
        and _BUCKET.fullmatch(name)
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
    except AttributeError:
        raise Invalid(f"A key is a str, not {type(key).__name__}.", code="InvalidArgument") from None
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
    if not tags:
        return 0
    total = 0
    if not isinstance(tags, Mapping):
        raise Invalid(f"Tags are a mapping of str to str, not {type(tags).__name__}.", code="InvalidTag")
    for name, value in tags.items():
        try:
            size = len(name.encode()) + len(value.encode())
        except UnicodeEncodeError:
            raise Invalid("A tag is not valid Unicode.", code="InvalidTag") from None
        except AttributeError:
            raise Invalid("A tag's key and value are str.", code="InvalidTag") from None
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


def encode_text(text: str) -> bytes:
    """The UTF-8 of a prefix, delimiter or marker. Raises Invalid(InvalidArgument)."""
    try:
        return text.encode()
    except (UnicodeEncodeError, AttributeError):
        raise Invalid("A prefix, delimiter or marker is a str of valid Unicode.", code="InvalidArgument") from None


def check_attributes(attributes: Attributes) -> None:
    """Raises Invalid(InvalidArgument) unless all names and values are text that UTF-8 can hold."""
    for pairs in (attributes.headers, attributes.metadata):
        for name, value in pairs.items():
            if not (isinstance(name, str) and isinstance(value, str)) or not (_is_unicode(name) and _is_unicode(value)):
                raise Invalid(
                    f"A header's or metadata's name and value are str of valid Unicode: {name!r} is not so.",
                    code="InvalidArgument",
                )


def _is_unicode(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_limit(limit: int) -> int:
    """`limit`, or the most that an engine takes. Raises Invalid(InvalidArgument) unless it is a number from 0 on."""
    if not isinstance(limit, int) or limit < 0:
        raise Invalid(f"A limit is a number from 0 on, not {limit!r}.", code="InvalidArgument")
    return min(limit, _LIMIT_MOST)
