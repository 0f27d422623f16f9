"""Tenants' secrets in the AWS KMS: the key store of several nodes.

A tenant has an HMAC key of its own in the KMS (HMAC_256), under the alias `alias/isotherm/<store>/<tenant>`; its secret is the
MAC of a fixed message (GenerateMac). Nothing of it is stored anywhere else, so that nothing can be kept back: who may not use
the key any more has no secret. See adr/0036.

Destroying disables the key, which ends its use at once, removes the alias, and schedules the key's deletion: the KMS deletes it
seven days later at the earliest. The root key stays a file.

Calls go over the network, off the event loop. Any thread. Credentials and region come from where boto3 looks for them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from isotherm.devices.waiting import offload
from isotherm.errors import Denied, Invalid, Misuse, Unavailable, Unsupported
from isotherm.tenancy.keystore.files import FileKeys
from isotherm.tenancy.keystore.port import KEY_BYTES

PENDING_DAYS = 7
"""The shortest time after which the KMS deletes a key."""

_GONE = frozenset(("NotFoundException", "DisabledException", "KMSInvalidStateException"))
_REFUSED = frozenset(
    (
        "AccessDeniedException",
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "IncompleteSignature",
        "ExpiredTokenException",
    )
)
_MESSAGE = b"isotherm tenant secret 1"
_ALGORITHM = "HMAC_SHA_256"
_CONNECT_S, _READ_S = 4, 8

_REMAINS = (
    f"The KMS key of the secret has been disabled and is to be deleted after {PENDING_DAYS} days, the shortest time that the KMS "
    "allows. Until then whoever administers the KMS could enable it again."
)


class AwsKeys:
    """See the module and `KeyStore`.

    Args:
        root: holds the root key.
        store: id of the store, by which its keys are told from others'.
        region, endpoint: empty: as boto3 finds them.
    """

    __slots__ = ("_client", "_errors", "_root", "_store")

    def __init__(self, root: FileKeys, store: str, *, region: str = "", endpoint: str = "") -> None:
        """Raises Unsupported where boto3 is not installed; Invalid where it finds no region."""
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError, ClientError
        except ImportError as error:
            raise Unsupported(f"the AWS KMS needs boto3 ({error}). Run: pip install 'isotherm[kms]'") from error
        config = Config(
            connect_timeout=_CONNECT_S, read_timeout=_READ_S, retries={"total_max_attempts": 4, "mode": "standard"}
        )
        self._errors = (ClientError, BotoCoreError)
        try:
            self._client: Any = boto3.client(
                "kms", region_name=region or None, endpoint_url=endpoint or None, config=config
            )
        except (BotoCoreError, ValueError) as error:
            raise Invalid(f"--keystore aws-kms: {error}") from error
        self._root = root
        self._store = store

    @property
    def remains(self) -> str:
        return _REMAINS

    def key(self, name: str) -> bytes:
        return self._root.key(name)

    def present(self, name: str) -> bytes | None:
        return self._root.present(name)

    def remedy(self, of: int | str) -> str:
        if isinstance(of, str):
            return self._root.remedy(of)
        return f"name the account, region and endpoint where {self._alias(of)} lies, and see that its key is enabled"

    async def secret(self, tenant: int) -> bytes | None:
        return await offload(self._secret, tenant)

    async def make(self, tenant: int) -> bytes:
        return await offload(self._make, tenant)

    async def destroy(self, tenant: int) -> bool:
        return await offload(self._destroy, tenant)

    def _alias(self, tenant: int) -> str:
        return f"alias/isotherm/{self._store}/{tenant}"

    def _secret(self, tenant: int) -> bytes | None:
        message = b"%b %d" % (_MESSAGE, tenant)
        with self._explained() as gone:
            answer = self._client.generate_mac(KeyId=self._alias(tenant), Message=message, MacAlgorithm=_ALGORITHM)
        if gone:
            return None
        secret: bytes = answer["Mac"]
        if len(secret) != KEY_BYTES:
            raise Misuse(f"the KMS gave {len(secret)} bytes for the key of tenant {tenant}; a key has {KEY_BYTES}")
        return secret

    def _make(self, tenant: int) -> bytes:
        alias = self._alias(tenant)
        if self._key_id(tenant) is None:
            tags = [{"TagKey": "isotherm-store", "TagValue": self._store}]
            tags.append({"TagKey": "isotherm-tenant", "TagValue": str(tenant)})
            with self._explained():
                made = self._client.create_key(
                    KeyUsage="GENERATE_VERIFY_MAC", KeySpec="HMAC_256", Description=alias, Tags=tags
                )
            key_id = made["KeyMetadata"]["KeyId"]
            with self._explained("AlreadyExistsException") as rival:
                self._client.create_alias(AliasName=alias, TargetKeyId=key_id)
            if rival:
                self._condemn(key_id)
        secret = self._secret(tenant)
        if secret is None:
            raise Unavailable(f"the KMS does not know the key of tenant {tenant} yet, or it has been disabled")
        return secret

    def _destroy(self, tenant: int) -> bool:
        key_id = self._key_id(tenant)
        if key_id is None:
            return False
        self._condemn(key_id)
        with self._explained():
            self._client.delete_alias(AliasName=self._alias(tenant))
        return True

    def _key_id(self, tenant: int) -> str | None:
        with self._explained() as gone:
            found = self._client.describe_key(KeyId=self._alias(tenant))
        return None if gone else found["KeyMetadata"]["KeyId"]

    def _condemn(self, key_id: str) -> None:
        """Again does no harm: one that waits for its deletion is in a state that allows neither."""
        with self._explained():
            self._client.disable_key(KeyId=key_id)
        with self._explained():
            self._client.schedule_key_deletion(KeyId=key_id, PendingWindowInDays=PENDING_DAYS)

    @contextmanager
    def _explained(self, *expected: str) -> Iterator[list[str]]:
        """Around a call: what the KMS answers as this platform's errors. Codes that say that a key is gone or cannot be used, and
        `expected` ones, raise nothing and are put into the list."""
        told: list[str] = []
        try:
            yield told
        except self._errors as error:
            answer = getattr(error, "response", {}).get("Error", {})
            code = answer.get("Code", type(error).__name__)
            if code in _GONE or code in expected:
                told.append(code)
                return
            said = f"the KMS: {code}: {answer.get('Message', error)}"
            raise (Denied if code in _REFUSED else Unavailable)(said) from error
