"""Whose keys do not open: a bounded look at a few tenants, for a server that starts. `fsck` looks at all of them.

Coroutine; any loop. It asks the key store once for each tenant.
"""

from __future__ import annotations

from isotherm.errors import Denied
from isotherm.meta.port import Reader
from isotherm.tenancy import vault_record
from isotherm.tenancy.tree import ENDED, worst
from isotherm.tenancy.tree_reading import chain_of
from isotherm.tenancy.vault import Vault

LOOKED_MOST = 100


async def closed_keys(reader: Reader, vault: Vault) -> dict[int, str]:
    """Tenant → why its key does not open, of the first `LOOKED_MOST` that have one. Those that are being erased are not meant.

    Raises:
        Corrupt, Unsupported: a row is damaged. Unavailable: the key store cannot be reached. Misuse: it holds what is no key.
    """
    closed: dict[int, str] = {}
    for row, _ in await reader.range(*vault_record.key_rows(), LOOKED_MOST):
        tenant = vault_record.tenant_of(row)
        chain = await chain_of(reader, tenant)
        if worst(node.state for node in chain) in ENDED:
            continue
        try:
            await vault.to_read(tenant)
        except Denied as error:
            closed[tenant] = str(error)
    return closed
