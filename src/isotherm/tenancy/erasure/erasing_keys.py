"""How a tenant's own key is erased, which was wrapped under its secret: that is destroyed before."""

from __future__ import annotations

from isotherm.tenancy import vault_record as record
from isotherm.tenancy.erasure.eraser import Eraser


def _key(tenant: int) -> tuple[bytes, bytes]:
    row = record.key_row(tenant)
    return row, row + b"\0"


ERASERS = (Eraser("wrapped keys", _key, counted=True),)
