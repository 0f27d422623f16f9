"""From an opened store to what operations work on: the one place where it is put together."""

from __future__ import annotations

from functools import partial

from isotherm.movers.counting import all_counted
from isotherm.objects.buckets import NAMED
from isotherm.protocols.admin.operation import Administration
from isotherm.store import Engines
from isotherm.tenancy.audit.log import AuditLog
from isotherm.tenancy.erasure.erasures import Erasures
from isotherm.tenancy.grants import Grants
from isotherm.tenancy.register import Register
from isotherm.tenancy.tenants import Tenants


def administration(engines: Engines, register: Register) -> Administration:
    """Over the engines of a store, and the register of its credentials that the caller has."""
    meta, clock = engines.meta, engines.clock
    return Administration(
        tenants=Tenants(meta, clock, engines.vault),
        register=register,
        audit=AuditLog(meta),
        erasures=Erasures(meta, engines.keys, clock),
        grants=Grants(meta, clock, NAMED),
        all_counted=partial(all_counted, meta),
    )
