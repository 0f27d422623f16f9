"""From settings to the key store that they name; see tenancy/keystore/.

`--keystore` is a URL: `file:///DIR` for a directory that several nodes share, and several stores may, each
below its id; `aws-kms:` for the AWS KMS API. Without one the
secrets of tenants lie in the data directory.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from isotherm.devices.directory import DataDirectory
from isotherm.errors import Invalid
from isotherm.ids import Ids
from isotherm.settings import Settings
from isotherm.tenancy.keystore import FileKeys, KeyStore

_UNSHARED = (
    "several nodes may serve a store with its metadata in PostgreSQL and its data in a bucket, and a tenant's key that lies in the "
    "data directory of one would be missing on the others. Name a key store that all of them reach: --keystore file:///DIR or "
    "aws-kms:, or ISOTHERM_KEYSTORE"
)


def open_keystore(settings: Settings, directory: DataDirectory, ids: Ids) -> KeyStore:
    """The key store of a store, whose directory has been claimed. Nothing is reached, read or made yet.

    Raises:
        Invalid: the URL names none. Unsupported: its library is not installed.
    """
    own = directory.keys
    if not settings.keystore:
        shared = settings.meta_kind == "postgresql" and bool(settings.bucket)
        return FileKeys(own, ids, settings.root_key, refusal=_UNSHARED if shared else "")
    url = urlsplit(settings.keystore)
    if url.scheme == "file" and not url.netloc and url.path.startswith("/"):
        return FileKeys(own, ids, settings.root_key, Path(unquote(url.path)) / directory.store_id)
    if url.scheme == "aws-kms" and not url.netloc and not url.path:
        options = dict(parse_qsl(url.query))
        if options.keys() <= {"region", "endpoint"}:
            from isotherm.tenancy.keystore.aws import AwsKeys

            return AwsKeys(FileKeys(own, ids, settings.root_key), directory.store_id, **options)
    raise Invalid(f"--keystore is {settings.keystore!r}; it must be file:///DIR or aws-kms:[?region=…&endpoint=…]")
