"""How the credentials of a tenant are erased: each with its row, which holds the sealed secret, and its place in the index.

Credentials that were revoked before stand in no index; movers/erasure/leftovers.py looks for them among all.
"""

from __future__ import annotations

from isotherm.errors import Corrupt, Unsupported
from isotherm.meta.port import Transaction
from isotherm.segments.port import Segments
from isotherm.tenancy import credential_record, tree_record
from isotherm.tenancy.erasure.eraser import UNREADABLE, Eraser, Freed
from isotherm.tenancy.generation import changed

CREDENTIALS = "credentials"


async def _free(txn: Transaction, segments: Segments, tenant: int, row: bytes, value: bytes) -> Freed:
    key = credential_record.row_key(tree_record.access_key_of(row))
    stored = await txn.get(key)
    try:
        theirs = stored is not None and credential_record.unpack(stored).tenant == tenant
    except (Corrupt, Unsupported):
        return Freed({UNREADABLE: 1})
    if theirs:
        txn.delete(key)
        changed(txn)
    return Freed({CREDENTIALS: int(theirs)})


ERASERS = (Eraser(CREDENTIALS, tree_record.credentials_of, _free),)
