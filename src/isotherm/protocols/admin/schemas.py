"""What goes over the wire of the administrative API: requests and responses, as msgspec structs. Pure.

Requests refuse fields they do not know. Bounds are part of the types, so that the OpenAPI document states them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from isotherm.tenancy.finding import LIMIT_MOST
from isotherm.tenancy.grant_record import Access
from isotherm.tenancy.grants import PREFIX_BYTES_MOST
from isotherm.tenancy.terms import LABELS_MOST, LabelName, Labels, LabelValue, Terms
from isotherm.tenancy.tree import TenantState

TenantPath = Annotated[str, Meta(description="A path from the root, as acme/research.", max_length=4_096)]
RoleName = Annotated[str, Meta(pattern="^(data|admin|auditor)$")]
Limit = Annotated[int, Meta(ge=1, le=LIMIT_MOST, description="At most so many.")]
After = Annotated[str, Meta(description="Go on behind this one: `next` of the page before.", max_length=128)]


class NewTenant(Terms, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a tenant is to be."""

    labels: Annotated[Labels, Meta(description="Names and values of your own.")] = msgspec.field(default_factory=dict)


LabelChanges = Annotated[
    dict[LabelName, LabelValue | None], Meta(description="Labels to set; null takes one away.", max_length=LABELS_MOST)
]
TenantChanges = msgspec.defstruct(
    "TenantChanges",
    [
        *((field.name, field.type | None | UnsetType, UNSET) for field in msgspec.structs.fields(Terms)),
        ("labels", LabelChanges | UnsetType, UNSET),
    ],
    kw_only=True,
    forbid_unknown_fields=True,
    module=__name__,
    namespace={"__doc__": "Only what is to change (RFC 7396); null takes a term away."},
)


class NewPath(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Where a tenant is to lie."""

    to: TenantPath


class TenantQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which tenants to list."""

    under: Annotated[str, Meta(description="Whose children; yours by default.", max_length=4_096)] = ""
    after: After = ""
    limit: Limit = 100


class Tenant(Terms, frozen=True, kw_only=True, omit_defaults=False, forbid_unknown_fields=False):
    """A tenant. `standing` is its state and those above it together; `promised` what its children are promised in sum."""

    id: int
    path: str
    state: TenantState
    standing: TenantState
    created: str
    labels: dict[str, str]
    promised: dict[str, int]


class ShownTenant(Tenant, frozen=True, kw_only=True):
    """A tenant. `warnings`: the terms of which as much is used as `warning_percent` says, or all."""

    warnings: list[str]


class Holding(msgspec.Struct, kw_only=True):
    """What is held: `bytes`, of versions and of uploads under way; `objects`, current versions; `versions`, those and older ones."""

    bytes: int
    objects: int
    versions: int
    markers: int
    uploads: int
    upload_bytes: int


class TenantUsage(msgspec.Struct, kw_only=True):
    """What a tenant holds: `own`, and in `total` with all below it, which its terms bound: `capacity_bytes` its bytes, `objects` its
    versions and uploads. `counted`: false while the background still counts what an earlier version of this program wrote.
    """

    id: int
    path: str
    own: Holding
    total: Holding
    capacity_bytes: int | None
    objects: int | None
    warnings: list[str]
    counted: bool


class TenantPage(msgspec.Struct, kw_only=True):
    """Tenants in order of their names. `next`: what to give as `after` for those that follow; null: none do."""

    tenants: list[Tenant]
    next: str | None


class NewKey(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What an access key is to be."""

    roles: Annotated[list[RoleName], Meta(min_length=1, max_length=3)]
    description: Annotated[str, Meta(max_length=256)] = ""


class KeyPair(msgspec.Struct, kw_only=True):
    """An access key with its secret, which is shown this once."""

    access_key: str
    secret_key: str
    tenant_id: int
    roles: list[str]


class KeyQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which access keys to list."""

    after: After = ""
    limit: Limit = 100


class Key(msgspec.Struct, kw_only=True):
    """An access key without its secret. `ends` is null where it has no end."""

    access_key: str
    state: str
    roles: list[str]
    created: str
    ends: str | None
    description: str


class KeyPage(msgspec.Struct, kw_only=True):
    """Access keys of one tenant that have not been revoked, in order. `next` as in a page of tenants."""

    keys: list[Key]
    next: str | None


_Time = Annotated[datetime, Meta(tz=True)]


class AuditQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which records of the audit log to list."""

    since: Annotated[
        _Time | None, Meta(description="Only records of this time and later, as 2026-01-31T00:00:00Z.")
    ] = None
    until: Annotated[_Time | None, Meta(description="Only records from before this time.")] = None
    after: After = ""
    limit: Limit = 100


class AuditRecord(msgspec.Struct, kw_only=True):
    """A call that was answered or refused.

    `tenant_id`, `sequence`, `hash`: its place in a chain. `who`: an access key of tenant `caller_id`, or "owner"; null where it
    belongs to a tenant above yours. `target_id`, `path`: what was changed; of a refused call null, and what was asked for. `outcome`: ok, or the
    error's code. `changed`: name → [before, after]. `unrecorded`: refused calls before this one that were too many to be recorded.
    """

    cursor: str
    tenant_id: int
    sequence: int
    hash: str
    time: str
    who: str | None
    caller_id: int
    roles: list[str]
    operation: str
    target_id: int | None
    path: str
    key: str
    outcome: str
    changed: dict[str, list[Any]]
    request: str
    remote: str
    unrecorded: int


class AuditPage(msgspec.Struct, kw_only=True):
    """Records in the order in which they were committed. `next` as in a page of tenants; there may be few though more follow."""

    records: list[AuditRecord]
    next: str | None


class AuditHead(msgspec.Struct, kw_only=True):
    """How far the chain of a tenant has come: number and hash (SHA-256) of its last record; 0 before the first."""

    tenant_id: int
    sequence: int
    hash: str


class NewGrant(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What is to be granted."""

    bucket: Annotated[str, Meta(description="The bucket.", max_length=63)]
    to: Annotated[
        str,
        Meta(description="For whom: a tenant's id, as @17, or its path where you reach it.", max_length=4_096),
    ]
    access: Annotated[str, Meta(pattern="^(read|read-write)$", description="What may be done: read or read-write.")] = (
        Access.READ.value
    )
    prefix: Annotated[
        str, Meta(description="Only keys that begin so; all unless given.", max_length=PREFIX_BYTES_MOST)
    ] = ""
    alias: Annotated[
        str,
        Meta(
            description="Mount it there at once under this name, where you are an admin there as well.", max_length=63
        ),
    ] = ""


class Grant(msgspec.Struct, kw_only=True):
    """That tenant `to_id` may use a bucket of tenant `owner_id`. `alias`: the name it is mounted under there; null: it is not."""

    name: str
    owner_id: int
    bucket: str
    to_id: int
    access: str
    prefix: str
    alias: str | None
    created: str


class GrantQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which grants to list."""

    after: After = ""
    limit: Limit = 100


class GrantPage(msgspec.Struct, kw_only=True):
    """Grants in order of their names, of received ones in that of their owners first. `next` as in a page of tenants."""

    grants: list[Grant]
    next: str | None


class NewMount(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which grant to mount."""

    owner: Annotated[str, Meta(description="Whose grant it is: the tenant's id, as @17.", max_length=16)]
    grant: Annotated[str, Meta(description="The grant's name.", max_length=63)]


class Identity(msgspec.Struct, kw_only=True):
    """Who asks, as the server knows it."""

    tenant: str
    tenant_id: int
    standing: TenantState
    roles: list[str]


class Confirmation(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """That a tenant is really to be erased."""

    confirm: Annotated[str, Meta(description="The path of the tenant, once more, as acme/research.", max_length=4_096)]
    subtree: Annotated[bool, Meta(description="Whether the tenants below it may be erased along: true or false.")] = (
        False
    )


class SignedStatement(msgspec.Struct, kw_only=True):
    """A statement and its signature: Ed25519 over the statement as RFC 8785 writes it. Keys and signatures are hexadecimal digits."""

    statement: dict[str, Any]
    public_key: str
    signature: str


class Erasure(msgspec.Struct, kw_only=True):
    """The erasure of a tenant. `stage`: removing, destroying its key, verifying, erased, or purged: then no segment that held
    bytes of it is there any more.

    `within`: the tenant whose erasure brought this one along. `removed`: what has gone so far, by kind. `certificate` is there
    once it has been erased, and `purge` once it has been purged.
    """

    tenant_id: int
    path: str
    stage: str
    within: int | None
    began: str
    key_destroyed: str | None
    removed: dict[str, int]
    certificate: SignedStatement | None
    purge: SignedStatement | None


class ErasureQuery(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Which erasures to list."""

    under: Annotated[str, Meta(description="Below which tenant; yours by default.", max_length=4_096)] = ""
    after: After = ""
    limit: Limit = 100


class ErasurePage(msgspec.Struct, kw_only=True):
    """Erasures in order of the tenants' ids. `next` as in a page of tenants; there may be few though more follow."""

    erasures: list[Erasure]
    next: str | None


class PublicKey(msgspec.Struct, kw_only=True):
    """A public key, in hexadecimal digits."""

    algorithm: str
    public_key: str
