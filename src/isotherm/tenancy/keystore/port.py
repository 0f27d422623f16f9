"""The key-store port: the root key, and a secret of each tenant that has sealed something.

A tenant's secret, with the key of the node above it, opens the tenant's own key (vault.py): destroying the secret makes all
that was sealed for the tenant, and for every tenant below it, unreadable for good. So a key store lies outside `meta` and
outside every backup, and what it destroyed it never gives again. Ids of tenants are never used twice.

Safe from any thread and process. Secrets never appear in errors or logs.
"""

from __future__ import annotations

from typing import Protocol

KEY_BYTES = 32
ROOT = "root"


class KeyStore(Protocol):
    """Errors of every call: `Unavailable` where the store cannot be reached or read; `Denied` where it refuses this
    program, or others could read what it holds; `Misuse` where what is there is not a key."""

    @property
    def remains(self) -> str:
        """What may be left of a secret that was destroyed, as a sentence for a person: no engine claims more than it does."""
        ...

    def key(self, name: str) -> bytes:
        """The 32 bytes of the key `name` of the store itself, made when first asked for. Blocks."""
        ...

    def present(self, name: str) -> bytes | None:
        """As `key`, and None where it has not been made. Blocks."""
        ...

    def remedy(self, of: int | str) -> str:
        """What a person does to put the secret of a tenant back, or the key of that name: words that follow "to mend it,"."""
        ...

    async def secret(self, tenant: int) -> bytes | None:
        """The 32 bytes of a tenant's own secret; None where none was made, or it was destroyed."""
        ...

    async def make(self, tenant: int) -> bytes:
        """A tenant's secret, made and durable on return where there was none; of two who race both get the same."""
        ...

    async def destroy(self, tenant: int) -> bool:
        """See to it that `secret` gives a tenant's secret no more, durably; whether there was one. Again does no harm.

        Processes that have read it may remember it for as long as the vault says (`vault.KEPT_S`).
        """
        ...
