"""Checks the keys of tenants: each hangs on its parent's, and of those that have sealed something each opens with the secrets
and the root key at hand.

Keys are unwrapped and no more: no payload is opened. Without a key store (a store that is being restored) only rows are
compared, and the report says so. Nothing is made: a root key that is not there is told. Used by the thread that runs the check.
"""

from __future__ import annotations

from isotherm.devices.waiting import drive
from isotherm.errors import IsothermError, Unavailable
from isotherm.movers.fsck.findings import Kind
from isotherm.movers.fsck.job import Job
from isotherm.tenancy import credential_record, tree_record, vault_record
from isotherm.tenancy.keystore import ROOT, KeyStore
from isotherm.tenancy.roles import ROOT_TENANT
from isotherm.tenancy.tree import DEPTH_MOST, ENDED, path_of
from isotherm.tenancy.tree_reading import chain_of
from isotherm.tenancy.vault_record import WrappedKey


def check_keys(job: Job, keys: KeyStore | None) -> None:
    """The rows of table `w`, and the keys of those whose extents are sealed. After the versions and manifests were read."""
    rows = _read(job)
    told: set[int] = set()
    for tenant, row in rows.items():
        expected, erased = _place(job, tenant)
        if expected not in (row.parent, None) and not erased:
            told.add(tenant)
            said = f"the key of tenant {tenant} hangs on that of {row.parent}, and its parent is {expected}"
            job.findings.add(Kind.TENANT_KEY_WRONG, said)
    opening = _Opening(job, rows, keys)
    for tenant in sorted(job.sealing - {ROOT_TENANT}):
        try:
            opening.open(tenant)
        except _Shut as shut:
            if shut.at not in told:
                told.add(shut.at)
                job.findings.add(shut.kind, f"what {_named(job, tenant)} has sealed cannot be read: {shut.why}")
        except _Erased:
            continue
        except Unavailable as error:  # nor would the next be answered
            said = f"whether what {_named(job, tenant)} has sealed can be read is not known, nor of those after it: {error}"
            job.findings.add(Kind.TENANT_KEY_MISSING, said)
            return


class _Shut(Exception):
    """A tenant's key cannot be opened, because of that of the node `at`: the tenant, one above it, or the root."""

    def __init__(self, at: int, kind: Kind, why: str) -> None:
        super().__init__(why)
        self.at, self.kind, self.why = at, kind, why


class _Erased(Exception):
    """The tenant is or was erased, or one above it, which is meant to end its keys."""


class _Opening:
    """Opens keys from the root down, each once.

    Args:
        rows: tenant → its wrapped key.
        keys: None: only that the rows are there is looked at.
    """

    def __init__(self, job: Job, rows: dict[int, WrappedKey], keys: KeyStore | None) -> None:
        self._job = job
        self._rows = rows
        self._keys = keys
        self._opened: dict[int, bytes] = {}

    def open(self, tenant: int) -> None:
        """Raises _Shut, _Erased; Unavailable where the key store cannot be reached."""
        chain = self._chain(tenant)
        if self._keys is None:
            return
        if ROOT_TENANT not in self._opened:
            self._opened[ROOT_TENANT] = vault_record.root_node_key(self._root_key(self._keys))
        for at in reversed(chain):
            if at not in self._opened:
                self._opened[at] = self._unwrapped(at, self._keys)

    def _chain(self, tenant: int) -> list[int]:
        """The nodes whose keys have to be opened, from the tenant up to below the root."""
        chain: list[int] = []
        at = tenant
        while at != ROOT_TENANT:
            if _place(self._job, at)[1]:
                raise _Erased
            if len(chain) > DEPTH_MOST:
                raise _Shut(tenant, Kind.TENANT_KEY_WRONG, "the keys above it do not lead to the root's")
            if at not in self._rows:
                why = f"the key of {_named(self._job, at)} is gone from the metadata. Put the store back from a backup"
                raise _Shut(at, Kind.TENANT_KEY_MISSING, why)
            chain.append(at)
            at = self._rows[at].parent
        return chain

    def _root_key(self, keys: KeyStore) -> bytes:
        try:
            key = keys.present(ROOT)
        except Unavailable:
            raise
        except IsothermError as error:
            raise _Shut(ROOT_TENANT, Kind.TENANT_KEY_MISSING, str(error)) from error
        if key is None:
            why = f"the root key is not there, and nothing that tenants have sealed can be read. To mend it, {keys.remedy(ROOT)}"
            raise _Shut(ROOT_TENANT, Kind.TENANT_KEY_MISSING, why)
        return key

    def _unwrapped(self, tenant: int, keys: KeyStore) -> bytes:
        """The own key of a node; that of the one above has been opened."""
        named, row = _named(self._job, tenant), self._rows[tenant]
        try:
            secret = drive(keys.secret(tenant))
        except Unavailable:
            raise
        except IsothermError as error:
            raise _Shut(tenant, Kind.TENANT_KEY_MISSING, str(error)) from error
        if secret is None:
            why = f"the secret of {named} is not in the key store. To mend it, {keys.remedy(tenant)}"
            raise _Shut(tenant, Kind.TENANT_KEY_MISSING, why)
        opened = vault_record.unwrap(tenant, row, secret, self._opened[row.parent])
        if opened is None:
            raise _Shut(tenant, Kind.TENANT_KEY_WRONG, self._which(tenant, named, keys))
        return opened

    def _which(self, tenant: int, named: str, keys: KeyStore) -> str:
        """Why a key does not open with the secret that is there, as far as that can be known."""
        secret = f"the secret of {named} does not open its key"
        if self._rows[tenant].parent != ROOT_TENANT or len(self._opened) > 1:  # what is above it opens others
            return f"{secret}: it is another one, or the key's row was changed. To mend it, {keys.remedy(tenant)}"
        others = self._others(keys)
        if not others:
            return (
                f"{secret}: it is another one, or the root key is. To mend it, {keys.remedy(tenant)}; "
                f"or, for the root key, {keys.remedy(ROOT)}"
            )
        return (
            f"{secret}. The root key is another one, it seems: access keys of this store that another one sealed: {others}. "
            f"To mend it, {keys.remedy(ROOT)}; where a backup was restored without it, restore it again with --root-key. "
            f"If it is the right one, {keys.remedy(tenant)}"
        )

    def _others(self, keys: KeyStore) -> int:
        """How many credentials are sealed under another root key than the one at hand."""
        own = credential_record.key_id(self._root_key(keys))
        others = 0
        for _, stored in self._job.rows(*credential_record.row_range()):
            try:
                others += credential_record.unpack(stored).key_id != own
            except IsothermError:
                continue  # as is told elsewhere
        return others


def _read(job: Job) -> dict[int, WrappedKey]:
    """Tenant → its wrapped key."""
    rows = {}
    for row, stored in job.rows(*vault_record.key_rows()):
        try:
            rows[vault_record.tenant_of(row)] = vault_record.unpack(stored)
        except IsothermError as error:
            job.findings.add(Kind.TENANT_KEY_WRONG, f"the key of a tenant cannot be read: {error} (key {row.hex()})")
    return rows


def _place(job: Job, tenant: int) -> tuple[int | None, bool]:
    """The parent of a tenant, and whether it is or was erased, which is meant to end its keys. None where its node cannot be read,
    as is told elsewhere. One that the tree does not know hangs on the root."""
    stored = job.get(tree_record.node_row(tenant))
    if stored is None:
        return ROOT_TENANT, False
    try:
        node = tree_record.unpack(stored)
    except IsothermError:
        return None, False
    return node.parent, node.state in ENDED


def _named(job: Job, tenant: int) -> str:
    """A tenant by its path, as far as that can be read, and its id."""
    try:
        chain = drive(chain_of(job.meta, tenant))
    except IsothermError:  # as is told elsewhere
        chain = []
    return f"tenant {path_of(chain)} (@{tenant})" if chain else f"tenant @{tenant}"
